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
    for (
      let wanted = needsManifests(some, loaded);
      wanted.length > 0;
      wanted = needsManifests(some, loaded)
    ) {
      for (const digest of wanted) loaded.set(digest, all.get(digest) as Manifest)
    }
    return loaded
  }
  const alone = facts.slice(3)
  const [, second] = run(facts, loadAll(facts)).finished
  expect(second).toEqual(run(alone, loadAll(alone)).finished[0])
  expect(second?.event).toMatchObject({ tag: 'u', kind: 'incremental', platform: 'linux/amd64' })
})
