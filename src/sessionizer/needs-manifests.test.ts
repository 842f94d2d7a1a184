/**
 * Which manifests a session asks the store for.
 */
import { expect, test } from 'vitest'
import type { Manifest } from '../record/events.ts'
import { createGraph, createImageGraph, digestOf, parseFacts, run } from './pull/session.fixture.ts'
import { needsManifests } from './summarise.ts'

const graph = createImageGraph()

test('what must be loaded: manifests by digest, and children while blobs are unexplained', () => {
  const facts = parseFacts([
    '0 HEAD manifests/t',
    '0.1 GET blobs/L2.2',
    '0.2 GET manifests/sha256-hex(M).sig 404',
  ])
  const known = (...names: string[]) =>
    new Map([...graph].filter(([digest]) => names.map(digestOf).includes(digest)))
  expect(needsManifests(facts, known())).toEqual([digestOf('I')])
  expect(needsManifests(facts, known('I'))).toEqual(['M', 'M2', 'A'].map(digestOf))
  expect(needsManifests(facts, known('I', 'M', 'M2', 'A'))).toEqual([])
  expect(needsManifests(facts.slice(0, 1), known('I'))).toEqual([])
})

test('what is loaded for a pull does not depend on the other pulls of its run', () => {
  // The client of the second has its manifests from an earlier pull; the first explains the layer they share.
  const other = createGraph({
    I2: { children: { M3: 'linux/amd64' } },
    M3: { config: 'C3', layers: ['L1', 'L5'] },
  })
  const all = new Map([...graph, ...other])
  const facts = parseFacts(
    [
      '0 GET manifests/t',
      '0.1 GET manifests/M',
      '0.2 GET blobs/L1',
      '90 HEAD manifests/u',
      '90.1 GET blobs/L1',
    ],
    { tags: { u: 'I2' } },
  )
  const loadAll = (some: typeof facts) => {
    const loaded = new Map<string, Manifest>()
    for (;;) {
      const found = needsManifests(some, loaded).filter((digest) => all.has(digest))
      if (found.length === 0) return loaded
      for (const digest of found) loaded.set(digest, all.get(digest) as Manifest)
    }
  }
  const alone = facts.slice(3)
  const [, second] = run(facts, loadAll(facts)).finished
  expect(second).toEqual(run(alone, loadAll(alone)).finished[0])
  expect(second?.event).toMatchObject({ tag: 'u', kind: 'incremental', platform: 'linux/amd64' })
})

test('configs are loaded of images that were asked for, and of children of which their index says no platform', () => {
  const images = createGraph({
    I3: { children: { M4: null, M5: 'linux/arm64', A1: 'attests M4' } },
    M4: { config: 'C4', layers: ['L4'], platform: 'linux/amd64' },
    M5: { config: 'C5', layers: ['L5'], platform: 'linux/arm64' },
    A1: { kind: 'attestation', config: 'A1.config', layers: ['A1.layer'] },
    S1: { kind: 'signature', config: 'S1.config', layers: ['S1.layer'] },
    H1: { kind: 'helm', config: 'H1.config', configType: 'application/vnd.cncf.helm.config.v1+json' },
  })
  const known = (...names: string[]) =>
    new Map([...images].filter(([digest]) => names.map(digestOf).includes(digest)))
  const facts = (...lines: string[]) => parseFacts(lines, { tags: { s: 'M4', i: 'I3', h: 'H1', g: 'S1' } })
  for (const method of ['HEAD', 'GET']) {
    expect(needsManifests(facts(`0 ${method} manifests/s`), known())).toEqual([digestOf('M4')])
    expect(needsManifests(facts(`0 ${method} manifests/s`), known('M4'))).toEqual([digestOf('C4')])
  }
  expect(needsManifests(facts('0 GET manifests/s', '1 GET blobs/L4'), known('M4', 'C4'))).toEqual([])
  expect(needsManifests(facts('0 GET manifests/h', '1 GET manifests/g'), known('H1', 'S1'))).toEqual([])
  const inferred = facts('0 HEAD manifests/i', '1 GET blobs/L4')
  expect(needsManifests(inferred, known('I3', 'M4', 'M5', 'A1'))).toEqual([digestOf('C4')])
})
