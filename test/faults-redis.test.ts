/** A Redis that hangs, or is away and comes back with its data, delays no pull and costs no event. */
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, test } from 'vitest'
import { readLog, readMetric, readReadiness, showLog } from './support/admin.ts'
import { readPackageEvents, readRequestEvents } from './support/embedded-events.ts'
import { countSessions, rowsOfEvents, rowsOfPulls, startPullLoad } from './support/pull-load.ts'
import { type PulledRegistry, startPulledRegistry, startRecordingWaybill } from './support/pulled-waybill.ts'
import { type RedisServer, startRedis } from './support/redis.ts'

const faultMs = 20_000

let upstream: PulledRegistry
beforeAll(async () => {
  upstream = await startPulledRegistry()
})
afterAll(() => upstream.registry.stop())

const faults: [string, (redis: RedisServer) => Promise<void>][] = [
  [
    'stopped where it is for 20 s',
    async (redis) => {
      redis.pause()
      await delay(faultMs)
      redis.resume()
    },
  ],
  [
    'killed, away for 20 s, back with its data',
    (redis) => redis.restart({ kill: true, away: delay(faultMs) }),
  ],
]

test.concurrent.for(faults)('%s', async ([, suffer], { expect, onTestFailed }) => {
  const redis = await startRedis({ persist: true })
  const waybill = await startRecordingWaybill(upstream.registry.url, { args: ['--redis', redis.url] })
  onTestFailed(() => showLog(waybill))
  const load = startPullLoad({ url: waybill.url, images: upstream.images, perSecond: 6 })
  // Some sessions are closed, some open, some just begun when it happens.
  await expect.poll(() => readPackageEvents(waybill.data).length, { timeout: 20_000 }).toBeGreaterThan(5)

  const before = load.pulls.length
  const suffered = suffer(redis)
  await expect
    .poll(async () => (await readReadiness(waybill)).dependencies['redis']?.state, { timeout: 15_000 })
    .toBe('down')
  expect((await readReadiness(waybill)).code).toBe(200)
  expect(await readMetric(waybill, 'waybill_dependency_up', { name: 'redis' })).toBe(0)
  await suffered
  expect(load.pulls.length - before).toBeGreaterThan(90)
  await expect
    .poll(async () => (await readReadiness(waybill)).dependencies['redis']?.state, { timeout: 40_000 })
    .toBe('ok')
  await load.stop()
  expect(load.failures).toEqual([])

  await expect
    .poll(() => readPackageEvents(waybill.data).length, { timeout: 40_000 })
    .toBeGreaterThanOrEqual(load.pulls.length)
  expect(await waybill.stop()).toBe(0)
  await redis.stop()

  const events = readPackageEvents(waybill.data)
  const requests = readRequestEvents(waybill.data)
  expect(rowsOfEvents(events)).toEqual(rowsOfPulls(load.pulls))
  expect(requests).toHaveLength(load.answered())
  expect(countSessions(requests, events)).toEqual(
    rowsOfPulls(load.pulls).map(({ version, requests }) => ({ version, requests, events: 1 })),
  )
  expect(waybill.stderr()).not.toContain(' at ')
  // A line when it begins and when it ends, in each of three threads; not one a try.
  expect(readLog(waybill).filter(({ level }) => level === 'warn').length).toBeLessThan(20)
})
