/**
 * What decides an event is what was requested and when: not how the requests were cut into batches, how often and in
 * which order they came, by which node or worker, nor when their sessions were looked at.
 */
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { createRandom, type Random } from '../../test/support/random.ts'
import { hexId, manifestRequest, recordId, startMs } from '../../test/support/session-facts.ts'
import { rules } from '../../test/support/session-store-behaviour.ts'
import type { LogEntry, PackageEvent } from '../record/events.ts'
import { createTraffic, type Traffic } from './random-traffic.fixture.ts'
import { createRebuild } from './rebuild.ts'
import { createSessionLoop } from './session-loop.ts'
import { createSqliteStore } from './sqlite-store.ts'
import { needsManifests, summarise } from './summarise.ts'

const log = { info() {}, warn() {}, error() {} }
const byId = (events: Iterable<PackageEvent>) =>
  [...events].toSorted((a, b) => (a.id < b.id ? -1 : Number(a.id > b.id)))

function rebuild({ requests, manifests }: Traffic): PackageEvent[] {
  const all = createRebuild(rules)
  for (const manifest of manifests) all.addManifest(manifest)
  for (const request of requests) all.addRequest(request)
  return all.events()
}

const startOf = (entry: { time: string }) => Date.parse(entry.time)

/** All events that two nodes publish over one store, while what they delivered is cut, mixed, repeated at random. */
async function runLive(traffic: Traffic, random: Random): Promise<PackageEvent[]> {
  const entries = [...traffic.requests, ...traffic.heartbeats].map((entry) => ({
    entry,
    /** When it is known: records are written when a request ends, heartbeats while it runs. */
    knownMs: startOf(entry) + entry.duration_ms,
    isDelivered: false,
  }))
  const store = createSqliteStore({
    database: new DatabaseSync(':memory:'),
    sessions: rules,
    tombstoneMs: 1e9,
  })
  const published = new Map<string, PackageEvent>()
  const first = Math.min(...entries.map(({ entry }) => startOf(entry)))
  const last = Math.max(...entries.map(({ knownMs }) => knownMs))
  let nowMs = first
  /**
   * All that began before is known, or a heartbeat of it: what `summarise` takes for granted. (In a running Waybill a
   * transfer without heartbeat yet does not hold the watermark; that is told in docs/sessions.md.)
   */
  function oldest(node: string): number {
    const ids = new Set(entries.flatMap((one) => (one.isDelivered ? [one.entry.id] : [])))
    const missing = entries.filter(
      (one) =>
        one.entry.node === node && !one.isDelivered && (one.knownMs <= nowMs || !ids.has(one.entry.id)),
    )
    return Math.min(nowMs - 1, ...missing.map(({ entry }) => startOf(entry)))
  }
  const startLoop = (node: string) =>
    createSessionLoop({
      ...{ store, summarise, needsManifests, node, sessions: rules, log, intervalMs: 0 },
      publish: async (events) => {
        if (random.below(12) === 0) throw new Error('away')
        for (const event of events) {
          expect(published.get(event.id) ?? event, 'a repeat says the same').toEqual(event)
          published.set(event.id, event)
        }
      },
      watermark: () => oldest(node),
      backoffMs: { first: 0, longest: 0 },
    })
  const loops = ['node 0', 'node 1'].map(startLoop)
  await store.addEntries(traffic.manifests)
  for (const node of ['node 0', 'node 1']) await store.publishWatermark(node, first)
  for (; nowMs < last + 4 * rules.idleMs; nowMs += 300 + random.below(9000)) {
    const known = entries.filter(({ knownMs }) => knownMs <= nowMs)
    // Calm at the end: what is never delivered is no event.
    const chosen = known.filter(
      (one) => (!one.isDelivered && (nowMs > last || random.below(4) > 0)) || random.below(9) === 0,
    )
    const mixed = chosen.sort(() => random.next() - 0.5)
    for (let at = 0; at < mixed.length; ) {
      const batch = mixed.slice(at, at + 1 + random.below(40))
      at += batch.length
      await store.addEntries(batch.map(({ entry }): LogEntry => entry))
      for (const one of batch) one.isDelivered = true
    }
    for (const loop of loops) await loop.sweep()
  }
  for (let round = 0; round < 50 && (await store.openSessions()) > 0; round += 1) {
    nowMs += rules.idleMs
    for (const loop of loops) await loop.sweep()
  }
  expect(await store.openSessions()).toBe(0)
  return [...published.values()]
}

test('live, in any batches and order, over two nodes, gives the events that all requests give at once', async () => {
  let count = 0
  const across = { inferred: 0, attempts: 0 }
  for (let seed = 1; seed <= 30; seed += 1) {
    const random = createRandom(seed)
    const traffic = createTraffic(random, 40, [30, 200, 500][seed % 3] as number)
    const live = await runLive(traffic, random)
    expect(byId(live), `seed ${seed}`).toEqual(byId(rebuild(traffic)))
    count += live.length
    for (const { tag_source, attempts } of live) {
      if (tag_source === 'inferred') across.inferred += 1
      if (attempts > 1) across.attempts += 1
    }
  }
  expect(count).toBeGreaterThan(800)
  expect(across.inferred).toBeGreaterThan(20)
  expect(across.attempts).toBeGreaterThan(20)
}, 60_000)

test('summaries of checks, of the days that were over', async () => {
  const store = createSqliteStore({
    database: new DatabaseSync(':memory:'),
    sessions: rules,
    tombstoneMs: 1e9,
  })
  const all = createRebuild(rules)
  const published: PackageEvent[] = []
  let nowMs = startMs
  const loop = createSessionLoop({
    ...{ store, summarise, needsManifests, node: 'node', sessions: rules, log, intervalMs: 0 },
    publish: async (events) => {
      published.push(...events)
    },
    watermark: () => nowMs,
  })
  // From noon to noon: the second day is not over.
  for (let hour = 0; hour < 24; hour += 1) {
    const fields = { at: hour * 3_600_000, session_id: hexId(`poll ${hour}`) }
    const poll = manifestRequest(recordId(hour), 'HEAD', hour % 3 === 0 ? 'a' : 'b', fields)
    await store.addEntries([poll])
    all.addRequest(poll)
    nowMs = startMs + fields.at + 20_000
    await loop.sweep()
  }
  expect(byId(published)).toEqual(byId(all.events()))
  const counts = published.flatMap(({ checks }) => (checks === null ? [] : [checks.count]))
  expect(counts.toSorted()).toEqual([4, 8])
})
