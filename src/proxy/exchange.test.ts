/** What is under way holds the sessions until it is known: the watermark must never pass a request that nobody told of. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { WaybillRecord } from '../record/record.ts'
import { createExchanges, type Exchange, newRecord } from './exchange.ts'
import type { ProxyCounters } from './types.ts'

const heartbeatMs = 20_000

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function open() {
  let [told, sequence] = [0, 0]
  const records: Pick<WaybillRecord, 'kind' | 'startMs'>[] = []
  const exchanges = createExchanges({
    counters: { countRequest() {}, countAbort() {} } as unknown as ProxyCounters,
    records: {
      write: ({ kind, startMs }) => records.push({ kind, startMs }) > 0,
      nextSequence: () => sequence++,
      tell: (upToMs) => {
        told = upToMs
      },
    },
    heartbeatMs,
    waitMs: 90_000,
    expire() {},
    leave() {},
  })
  const start = (): Exchange => {
    const record = newRecord('blob', new Uint8Array(16))
    const exchange = { record, startedMs: performance.now(), isRecorded: true, over: false, isHeld: false }
    const held = { ...exchange, ticket: -1, sender: null, nextHeartbeatMs: 0 } as unknown as Exchange
    exchanges.hold(held)
    return held
  }
  return { exchanges, records, start, told: () => told, kinds: () => records.map(({ kind }) => kind) }
}

test('a transfer holds the sessions until its first heartbeat, and no longer', () => {
  const { exchanges, start, told, kinds } = open()
  vi.advanceTimersByTime(1000)
  expect(told()).toBe(Date.now())
  const exchange = start()
  exchanges.begin(exchange, 200, 'relay')
  vi.advanceTimersByTime(1800)
  expect([told(), kinds()]).toEqual([exchange.record.startMs, []])
  vi.advanceTimersByTime(1400)
  expect([told(), kinds()]).toEqual([Date.now(), ['heartbeat']])
  // The others come as seldom as they may.
  vi.advanceTimersByTime(heartbeatMs - 2000)
  expect(kinds()).toEqual(['heartbeat'])
  vi.advanceTimersByTime(2000)
  expect(kinds()).toEqual(['heartbeat', 'heartbeat'])
  exchanges.complete(exchange, 100)
  expect(kinds()).toEqual(['heartbeat', 'heartbeat', 'request'])
  exchanges.close()
  expect(told()).toBe(Number.MAX_SAFE_INTEGER)
})

test('a request without an answer holds the sessions, but not for longer than they wait for heartbeats', () => {
  const { exchanges, start, told, kinds } = open()
  const exchange = start()
  vi.advanceTimersByTime(heartbeatMs - 200)
  expect([told(), kinds()]).toEqual([exchange.record.startMs, []])
  vi.advanceTimersByTime(400)
  expect(told()).toBe(Date.now())
  exchanges.begin(exchange, 200, 'relay')
  vi.advanceTimersByTime(1000)
  expect(kinds()).toEqual(['heartbeat'])
  exchanges.close()
})
