/**
 * Every trace of what registry clients request, as one session, in both auth modes where it was captured in both.
 */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { Expectation } from '../../../test/support/client-traces.ts'
import { sharedData } from '../../../test/support/shared-data.ts'
import type { PackageEvent } from '../../record/events.ts'
import type { Fact, Graph } from '../types.ts'
import {
  createGraph,
  createImageGraph,
  digestOf,
  parseFact,
  run,
  type SessionSpec,
} from './session.fixture.ts'

type Step = { m: string; p: string; s: number; par?: number; token?: number }
type Trace = {
  id: string
  mode?: string
  client?: string
  ua?: string
  steps: Step[]
  expect?: Expectation
}

function readTraces(file: string): Trace[] {
  return (JSON.parse(readFileSync(sharedData(file), 'utf8')) as { traces: Trace[] }).traces
}

const tools: [RegExp, string][] = [
  [/^docker\//, 'docker'],
  [/^Docker-Client/, 'docker-cli'],
  [/^containerd/, 'containerd'],
  [/^containers/, 'podman'],
  [/^Buildah/, 'buildah'],
  [/^skopeo/, 'skopeo'],
]

function toolOf(trace: Trace): string {
  return tools.find(([pattern]) => pattern.test(trace.ua ?? ''))?.[1] ?? trace.client ?? 'unknown'
}

/** Attestation and its blobs are all called `other` in the captured traces. */
function nameOthers(path: string, seen: { blobs: number }): string {
  if (!path.includes('{other}')) return path
  if (path.includes('/manifests/')) return path.replace('{other}', '{A}')
  seen.blobs += 1
  return path.replace('{other}', seen.blobs === 1 ? '{A.config}' : '{A.layer1}')
}

/** Facts of a trace: requests to the repository, 100 ms apart, those with one `par` at once. */
function factsOf(trace: Trace, spec: SessionSpec): Fact[] {
  const facts: Fact[] = []
  const seen = { blobs: 0 }
  let at = 0
  trace.steps.forEach((step, index) => {
    const path = nameOthers(step.p, seen).replace(/\?.*$/, '')
    const match = /^\/v2\/\{n\}\/(manifests|blobs|tags|referrers)\/(.+)$/.exec(path)
    if (step.par === undefined || step.par !== trace.steps[index - 1]?.par) at += 0.1
    if (match === null) return
    const name = match[2]?.replaceAll(/[{}]/g, '')
    // The nonce of each token is a session id of its own; the store has joined them.
    const token = trace.mode === 'open' ? '' : `n${step.token ?? 1}`
    facts.push(
      parseFact(`${at.toFixed(1)} ${token} ${step.m} ${match[1]}/${name} ${step.s}`, index + 1, spec),
    )
  })
  return facts
}

type Expected = Partial<Record<keyof PackageEvent, unknown>>

/** What a trace assumes of its image, beyond the one of three layers. */
const images: Record<string, Graph> = {
  'distribution-mirror-cold': createImageGraph(['L1']),
  'helm-pull': createGraph({ I: { kind: 'helm', config: 'C', layers: ['L1'] } }),
}

/** The trace's HEAD and GET by tag come without a digest. */
const withoutDigest = ['docker-classic-head-no-digest-header']

/** The fields of an event that a trace speaks of; `automation` and `via` come from the User-Agent, not from here. */
const told = ['kind', 'tag', 'digest', 'platform', 'artifact'] as const

function expectedOf(said: Expectation): Expected {
  const names: Record<string, string> = { '{t}': 't', '{I}': digestOf('I'), '{M}': digestOf('M') }
  const real = (value: string | null) => (value === null ? null : (names[value] ?? value))
  const expected: Expected = {}
  for (const key of told) if (said[key] !== undefined) expected[key] = real(said[key])
  if (said.platformDigest !== undefined) expected.platform_digest = real(said.platformDigest)
  if (said.reason !== undefined) expected.fail_reason = said.reason
  return expected
}

for (const trace of readTraces('client-traces.json')) {
  test(`what is expected of ${trace.id}`, () => {
    const spec: SessionSpec = {
      tool: toolOf(trace),
      tags: { t: withoutDigest.includes(trace.id) ? null : 'I' },
    }
    const facts = factsOf(trace, spec)
    const said = trace.expect
    if (said === undefined) throw new Error('a trace without expectation')
    const { finished, remaining } = run(facts, images[trace.id] ?? createImageGraph())
    expect(finished.map(({ event }) => event)).toEqual([expect.objectContaining(expectedOf(said))])
    expect(finished).toHaveLength(said.sessions)
    expect(remaining).toEqual([])
    const event = finished[0]?.event
    if (said.countsAsPull === false) expect(event?.type).not.toBe('pull')
    if (said.platformNot !== undefined) expect(event?.platform).not.toBe(said.platformNot)
    if (said.tagNot !== undefined) expect(event?.tag).toBe('t')
    expect(event?.requests).toBe(facts.filter((fact) => fact.status !== 401).length)
  })
}

const cold: Expected = {
  type: 'pull',
  kind: 'full',
  tag: 't',
  digest: digestOf('I'),
  platform: 'linux/amd64',
  platform_digest: digestOf('M'),
  layers_requested: 3,
  layers_total: 3,
  bytes_basis: 'observed',
}
const byDigest: Expected = { ...cold, tag: null, tag_source: null }
const unchanged: Expected = { type: 'check', kind: 'check', tag: 't', digest: digestOf('I'), platform: null }
const manifests: Expected = { ...cold, kind: 'manifest_only', layers_requested: 0 }
const inspected: Expected = { ...manifests, platform: 'multiple', platform_digest: null, layers_total: 5 }

/** What each captured operation amounts to, read off what was typed; `token` where the two modes differed. */
const captured: Record<string, { open: Expected; token?: Expected }> = {
  'skopeo-copy': { open: cold },
  'skopeo-inspect': { open: manifests },
  'skopeo-copy-all': {
    open: { ...cold, platform: 'multiple', platform_digest: null, layers_requested: 5, layers_total: 5 },
  },
  'podman-cold': { open: cold },
  'podman-uptodate': { open: manifests },
  'podman-by-digest': { open: { ...manifests, tag: null } },
  'buildah-cold': { open: cold },
  'containerd-cold': { open: cold },
  'containerd-uptodate': { open: unchanged },
  'containerd-by-digest': { open: byDigest },
  'docker-classic-cold': { open: cold },
  'docker-classic-uptodate': { open: unchanged, token: manifests },
  'docker-classic-by-digest': { open: byDigest },
  'docker-manifest-inspect': { open: inspected },
}

for (const trace of readTraces('captured-traces.json')) {
  test(`${trace.id} as captured in ${trace.mode} mode`, () => {
    const row = captured[trace.id]
    const facts = factsOf(trace, { tool: toolOf(trace), method: trace.mode === 'open' ? 'client' : 'token' })
    const { finished, discarded } = run(facts, createImageGraph())
    const events = finished.map(({ event }) => event)
    const wanted = trace.mode === 'token' ? (row?.token ?? row?.open) : row?.open
    expect(wanted).toBeDefined()
    expect(events).toEqual([expect.objectContaining(wanted ?? {})])
    const counted = facts.filter((fact) => fact.status !== 401)
    expect(events[0]?.session_ids).toEqual([...new Set(counted.map((fact) => fact.sessionId))].sort())
    expect(finished[0]?.factIds).toEqual(counted.map((fact) => fact.id))
    expect(discarded).toHaveLength(facts.length - counted.length)
  })
}
