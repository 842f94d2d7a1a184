/** A pool worker, or the session thread, that ends in the middle of its work loses no record and doubles none. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, test } from 'vitest'
import { readMetric, showLog } from './support/admin.ts'
import { readPackageEvents, readRequestEvents } from './support/embedded-events.ts'
import { temporaryFolder } from './support/processes.ts'
import { countSessions, rowsOfEvents, rowsOfPulls, startPullLoad } from './support/pull-load.ts'
import { type PulledRegistry, startPulledRegistry, startRecordingWaybill } from './support/pulled-waybill.ts'
import { preloadWorkerFaults } from './support/worker-faults.ts'

let upstream: PulledRegistry
beforeAll(async () => {
  upstream = await startPulledRegistry()
})
afterAll(() => upstream.registry.stop())

const faults = [
  // The batch is nowhere but in its ring; or it is safe, and nobody knows.
  { fault: 'exit-before-write', restarts: 3, said: '"reason":"worker_exit"' },
  { fault: 'exit-after-write', restarts: 3, said: '"reason":"worker_exit"' },
  // Of the session thread, which the workers wait for.
  { fault: 'exit-before-commit', restarts: 0, said: 'the session thread was replaced' },
  { fault: 'exit-after-commit', restarts: 0, said: 'the session thread was replaced' },
]

test.concurrent.for(faults)('$fault', async ({ fault, restarts, said }, { expect, onTestFailed }) => {
  const folder = temporaryFolder('fault')
  const waybill = await startRecordingWaybill(upstream.registry.url, { env: preloadWorkerFaults(folder) })
  onTestFailed(() => showLog(waybill))
  const load = startPullLoad({ url: waybill.url, images: upstream.images, perSecond: 6 })
  for (const pulls of [5, 20, 35]) {
    await expect.poll(() => load.pulls.length, { timeout: 20_000 }).toBeGreaterThan(pulls)
    writeFileSync(join(folder, fault), '')
    await expect.poll(() => existsSync(join(folder, fault)), { timeout: 10_000 }).toBe(false)
  }
  await expect.poll(() => load.pulls.length, { timeout: 20_000 }).toBeGreaterThan(50)
  await load.stop()
  expect(load.failures).toEqual([])

  await expect
    .poll(() => readPackageEvents(waybill.data).length, { timeout: 20_000 })
    .toBeGreaterThanOrEqual(load.pulls.length)
  await expect
    .poll(() => readMetric(waybill, 'waybill_log_undelivered_records', { target: 'publisher' }), {
      timeout: 20_000,
    })
    .toBe(0)
  expect(await readMetric(waybill, 'waybill_workers_restarts_total')).toBe(restarts)
  expect(await waybill.stop()).toBe(0)

  const events = readPackageEvents(waybill.data)
  const requests = readRequestEvents(waybill.data)
  expect(rowsOfEvents(events)).toEqual(rowsOfPulls(load.pulls))
  expect(requests).toHaveLength(load.answered())
  expect(countSessions(requests, events)).toEqual(
    rowsOfPulls(load.pulls).map((row) => ({ version: row.version, requests: row.requests, events: 1 })),
  )
  expect(waybill.stderr()).toContain(said)
})
