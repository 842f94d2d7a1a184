/** A node that dies between any two steps: whatever it had begun, others end it, and each request counts once. */
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { LogEntry, PackageEvent } from '../../src/record/events.ts'
import { createSessionLoop } from '../../src/sessionizer/session-loop.ts'
import type { SessionStore } from '../../src/sessionizer/store.ts'
import { needsManifests, summarise } from '../../src/sessionizer/summarise.ts'
import {
  digestOf,
  hexId,
  imageManifest,
  manifestRequest,
  recordId,
  request,
  startMs,
} from './session-facts.ts'
import { type OpenStore, rules } from './session-store-behaviour.ts'

const log = { info() {}, warn() {}, error() {} }
const requests = 6

/** containerd: HEAD on one token, the rest on another, which is renewed before the last layer. */
function pullOnThreeTokens(): LogEntry[] {
  const layers = ['l1', 'l2'].map((name) => ({
    ...{ digest: digestOf(name), size: 3_402_100, media_type: 'layer', foreign: false },
  }))
  const of = (session: string, at: number) => ({ at, session_id: hexId(session) })
  return [
    { ...imageManifest('app'), layers },
    manifestRequest(recordId(1), 'HEAD', '1.0', { ...of('head', 0), digest: digestOf('app') }),
    manifestRequest(recordId(2), 'GET', digestOf('app'), of('get', 100)),
    request(recordId(3), { ...of('get', 200), digest: digestOf('app config') }),
    request(recordId(4), { ...of('get', 300), digest: digestOf('l1') }),
    request(recordId(5), { ...of('renewed', 400), digest: digestOf('l2') }),
    // Of another machine behind the address.
    manifestRequest(recordId(6), 'HEAD', '1.0', { ...of('other', 500), digest: digestOf('app') }),
  ]
}

type Outcome = { events: Map<string, PackageEvent>; steps: number }

/** Dies at that step and is started again. `whileAway`: what happens to the store meanwhile. */
async function runWithCrash(
  open: OpenStore,
  crashAt: number,
  whileAway: () => Promise<void>,
): Promise<Outcome> {
  let steps = 0
  let isRunning = false
  const step = () => {
    if (isRunning && steps >= crashAt) throw new Error('crashed')
    if (isRunning) steps += 1
  }
  const store = await open({ leaseMs: 1, beforeCall: step })
  const breaking = Object.fromEntries(
    Object.entries(store).map(([name, method]) => [
      name,
      async (...args: unknown[]) => {
        step()
        const result = await (method as (...args: unknown[]) => unknown)(...args)
        step()
        return result
      },
    ]),
  ) as unknown as SessionStore
  await store.addEntries(pullOnThreeTokens())
  const events = new Map<string, PackageEvent>()
  let watermarkMs = startMs + 20_000
  const startLoop = () =>
    createSessionLoop({
      ...{ store: breaking, summarise, needsManifests, node: hexId('node'), sessions: rules, log },
      publish: async (some) => {
        step()
        for (const event of some) {
          expect(events.get(event.id) ?? event, 'a repeat says the same').toEqual(event)
          events.set(event.id, event)
        }
        step()
      },
      watermark: () => watermarkMs,
      intervalMs: 0,
      backoffMs: { first: 0, longest: 0 },
    })
  isRunning = true
  await startLoop().sweep()
  isRunning = false
  await whileAway()
  watermarkMs += 200_000
  const next = startLoop()
  await expect
    .poll(
      async () => {
        await delay(2) // for leases, which run by the wall clock
        await next.sweep()
        return store.openSessions()
      },
      { timeout: 10_000, interval: 1 },
    )
    .toBe(0)
  return { events, steps }
}

const inOrder = ({ events }: Outcome) => [...events.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1))

/** `forget`: drops what the store remembers of its decisions, as it does after some time. */
export function testSessionCrashes(open: OpenStore, forget?: () => Promise<void>): void {
  test('a crash between any two steps changes no event', async () => {
    const nothing = async () => undefined
    const whole = await runWithCrash(open, Number.POSITIVE_INFINITY, nothing)
    expect(
      inOrder(whole)
        .map(({ kind, session_ids }) => [kind, session_ids.length])
        .sort(),
    ).toEqual([
      ['check', 1],
      ['full', 3],
    ])
    expect(whole.steps).toBeGreaterThan(20)
    for (let at = 0; at < whole.steps; at += 1) {
      expect(inOrder(await runWithCrash(open, at, nothing)), `step ${at}`).toEqual(inOrder(whole))
    }
  }, 60_000)

  if (forget === undefined) return
  test('nor does it count anything twice, when all nodes are away for long', async () => {
    const { steps } = await runWithCrash(open, Number.POSITIVE_INFINITY, async () => undefined)
    for (let at = 0; at < steps; at += 1) {
      const counted = inOrder(await runWithCrash(open, at, forget)).reduce(
        (sum, { requests: own }) => sum + own,
        0,
      )
      expect(counted, `step ${at}`).toBe(requests)
    }
  }, 60_000)
}
