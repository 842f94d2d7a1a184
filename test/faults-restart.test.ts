/** A Waybill that stops, or is killed, with open sessions and a log that was not delivered goes on where it was. */
import { afterAll, beforeAll, test } from 'vitest'
import { readMetric, showLog } from './support/admin.ts'
import { readPackageEvents, readRequestEvents } from './support/embedded-events.ts'
import { countSessions, type Pull, rowsOfEvents, rowsOfPulls, startPullLoad } from './support/pull-load.ts'
import { type PulledRegistry, startPulledRegistry, startRecordingWaybill } from './support/pulled-waybill.ts'
import { startRedis } from './support/redis.ts'

/** The promise is 500 ms; what is written at once survives the end of the process even before. */
const safeAfterMs = 1000

let upstream: PulledRegistry
beforeAll(async () => {
  upstream = await startPulledRegistry()
})
afterAll(() => upstream.registry.stop())

const restarts = [
  { signal: 'SIGTERM', store: 'SQLite' },
  { signal: 'SIGKILL', store: 'SQLite' },
  { signal: 'SIGTERM', store: 'a Redis that hangs' },
  { signal: 'SIGKILL', store: 'a Redis that hangs' },
] as const

test.concurrent.for(restarts)('$signal, sessions in $store', async ({ signal, store }, context) => {
  const { expect, onTestFailed } = context
  const redis = store === 'SQLite' ? null : await startRedis({ persist: true })
  const { images, registry } = upstream
  const args = redis === null ? [] : ['--redis', redis.url]
  const first = await startRecordingWaybill(registry.url, { args })
  onTestFailed(() => showLog(first))
  const load = startPullLoad({ url: first.url, images, perSecond: 5, name: '1' })
  await expect.poll(() => readPackageEvents(first.data).length, { timeout: 30_000 }).toBeGreaterThan(5)
  redis?.pause()
  const before = load.pulls.length
  await expect.poll(() => load.pulls.length, { timeout: 20_000 }).toBeGreaterThan(before + 20)
  if (redis !== null) {
    await expect
      .poll(() => readMetric(first, 'waybill_log_undelivered_records', { target: 'sessions' }), {
        timeout: 20_000,
      })
      .toBeGreaterThan(100)
  }
  expect(await readMetric(first, 'waybill_log_dropped_records_total')).toBe(0)

  let safe: Pull[]
  if (signal === 'SIGTERM') {
    await load.stop()
    expect(load.failures).toEqual([])
    safe = [...load.pulls]
    expect(await first.stop()).toBe(0)
  } else {
    const killedMs = Date.now()
    safe = load.pulls.filter(({ endedMs }) => endedMs < killedMs - safeAfterMs)
    await first.kill()
    await load.stop()
  }
  expect(readPackageEvents(first.data).length).toBeLessThan(safe.length)
  redis?.resume()

  const second = await startRecordingWaybill(registry.url, { args, data: first.data })
  onTestFailed(() => showLog(second))
  const more = startPullLoad({ url: second.url, images, perSecond: 5, name: '2' })
  await expect.poll(() => more.pulls.length, { timeout: 20_000 }).toBeGreaterThan(5)
  await more.stop()
  expect(more.failures).toEqual([])
  safe.push(...more.pulls)
  const safeVersions = new Set(safe.map(({ version }) => version))
  const isSafe = ({ client }: { client: { version: string | null } }) =>
    safeVersions.has(client.version ?? '')
  await expect
    .poll(() => readPackageEvents(second.data).filter(isSafe).length, { timeout: 40_000 })
    .toBeGreaterThanOrEqual(safe.length)
  expect(await second.stop()).toBe(0)
  await redis?.stop()

  const events = readPackageEvents(second.data)
  const requests = readRequestEvents(second.data)
  expect(rowsOfEvents(events.filter(isSafe))).toEqual(rowsOfPulls(safe))
  expect(requests.filter(isSafe)).toHaveLength(safe.reduce((sum, { answered }) => sum + answered, 0))
  expect(countSessions(requests.filter(isSafe), events)).toEqual(
    rowsOfPulls(safe).map(({ version, requests }) => ({ version, requests, events: 1 })),
  )
  // What ended just before the kill, or was cut off by it, may be lost or counted: but never twice.
  const versions = events.map(({ client }) => client.version)
  expect(versions).toHaveLength(new Set(versions).size)
})
