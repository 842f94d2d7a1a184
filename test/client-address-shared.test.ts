/** No address of a client is kept anywhere, whatever happens to its requests: with Redis and Kafka beside it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PackageEvent } from '../src/record/events.ts'
import { type AddressHit, createAddressScan, readFolder, readRows } from './support/address-scan.ts'
import {
  addressList,
  clientAddresses,
  pullAll,
  readPages,
  repository,
  sendMalformed,
  sendRefused,
  tag,
} from './support/address-traffic.ts'
import { readMetric, readReadiness } from './support/admin.ts'
import { type KafkaBroker, readTopic, startKafka } from './support/kafka.ts'
import { temporaryFolder } from './support/processes.ts'
import { marker, settle } from './support/pulls.ts'
import { dumpAll, type RedisServer, startRedis } from './support/redis.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { sharedData } from './support/shared-data.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

const topics = ['events', 'requests', 'manifests', 'dead-letters', 'small'].map((name) => `waybill.${name}`)
const scan = createAddressScan(addressList)
const hits: AddressHit[] = []
let registry: Registry
let redis: RedisServer
let kafka: KafkaBroker
let waybill: Waybill
let client: Redis
let monitor: Redis
/** Every command that reached Redis, values and all. */
const commands: string[] = []

/** `settings`: further keys of `kafka`. */
async function start(settings = ''): Promise<Waybill> {
  const database = (name: string) => sharedData(`maxmind/GeoLite2-${name}-Test.mmdb`)
  const file = join(temporaryFolder('config'), 'waybill.yaml')
  writeFileSync(
    file,
    `trustedProxies: [127.0.0.0/8]
geo: {city: "${database('City')}", asn: "${database('ASN')}", detail: city}
redis: {url: "${redis.url}"}
kafka: {brokers: ["${kafka.brokers[0]}"], ${settings}}
logLevel: debug
`,
  )
  return startWaybill({ args: ['--config', file, '--upstream', registry.url, '--session-idle', '2s'] })
}

beforeAll(async () => {
  ;[registry, redis, kafka] = await Promise.all([startRegistry(), startRedis(), startKafka()])
  await pushImage(registry, marker.repository, marker.tag, { layers: 1 })
  await pushImage(registry, repository, tag, { layerBytes: 4096 })
  const admin = new Kafka({ brokers: kafka.brokers, logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  await admin.createTopics({
    topics: topics.map((topic) => ({
      topic,
      // No request event is so small: each becomes a dead letter.
      ...(topic === 'waybill.small' && { configEntries: [{ name: 'max.message.bytes', value: '200' }] }),
    })),
  })
  await admin.disconnect()
  client = new Redis(redis.url)
  monitor = await client.monitor()
  monitor.on('monitor', (_time: string, args: string[]) => commands.push(args.join('\n')))
  waybill = await start()
})
afterAll(async () => {
  for (const connection of [monitor, client]) connection.disconnect()
  await Promise.all([registry.stop(), redis.stop(), kafka.stop()])
})

const events = async (): Promise<PackageEvent[]> =>
  (await readTopic(kafka.brokers, 'waybill.events')).map(({ value }) => JSON.parse(value ?? ''))
const countRequests = async () => (await readTopic(kafka.brokers, 'waybill.requests')).length
const stateOf = (name: string) => async () => (await readReadiness(waybill)).dependencies[name]?.state

function search(evidence: Iterable<readonly [string, Uint8Array | string]>): void {
  for (const [where, bytes] of evidence) hits.push(...scan.find(where, bytes))
}

test('the address tells country and network before it goes, and Redis never sees it', async () => {
  await pullAll(waybill.url)
  for (const address of addressList) {
    await sendRefused(waybill.url, address)
    await sendMalformed(waybill.url, address)
  }
  const dump = await dumpAll(redis.url)
  expect(dump.length).toBeGreaterThan(10_000)
  search([['Redis with sessions open', dump]])
  const found = await settle({ url: waybill.url, events })
  const pulls = found.filter(({ kind }) => kind === 'full')
  const expected = Object.values(clientAddresses).map(({ country, asn }) => `${country} ${asn}`)
  expect(pulls.map(({ geo, network }) => `${geo.country} ${network.asn}`).sort()).toEqual(expected.sort())
})

test('Redis and Kafka that hang', async () => {
  const before = await countRequests()
  for (const [name, service] of [
    ['redis', redis],
    ['kafka', kafka],
  ] as const) {
    service.pause()
    await pullAll(waybill.url, name)
    await expect.poll(stateOf(name), { timeout: 30_000 }).not.toBe('ok')
    search(await readPages(waybill))
    search(readFolder(waybill.data))
    service.resume()
    await expect.poll(stateOf(name), { timeout: 30_000 }).toBe('ok')
  }
  for (const target of ['sessions', 'publisher']) {
    await expect
      .poll(() => readMetric(waybill, 'waybill_log_undelivered_records', { target }), { timeout: 20_000 })
      .toBe(0)
  }
  // Ping, token, HEAD, two manifests, config and three layers for each.
  expect((await countRequests()) - before).toBeGreaterThanOrEqual(2 * 9 * addressList.length)
})

test('messages that Kafka refuses, and all that is left in the end', async () => {
  await settle({ url: waybill.url, events })
  search(await readPages(waybill))
  expect(await waybill.stop()).toBe(0)
  const refused = await start('requestsTopic: waybill.small')
  await pullAll(refused.url, 'refused')
  await expect
    .poll(() => readMetric(refused, 'waybill_dead_letters_total'), { timeout: 20_000 })
    .toBeGreaterThanOrEqual(9 * addressList.length)
  await settle({ url: refused.url, events })
  search(await readPages(refused))
  expect(await refused.stop()).toBe(0)

  for (const topic of topics) {
    const messages = await readTopic(kafka.brokers, topic)
    if (topic !== 'waybill.small') expect(messages.length, topic).toBeGreaterThan(0)
    search([[topic, JSON.stringify(messages)]])
  }
  for (const { data, stderr, stdout } of [waybill, refused]) {
    search(readFolder(data))
    search([
      ['rows of the database', readRows(join(data, 'waybill.db'))],
      ['stderr', stderr()],
      ['stdout', stdout()],
    ])
  }
  expect(commands.length).toBeGreaterThan(100)
  search([
    ['Redis', await dumpAll(redis.url)],
    ['commands to Redis', commands.join('\n')],
    ['what the upstream logged', registry.output()],
  ])
  expect(hits).toEqual([])
})
