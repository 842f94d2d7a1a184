import { expect, test, vi } from 'vitest'
import { createExchanges, type Exchange, newRecord } from './exchange.ts'

function hold(
  exchanges: ReturnType<typeof createExchanges>,
  requestClass: 'manifest' | 'blob',
  startMs: number,
) {
  const record = { ...newRecord(requestClass, new Uint8Array(16)), startMs }
  const exchange = { record, isRecorded: true, startedMs: 0, ticket: -1, over: false, sender: null }
  exchanges.hold(exchange as unknown as Exchange)
  return exchange as unknown as Exchange
}

test('a manifest under way is told with its start, until it has left its record; blobs are not waited for', () => {
  const records = { nextSequence: () => 1, write: vi.fn() }
  const exchanges = createExchanges({
    ...{ counters: { countRequest() {}, countAbort() {} } as never, records: records as never },
    ...{ heartbeatMs: 60_000, waitMs: 60_000, expire() {}, leave() {} },
  })
  const startMs = Date.now() - 5000
  hold(exchanges, 'blob', startMs - 2000)
  expect(exchanges.runningSinceMs()).toBeGreaterThan(startMs)
  const manifest = hold(exchanges, 'manifest', startMs)
  hold(exchanges, 'manifest', startMs + 1000)
  expect(exchanges.runningSinceMs()).toBe(startMs)
  exchanges.complete(manifest, 0)
  expect(records.write).toHaveBeenCalledTimes(1)
  expect(exchanges.runningSinceMs()).toBe(startMs + 1000)
  exchanges.close()
})
