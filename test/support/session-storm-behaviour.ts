/** Nothing lost and nothing counted twice, whatever fails and repeats: the session loop in a random storm. */
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { PackageEvent } from '../../src/record/events.ts'
import { createSessionLoop } from '../../src/sessionizer/session-loop.ts'
import type { SessionStore } from '../../src/sessionizer/store.ts'
import { createRandom } from './random.ts'
import { startMs } from './session-facts.ts'
import { type OpenStore, rules } from './session-store-behaviour.ts'
import { createGrouping, createStorm, expectedEvents, stormMs } from './session-storm.ts'

const log = { info() {}, warn() {}, error() {} }

export function testSessionStorm(open: OpenStore, seeds: readonly number[] = [1, 2, 3]): void {
  test.each(seeds)(
    'whatever breaks when and comes how often, every pull is counted once (%i)',
    async (seed) => {
      const random = createRandom(seed)
      const storm = createStorm(random, 60)
      const store = await open({ leaseMs: 3 })
      let calm = false
      const published = new Map<string, PackageEvent>()
      const grouping = createGrouping(rules)

      /** Each call may fail before or after its work. */
      function shaky<T extends (...args: never[]) => Promise<unknown>>(call: T): T {
        return (async (...args: never[]) => {
          const roll = calm ? 1 : random.next()
          if (roll < 0.06) throw new Error('lost on the way there')
          const result = await call(...args)
          if (roll < 0.12) throw new Error('lost on the way back')
          return result
        }) as T
      }
      const shakyStore = Object.fromEntries(
        Object.entries(store).map(([name, method]) => [name, shaky(method as () => Promise<unknown>)]),
      ) as unknown as SessionStore
      let nowMs = startMs
      const acked = new Set<string>()
      const undelivered = (node: string) =>
        storm.filter((fact) => fact.endMs <= nowMs && fact.node === node && !acked.has(fact.event.id))
      const startLoop = (node: string) =>
        createSessionLoop({
          store: shakyStore,
          summarise: grouping,
          needsManifests: () => [],
          publish: shaky(async (events: PackageEvent[]) => {
            for (const event of events) {
              // A repeat says the same.
              expect(published.get(event.id) ?? event).toEqual(event)
              published.set(event.id, event)
            }
          }),
          watermark: () => Math.min(nowMs, ...undelivered(node).map(({ event }) => Date.parse(event.time))),
          node,
          sessions: rules,
          log,
          intervalMs: 0,
          backoffMs: { first: 0, longest: 0 },
        })
      // Both nodes are known before either closes anything.
      await store.publishWatermark('a', startMs)
      await store.publishWatermark('b', startMs)
      let loops = [startLoop('a'), startLoop('b')]
      async function deliver(): Promise<void> {
        for (const node of ['a', 'b']) {
          const waiting = undelivered(node)
          const batch = waiting.filter(() => calm || random.below(3) > 0)
          const again = storm.filter((fact) => acked.has(fact.event.id) && random.below(20) === 0)
          const entries = [...batch, ...again].sort(() => random.next() - 0.5).map(({ event }) => event)
          const isDone = await shakyStore.addEntries(entries).then(
            () => true,
            () => false,
          )
          if (isDone) for (const { event } of batch) acked.add(event.id)
        }
      }
      const endMs = startMs + stormMs + 600_000
      while (nowMs < endMs) {
        nowMs += 500 + random.below(6000)
        if (nowMs >= endMs) calm = true
        await deliver()
        await Promise.all(loops.map((loop) => loop.sweep()))
        // A crash: its leases are left to run out.
        if (random.below(10) === 0) loops = [startLoop('a'), startLoop('b')]
      }
      for (let tries = 0; tries < 500 && (await store.openSessions()) > 0; tries++) {
        nowMs += 60_000
        await Promise.all(loops.map((loop) => loop.sweep()))
        await delay(2) // for leases, which run by the wall clock
      }
      expect(await store.openSessions()).toBe(0)
      const expected = expectedEvents(storm, rules)
      expect(expected.size).toBeGreaterThan(50)
      expect([...expected.values()].some((event) => event.session_ids.length === 2)).toBe(true)
      expect(new Map([...published].sort())).toEqual(new Map([...expected].sort()))
    },
  )
}
