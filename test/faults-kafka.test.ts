/** A Kafka that hangs for 20 s, or is away so long, delays no pull, costs no event and doubles none. */
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, test } from 'vitest'
import type { PackageEvent, RequestEvent } from '../src/record/events.ts'
import { readLog, readMetric, readReadiness, showLog } from './support/admin.ts'
import { type KafkaBroker, readTopic, startKafka } from './support/kafka.ts'
import { countSessions, rowsOfEvents, rowsOfPulls, startPullLoad } from './support/pull-load.ts'
import { type PulledRegistry, startPulledRegistry, startRecordingWaybill } from './support/pulled-waybill.ts'

const faultMs = 20_000

let upstream: PulledRegistry
beforeAll(async () => {
  upstream = await startPulledRegistry()
})
afterAll(() => upstream.registry.stop())

/** Consumers drop repeats by id; a repeat must be the same in all its bytes. */
async function readOnce<Event extends { id: string }>(
  brokers: readonly string[],
  topic: string,
): Promise<Event[]> {
  const byId = new Map<string, string>()
  for (const { value } of await readTopic(brokers, topic)) {
    const { id } = JSON.parse(value ?? '{}') as Event
    const known = byId.get(id)
    if (known !== undefined && known !== value) throw new Error(`two messages ${id}: ${known}, ${value}`)
    byId.set(id, value ?? '')
  }
  return [...byId.values()].map((value) => JSON.parse(value) as Event)
}

const faults: [string, (kafka: KafkaBroker) => Promise<void>][] = [
  [
    'stopped where it is for 20 s',
    async (kafka) => {
      kafka.pause()
      await delay(faultMs)
      kafka.resume()
    },
  ],
  [
    'killed, away for 20 s, back with its data',
    (kafka) => kafka.restart({ kill: true, away: delay(faultMs) }),
  ],
]

test.concurrent.for(faults)('%s', async ([, suffer], { expect, onTestFailed }) => {
  const kafka = await startKafka()
  const waybill = await startRecordingWaybill(upstream.registry.url, {
    args: ['--kafka', kafka.brokers.join(',')],
    settings: 'kafka: {createTopics: true, partitions: 3, replicationFactor: 1}\n',
  })
  onTestFailed(() => showLog(waybill))
  const published = (stream: string) =>
    readMetric(waybill, 'waybill_events_published_total', { stream, sink: 'kafka' })
  const load = startPullLoad({ url: waybill.url, images: upstream.images, perSecond: 8 })
  await expect.poll(() => published('events'), { timeout: 30_000 }).toBeGreaterThan(5)

  const before = load.pulls.length
  const suffered = suffer(kafka)
  await expect
    .poll(async () => (await readReadiness(waybill)).dependencies['kafka']?.state, { timeout: 18_000 })
    .not.toBe('ok')
  expect((await readReadiness(waybill)).code).toBe(200)
  await suffered
  expect(load.pulls.length - before).toBeGreaterThan(120)
  await expect
    .poll(async () => (await readReadiness(waybill)).dependencies['kafka']?.state, { timeout: 60_000 })
    .toBe('ok')
  await load.stop()
  expect(load.failures).toEqual([])

  await expect.poll(() => published('events'), { timeout: 60_000 }).toBeGreaterThanOrEqual(load.pulls.length)
  await expect.poll(() => published('requests'), { timeout: 60_000 }).toBeGreaterThanOrEqual(load.answered())
  expect(await waybill.stop()).toBe(0)

  const events = await readOnce<PackageEvent>(kafka.brokers, 'waybill.events')
  const requests = await readOnce<RequestEvent>(kafka.brokers, 'waybill.requests')
  expect(rowsOfEvents(events)).toEqual(rowsOfPulls(load.pulls))
  expect(requests).toHaveLength(load.answered())
  expect(countSessions(requests, events)).toEqual(
    rowsOfPulls(load.pulls).map(({ version, requests }) => ({ version, requests, events: 1 })),
  )
  await kafka.stop()
  expect(readLog(waybill).filter(({ level }) => level === 'warn').length).toBeLessThan(20)
})
