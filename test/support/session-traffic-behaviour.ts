/**
 * What decides an event is what was requested and when: not how the requests were cut into batches, how often and in
 * which order they came, by which node or worker, when their sessions were looked at, nor where a node died meanwhile.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { LogEntry, PackageEvent } from '../../src/record/events.ts'
import { createTraffic, type Traffic } from '../../src/sessionizer/random-traffic.fixture.ts'
import { createRebuild } from '../../src/sessionizer/rebuild.ts'
import { createSessionLoop } from '../../src/sessionizer/session-loop.ts'
import type { SessionStore } from '../../src/sessionizer/store.ts'
import { needsManifests, summarise } from '../../src/sessionizer/summarise.ts'
import { createRandom, type Random } from './random.ts'
import { type OpenStore, rules } from './session-store-behaviour.ts'

const log = { info() {}, warn() {}, error() {} }
const nodes = ['node 0', 'node 1']
const byId = (events: Iterable<PackageEvent>) =>
  [...events].toSorted((a, b) => (a.id < b.id ? -1 : Number(a.id > b.id)))

function rebuild({ requests, manifests }: Traffic): PackageEvent[] {
  const all = createRebuild(rules)
  for (const manifest of manifests) all.addManifest(manifest)
  for (const request of requests) all.addRequest(request)
  return all.events()
}

/** See `createSessionIds`. */
const renewedId = Buffer.from('renew ').toString('hex')

const startOf = (entry: { time: string }) => Date.parse(entry.time)

/** From time to time it dies, and with it all that is done until it is started again. */
function createFate(random: Random) {
  let left = Number.POSITIVE_INFINITY
  let deaths = 0
  return {
    step(): void {
      if (left <= 0) throw new Error('dead')
      left -= 1
    },
    /** Returns false: it died meanwhile. */
    async live(work: () => Promise<unknown>, isCalm: boolean): Promise<boolean> {
      const steps = isCalm || random.below(4) > 0 ? Number.POSITIVE_INFINITY : random.below(40)
      left = steps
      const isDone = await work().then(
        () => left > 0,
        (error) => {
          if (left > 0) throw error
          return false
        },
      )
      left = Number.POSITIVE_INFINITY
      if (!isDone) deaths += 1
      return isDone
    },
    deaths: () => deaths,
  }
}

type Fate = ReturnType<typeof createFate>

/** Each call can be the last: before it, within it where it takes several, and after it. */
function withFate(store: SessionStore, fate: Fate): SessionStore {
  const methods = Object.entries(store).map(([name, method]) => [
    name,
    async (...args: unknown[]) => {
      fate.step()
      const result = await (method as (...args: unknown[]) => unknown)(...args)
      fate.step()
      return result
    },
  ])
  return Object.fromEntries(methods) as SessionStore
}

const leaseMs = 3

/**
 * All events that two nodes publish over one store, while what they delivered is cut, mixed, repeated at random, and
 * they die now and then.
 */
async function runLive(
  open: OpenStore,
  traffic: Traffic,
  random: Random,
): Promise<{ events: PackageEvent[]; deaths: number }> {
  const entries = [...traffic.requests, ...traffic.heartbeats].map((entry) => ({
    entry,
    /** When it is known: records are written when a request ends, heartbeats while it runs. */
    knownMs: startOf(entry) + entry.duration_ms,
    isDelivered: false,
  }))
  const fate = createFate(random)
  const store = await open({ tombstoneMs: 1e9, leaseMs, beforeCall: fate.step })
  const mortal = withFate(store, fate)
  const published = new Map<string, PackageEvent>()
  const repeats: [PackageEvent, PackageEvent][] = []
  const first = Math.min(...entries.map(({ entry }) => startOf(entry)))
  const last = Math.max(...entries.map(({ knownMs }) => knownMs))
  let nowMs = first
  /**
   * All that began before is known, or a heartbeat of it: what `summarise` takes for granted.
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
      ...{ store: mortal, summarise, needsManifests, node, sessions: rules, log, intervalMs: 0 },
      publish: async (events) => {
        if (random.below(12) === 0) throw new Error('away')
        fate.step()
        for (const event of events) {
          const before = published.get(event.id)
          if (before !== undefined) repeats.push([before, event])
          published.set(event.id, event)
        }
        fate.step()
      },
      watermark: () => oldest(node),
      backoffMs: { first: 0, longest: 0 },
    })
  const loops = nodes.map(startLoop)
  async function sweepAll(): Promise<void> {
    for (const [index, node] of nodes.entries()) {
      if (await fate.live(() => loops[index]?.sweep() ?? Promise.resolve(), nowMs > last)) continue
      loops[index] = startLoop(node)
      await delay(2 * leaseMs)
    }
  }
  await store.addEntries(traffic.manifests)
  for (const node of nodes) await store.publishWatermark(node, first)
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
      const batched = batch.map(({ entry }): LogEntry => entry)
      const isDone = await fate.live(() => mortal.addEntries(batched), nowMs > last)
      if (isDone) for (const one of batch) one.isDelivered = true
    }
    await sweepAll()
  }
  for (let round = 0; round < 50 && (await store.openSessions()) > 0; round += 1) {
    nowMs += rules.idleMs
    await delay(2 * leaseMs)
    await sweepAll()
  }
  for (const [before, event] of repeats) expect(event, 'a repeat says the same').toEqual(before)
  expect(await store.openSessions()).toBe(0)
  return { events: [...published.values()], deaths: fate.deaths() }
}

export function testSessionTraffic(open: OpenStore, seeds: number): void {
  test('live, in any batches and order, over two nodes that die, gives the events that all requests give at once', async () => {
    let [count, deaths] = [0, 0]
    const across = { inferred: 0, attempts: 0, renewed: 0 }
    for (let seed = 1; seed <= seeds; seed += 1) {
      const random = createRandom(seed)
      const traffic = createTraffic(random, 40, [30, 200, 500][seed % 3] as number)
      const live = await runLive(open, traffic, random)
      expect(byId(live.events), `seed ${seed}`).toEqual(byId(rebuild(traffic)))
      count += live.events.length
      deaths += live.deaths
      for (const { tag_source, attempts, session_ids } of live.events) {
        if (session_ids.length > 1 && session_ids.some((id) => id.startsWith(renewedId))) across.renewed += 1
        if (tag_source === 'inferred') across.inferred += 1
        if (attempts > 1) across.attempts += 1
      }
    }
    expect(count).toBeGreaterThan(25 * seeds)
    expect(deaths).toBeGreaterThan(3 * seeds)
    expect(across.inferred).toBeGreaterThanOrEqual(seeds)
    expect(across.attempts).toBeGreaterThanOrEqual(seeds)
    expect(across.renewed).toBeGreaterThanOrEqual(seeds)
  }, 120_000)
}
