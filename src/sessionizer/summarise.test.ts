/**
 * The summary as its caller sees it: what is finished when, ids that stay, and what no order or repeat may change.
 */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { PackageEvent } from '../record/events.ts'
import {
  createContext,
  createGraph,
  createImageGraph,
  parseFact,
  parseFacts,
  run,
  startMs,
} from './pull/session.fixture.ts'
import type { Fact } from './types.ts'

const graph = createImageGraph()
const pull = [
  '0.0 HEAD manifests/t',
  '0.1 GET manifests/I',
  '0.2 GET manifests/M',
  '0.3 GET blobs/C',
  '0.4 GET blobs/L1',
  '0.5 GET blobs/L2',
  '0.6 GET blobs/L3 took=1000',
]
const open = (seconds: number) => ({ closing: false, watermark: startMs + seconds * 1000 })

test('a token session with all of its image is finished 5 s after its last end', () => {
  const facts = parseFacts(pull, { method: 'token' })
  expect(run(facts, graph, open(6.599))).toMatchObject({ finished: [], remaining: facts })
  const { finished, remaining } = run(facts, graph, open(6.6))
  expect(finished.map(({ event }) => event.kind)).toEqual(['full'])
  expect(finished[0]?.factIds).toEqual(facts.map((fact) => fact.id))
  expect(remaining).toEqual([])
})

test('without tokens, or with a layer missing, the pull waits for the idle time', () => {
  for (const facts of [parseFacts(pull), parseFacts(pull.slice(0, -1), { method: 'token' })]) {
    expect(run(facts, graph, open(60)).remaining).toEqual(facts)
    expect(run(facts, graph, open(62)).finished).toHaveLength(1)
  }
})

test('a check waits 10 s, or the idle time if that is shorter', () => {
  const facts = parseFacts(['0 HEAD manifests/t'])
  expect(run(facts, graph, open(10.001)).finished).toEqual([])
  expect(run(facts, graph, open(10.002)).finished).toHaveLength(1)
  expect(run(facts, graph, { ...open(2.1), idleMs: 2_000 }).finished).toHaveLength(1)
})

test('a transfer that still runs keeps its pull', () => {
  const facts = parseFacts([...pull.slice(0, -1), '0.6 GET blobs/L3 sent=10 heartbeat took=40000'])
  expect(run(facts, graph, open(100)).remaining).toEqual(facts)
  expect(run(facts, graph, open(101)).finished[0]?.event.kind).toBe('interrupted')
})

test('a complete pull is not over while a heartbeat says that something still runs', () => {
  const facts = parseFacts([...pull, '0.7 GET blobs/L1 sent=10 heartbeat took=20000'], { method: 'token' })
  expect(run(facts, graph, open(30)).finished).toEqual([])
})

test('in a session that never falls idle, what is over is finished and the rest remains', () => {
  const facts = parseFacts([...pull, '30 HEAD manifests/u', '61 GET manifests/t', '61.1 GET manifests/M'])
  const { finished, remaining } = run(facts, graph, open(62))
  expect(finished.map(({ event }) => [event.type, event.tag])).toEqual([
    ['pull', 't'],
    ['check', 'u'],
  ])
  expect(remaining.map((fact) => fact.time - startMs)).toEqual([61_000, 61_100])
})

test('a transfer ends once: the end wins over its heartbeats, the longest heartbeat over the rest', () => {
  const beat = (took: number, sent: number) =>
    parseFact(`0.3 GET blobs/L1 sent=${sent}/5000 heartbeat took=${took}`, 9)
  const end = parseFact('0.3 GET blobs/L1 sent=5000/5000 took=50000', 9)
  const bytes = (facts: Fact[]) =>
    run(facts, graph).finished.map(({ event }) => [event.kind, event.bytes_sent])
  expect(bytes([beat(20_000, 10), beat(40_000, 30), beat(20_000, 20)])).toEqual([['interrupted', 30]])
  expect(bytes([beat(60_000, 10), end, beat(40_000, 30)])).toEqual([['incremental', 5000]])
})

test('the id is a hash of the session and the record of the first request', () => {
  const facts = parseFacts(pull)
  const framed = (text: string) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(text.length)
    return Buffer.concat([length, Buffer.from(text)])
  }
  const [session, record] = [facts[0]?.sessionId ?? '', facts[0]?.id ?? '']
  const bytes = Buffer.concat([Buffer.of(1), framed(session), framed(record)])
  const wanted = createHash('sha256').update(bytes).digest('hex').slice(0, 32)
  for (let count = 1; count <= facts.length; count += 1) {
    expect(run(facts.slice(0, count), graph).finished.map(({ event }) => event.id)).toEqual([wanted])
  }
})

test('client, place and node are those of the first request for a resource', () => {
  const facts = parseFacts(['0 n1 GET tags/list', '0.1 n1 HEAD manifests/t', '0.2 n1 GET manifests/I'])
  const context = {
    ...createContext('diun', 'token'),
    node: 'second',
    geo: { country: 'NO', region: null, city: null },
  }
  const changed = facts.map((fact, index) => (index === 1 ? { ...fact, context } : fact))
  expect(run(changed, graph).finished[0]?.event).toMatchObject({
    node: 'second',
    geo: { country: 'NO' },
    client: { tool: 'diun' },
    started_at: '2026-11-21T12:00:00.000Z',
    ended_at: '2026-11-21T12:00:00.201Z',
    duration_ms: 201,
  })
})

test('earlier events of the session count as attempts, make a batch and lend a tag', () => {
  const first = run(parseFacts(['0 n1 HEAD manifests/t 404', '1 n1 HEAD manifests/u']), graph)
  const earlier = first.finished.map(({ event }) => event)
  const again = parseFacts(['20 n1 HEAD manifests/t']).map((fact) => ({ ...fact, id: 'f'.repeat(32) }))
  const [event] = run(again, graph, { earlier }).finished.map((one) => one.event)
  expect(event).toMatchObject({ attempts: 2, batch_id: earlier[0]?.batch_id })
  expect(event?.batch_id).toMatch(/^[0-9a-f]{32}$/)
  const byDigest = run(parseFacts(['20 n1 GET manifests/I']), graph, { earlier }).finished[0]?.event
  expect(byDigest).toMatchObject({ tag: 'u', tag_source: 'inferred' })
})

test('a blob that its token asks for again after the pull was over makes no second pull', () => {
  const late = '20 GET blobs/L1'
  const facts = parseFacts([...pull, late], { method: 'token' })
  const once = run(facts, graph)
  expect(once.finished).toHaveLength(1)
  expect(once.discarded).toEqual([facts.at(-1)?.id])
  const first = run(facts.slice(0, -1), graph, open(10))
  const second = run(facts.slice(-1), graph, { earlier: first.finished.map(({ event }) => event) })
  expect(second).toMatchObject({ finished: [], remaining: [], discarded: once.discarded })
  expect(run(parseFacts([...pull, late]), graph).finished).toHaveLength(1)
})

test('challenges alone are no event', () => {
  const facts = parseFacts(['0 HEAD manifests/t 401'])
  expect(run(facts, graph)).toEqual({ finished: [], remaining: [], discarded: [facts[0]?.id] })
})

/** Pulls, checks, verifications and lists of one session, mixed in time. */
const scripts: readonly string[][] = [
  pull.map((line) => line.replace(/^[\d.]+ /, '')),
  ['HEAD manifests/t'],
  ['HEAD manifests/u 429', 'HEAD manifests/u'],
  ['GET manifests/v 404'],
  [
    'GET manifests/t',
    'GET manifests/M2',
    'GET blobs/C2',
    'GET blobs/L1 sent=10 aborted',
    'GET blobs/L1 range=10-',
  ],
  ['GET manifests/I', 'GET manifests/M', 'GET blobs/C'],
  ['GET blobs/L2 range=70-', 'GET blobs/X1'],
  ['GET referrers/I', 'GET manifests/sha256-hex(I).sig', 'GET blobs/S.layer1'],
  ['GET tags/list', 'HEAD manifests/w'],
  ['HEAD manifests/t 401'],
  ['HEAD manifests/x', 'GET manifests/X2', 'GET blobs/X3', 'GET blobs/X4 307'],
]

const requests = fc.array(
  fc.record({
    script: fc.nat(scripts.length - 1),
    token: fc.nat(2),
    at: fc.nat(240),
    pace: fc.constantFrom(0.05, 0.7, 4, 15, 70),
    long: fc.boolean(),
  }),
  { minLength: 1, maxLength: 7 },
)

const sessions = fc.tuple(requests, fc.boolean()).map(([list, tokens]) => {
  const lines = list.flatMap(({ script, token, at, pace, long }) =>
    (scripts[script] ?? []).map((line, index) => {
      const took = long && line.includes('blobs/L') && !line.includes('took') ? ' took=45000' : ''
      return `${(at + index * pace).toFixed(2)} ${tokens ? `n${token} ` : ''}${line}${took}`
    }),
  )
  return parseFacts(lines)
})

test('order and repeats of the facts change nothing', () => {
  const shuffles = sessions.chain((facts) =>
    fc.tuple(fc.constant(facts), fc.shuffledSubarray([...facts, ...facts], { minLength: facts.length * 2 })),
  )
  fc.assert(
    fc.property(shuffles, fc.boolean(), ([facts, shuffled], closing) => {
      const changes = { closing, watermark: startMs + 120_000 }
      expect(run(shuffled, graph, changes)).toEqual(run(facts, graph, changes))
    }),
    { numRuns: 400, seed: 23 },
  )
})

test('every counted fact is in exactly one event or remains', () => {
  fc.assert(
    fc.property(sessions, fc.boolean(), fc.nat(300), (facts, closing, seconds) => {
      const watermark = startMs + seconds * 1000
      const { finished, remaining, discarded } = run(facts, graph, { closing, watermark })
      const ids = [
        ...finished.flatMap((one) => one.factIds),
        ...remaining.map((fact) => fact.id),
        ...discarded,
      ]
      expect(ids.sort()).toEqual(facts.map((fact) => fact.id).sort())
      if (closing) expect(remaining).toEqual([])
      expect(finished.reduce((sum, one) => sum + one.event.requests, 0)).toBe(
        finished.reduce((sum, one) => sum + one.factIds.length, 0),
      )
      for (const { event } of finished) {
        expect(event.bytes_unique).toBeLessThanOrEqual(event.bytes_sent)
        expect(event.kind === 'failed').toBe(event.fail_reason !== null)
      }
    }),
    { numRuns: 300, seed: 11 },
  )
})

/** What has arrived at a time: ends, and of transfers that still run the last heartbeat (a third of the idle time). */
function arrived(facts: Fact[], nowMs: number): { facts: Fact[]; watermark: number } {
  let watermark = nowMs
  const known: Fact[] = []
  for (const fact of facts) {
    if (fact.time >= nowMs) continue
    const beats = Math.floor((nowMs - fact.time) / 20_000) * 20_000
    if (fact.time + fact.durationMs <= nowMs) known.push(fact)
    else if (beats > 0)
      known.push({ ...fact, heartbeat: true, durationMs: beats, bytesSent: 1, aborted: false })
    else watermark = Math.min(watermark, fact.time)
  }
  return { facts: known, watermark }
}

/** All events of a session that is summarised at these seconds, and at its end. */
function runInSteps(facts: Fact[], steps: number[]): PackageEvent[] {
  const done = new Set<string>()
  const events: PackageEvent[] = []
  for (const seconds of [...steps.sort((a, b) => a - b), Number.POSITIVE_INFINITY]) {
    const closing = !Number.isFinite(seconds)
    const now = closing ? { facts, watermark: startMs } : arrived(facts, startMs + seconds * 1000)
    const left = now.facts.filter((fact) => !done.has(fact.id))
    const summary = run(left, graph, { closing, watermark: now.watermark, earlier: [...events] })
    for (const { event, factIds } of summary.finished) {
      events.push(event)
      for (const id of factIds) done.add(id)
    }
    for (const id of summary.discarded) done.add(id)
  }
  return events
}

test('summarising a session in steps gives the events that it gives at once', () => {
  const byId = (events: PackageEvent[]) => events.toSorted((a, b) => (a.id < b.id ? -1 : 1))
  fc.assert(
    fc.property(sessions, fc.array(fc.nat(400), { maxLength: 12 }), (facts, steps) => {
      const atOnce = run(facts, graph).finished.map(({ event }) => event)
      expect(byId(runInSteps(facts, steps))).toEqual(byId(atOnce))
    }),
    { numRuns: 400, seed: 23 },
  )
})

test('a graph that knows nothing loses no fact', () => {
  fc.assert(
    fc.property(sessions, (facts) => {
      const { finished, discarded } = run(facts, createGraph({}))
      expect(finished.flatMap((one) => one.factIds).length + discarded.length).toBe(facts.length)
    }),
    { numRuns: 400, seed: 23 },
  )
})
