/** The Kafka publisher against a real broker: what arrives, what is refused, and what happens while it is away. */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import kafkajs from 'kafkajs'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createKafkaPublisher, type KafkaPublisher } from '../src/publisher/kafka.ts'
import type { KafkaSettings } from '../src/publisher/kafka-connection.ts'
import type { LogEntry } from '../src/record/events.ts'
import { type KafkaBroker, readTopic, startKafka } from './support/kafka.ts'
import {
  bareRequestEvent,
  hexId,
  sampleManifest,
  samplePackageEvent,
  sampleRequestEvent,
} from './support/sample-events.ts'

let broker: KafkaBroker
const publishers: KafkaPublisher[] = []
const unhandled: unknown[] = []
const onUnhandled = (error: unknown) => void unhandled.push(error)

beforeAll(async () => {
  process.on('unhandledRejection', onUnhandled)
  broker = await startKafka()
})

afterEach(async () => {
  await Promise.all(publishers.splice(0).map((publisher) => publisher.close()))
})

afterAll(async () => {
  await broker?.stop()
  process.off('unhandledRejection', onUnhandled)
  expect(unhandled).toEqual([])
})

function settings(fields: Partial<KafkaSettings> = {}): KafkaSettings {
  const prefix = randomUUID()
  return {
    brokers: broker.brokers,
    ssl: false,
    sasl: null,
    compression: 'gzip',
    requestsTopic: `${prefix}.requests`,
    eventsTopic: `${prefix}.events`,
    deadLettersTopic: `${prefix}.dead-letters`,
    manifestsTopic: `${prefix}.manifests`,
    createTopics: true,
    partitions: 3,
    replicationFactor: 1,
    ...fields,
  }
}

function create(config: KafkaSettings, timeoutMs = 10_000) {
  const published: Record<string, number> = {}
  const dead: Record<string, number> = {}
  const states: boolean[] = []
  const logged: { level: string; text: string }[] = []
  const note = (level: string) => (fields: object, text: string) =>
    void logged.push({ level, text: `${text} ${JSON.stringify(fields)}` })
  const publisher = createKafkaPublisher({
    config,
    clientId: 'waybill-test',
    node: 'node-a',
    log: { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') },
    timeoutMs,
    createTopics: config.createTopics,
    onPublished: (stream, count) => {
      published[stream] = (published[stream] ?? 0) + count
    },
    onDeadLetter: (reason, count) => {
      dead[reason] = (dead[reason] ?? 0) + count
    },
    onState: (up) => void states.push(up),
  })
  publishers.push(publisher)
  return { publisher, published, dead, states, logged }
}

async function administer<T>(run: (admin: kafkajs.Admin) => Promise<T>): Promise<T> {
  const kafka = new kafkajs.Kafka({ brokers: broker.brokers, logLevel: kafkajs.logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  return await run(admin).finally(() => admin.disconnect())
}

function validator(name: string) {
  const schema = JSON.parse(
    readFileSync(new URL(`../schemas/${name}.json`, import.meta.url), 'utf8'),
  ) as object
  const validate = new Ajv2020({ allowUnionTypes: true, validateFormats: false }).compile(schema)
  return (value: unknown) => (validate(value) ? null : validate.errors)
}

const idsOf = (messages: { headers: { ce_id?: string } }[]) =>
  messages.map(({ headers }) => headers.ce_id).sort()

test('a batch arrives whole: count, keys, headers, timestamps, values by their schemas', async () => {
  const config = settings()
  const { publisher, published } = create(config)
  const requests = Array.from({ length: 5_000 }, (_, n) =>
    sampleRequestEvent(n, {
      session_id: hexId(n % 97),
      time: new Date(Date.UTC(2026, 1, 3) + n).toISOString(),
    }),
  )
  const entries: LogEntry[] = [
    ...requests,
    bareRequestEvent(9_999),
    { ...sampleRequestEvent(1), schema: 'waybill.heartbeat/1' },
    sampleManifest(77),
    sampleManifest(77),
  ]
  const events = Array.from({ length: 40 }, (_, n) => samplePackageEvent(n))

  await Promise.all([publisher.publishEntries(entries), publisher.publishEvents(events)])

  expect(published).toEqual({ requests: 5_001, manifests: 2, events: 40 })
  const received = await readTopic(broker.brokers, config.requestsTopic!)
  expect(idsOf(received)).toEqual([...requests.map(({ id }) => id), hexId(9_999)].sort())
  const validRequest = validator('request-event')
  for (const message of received) {
    const value = JSON.parse(message.value!) as ReturnType<typeof sampleRequestEvent>
    expect(validRequest(value)).toBeNull()
    expect(message.key).toBe(value.session_id ?? value.id)
    expect(message.timestamp).toBe(Date.parse(value.time))
    expect(message.headers).toEqual({
      ce_specversion: '1.0',
      ce_id: value.id,
      ce_type: 'waybill.request-event.v1',
      ce_source: 'waybill/node-a',
      ce_time: value.time,
      'content-type': 'application/json',
    })
  }
  // A session stays on one partition, in order.
  const partitions = new Map<string, Set<number>>()
  for (const { key, partition } of received) {
    partitions.set(key!, (partitions.get(key!) ?? new Set()).add(partition))
  }
  expect([...partitions.values()].every(({ size }) => size === 1)).toBe(true)
  expect(new Set(received.map(({ partition }) => partition)).size).toBe(3)

  const packages = await readTopic(broker.brokers, config.eventsTopic!)
  expect(packages.map(({ value }) => JSON.parse(value!)).sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual(
    events,
  )
  expect(packages.every(({ key, value }) => key === JSON.parse(value!).session_ids[0])).toBe(true)
  expect(new Set(packages.map(({ timestamp }) => timestamp))).toEqual(
    new Set([Date.parse(events[0]!.ended_at)]),
  )

  const manifests = await readTopic(broker.brokers, config.manifestsTopic!)
  expect(manifests.map(({ key }) => key)).toEqual([sampleManifest(77).digest, sampleManifest(77).digest])
  expect(JSON.parse(manifests[0]!.value!)).toEqual(sampleManifest(77))
})

test('creates missing topics once, the manifests compacted, and leaves those that are there', async () => {
  const config = settings()
  await administer((admin) =>
    admin.createTopics({ topics: [{ topic: config.eventsTopic!, numPartitions: 1, replicationFactor: 1 }] }),
  )
  const all = [create(config), create(config), create(config)]
  await Promise.all(all.map(({ publisher }, n) => publisher.publishEntries([sampleRequestEvent(n)])))
  await all[0]!.publisher.publishEvents([samplePackageEvent(1)])

  await administer(async (admin) => {
    const names = [
      config.requestsTopic!,
      config.eventsTopic!,
      config.manifestsTopic!,
      config.deadLettersTopic!,
    ]
    const { topics } = await admin.fetchTopicMetadata({ topics: names })
    const partitions = new Map(topics.map((topic) => [topic.name, topic.partitions.length]))
    expect(names.map((name) => partitions.get(name))).toEqual([3, 1, 3, 3])
    const described = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [config.manifestsTopic!, config.requestsTopic!].map((name) => ({
        type: kafkajs.ConfigResourceTypes.TOPIC,
        name,
        configNames: ['cleanup.policy'],
      })),
    })
    expect(described.resources.map(({ configEntries }) => configEntries[0]!.configValue)).toEqual([
      'compact',
      'delete',
    ])
  })
  expect(idsOf(await readTopic(broker.brokers, config.requestsTopic!))).toEqual([0, 1, 2].map(hexId))
})

test('topics that cannot be created say which setting to look at', async () => {
  const { publisher } = create(settings({ replicationFactor: 3 }))
  await expect(publisher.publishEvents([samplePackageEvent(1)])).rejects.toMatchObject({
    reason: 'topic_creation',
    message: expect.stringContaining('kafka.replicationFactor'),
  })
})

test('a missing topic is named with the setting, said once, and the others go on', async () => {
  const config = settings({ createTopics: false })
  await administer((admin) =>
    admin.createTopics({ topics: [{ topic: config.eventsTopic!, numPartitions: 1, replicationFactor: 1 }] }),
  )
  const { publisher, logged, states } = create(config)
  for (let n = 0; n < 3; n++) {
    await expect(publisher.publishEntries([sampleRequestEvent(n)])).rejects.toMatchObject({
      reason: 'unknown_topic',
      message: `Kafka has no topic ${config.requestsTopic}: create it, or set kafka.createTopics to true`,
    })
    await publisher.publishEvents([samplePackageEvent(n)])
  }
  expect(logged.filter(({ level }) => level === 'warn')).toHaveLength(1)
  expect(states).toEqual([false])
  expect(idsOf(await readTopic(broker.brokers, config.eventsTopic!))).toEqual([0, 1, 2].map(hexId))

  await administer((admin) =>
    admin.createTopics({
      topics: [{ topic: config.requestsTopic!, numPartitions: 1, replicationFactor: 1 }],
    }),
  )
  await publisher.publishEntries([sampleRequestEvent(7)])
  expect(states).toEqual([false, true])
})

test('a topic that is off is passed over', async () => {
  const config = settings({ requestsTopic: null, manifestsTopic: null })
  const { publisher, published } = create(config)
  await publisher.publishEntries([sampleRequestEvent(1), sampleManifest(1)])
  expect(published).toEqual({})
})

test('an oversize message becomes a dead letter, and all others arrive', async () => {
  const config = settings()
  const { publisher, dead, published } = create(config)
  // Random text: gzip must not bring it below the broker's limit of 1 MiB.
  const noise = Array.from({ length: 60_000 }, () => randomUUID()).join('')
  const huge = sampleRequestEvent(50, { session_id: hexId(0x50), reference: noise })
  const entries = Array.from({ length: 100 }, (_, n) => (n === 50 ? huge : sampleRequestEvent(n)))

  await publisher.publishEntries(entries)

  expect(dead).toEqual({ message_too_large: 1 })
  expect(published).toEqual({ requests: 99, 'dead-letters': 1 })
  const received = new Set(idsOf(await readTopic(broker.brokers, config.requestsTopic!)))
  expect(received.size).toBe(99)
  const letters = await readTopic(broker.brokers, config.deadLettersTopic!)
  const letter = JSON.parse(letters[0]!.value!)
  expect(letters).toHaveLength(1)
  expect(validator('dead-letter')(letter)).toBeNull()
  expect(letter).toMatchObject({
    id: hexId(50),
    key: hexId(0x50),
    stream: 'requests',
    reason: 'message_too_large',
    entry: null,
    bytes: Buffer.byteLength(JSON.stringify(huge)),
  })
})

test('a small limit of the topic: only what exceeds it is set aside, wherever it stands', async () => {
  const config = settings()
  await administer((admin) =>
    admin.createTopics({
      topics: [
        {
          topic: config.requestsTopic!,
          numPartitions: 1,
          replicationFactor: 1,
          configEntries: [{ name: 'max.message.bytes', value: '6000' }],
        },
      ],
    }),
  )
  const { publisher, dead } = create({ ...config, compression: 'none' })
  const entries = Array.from({ length: 20 }, (_, n) =>
    sampleRequestEvent(n, n % 7 === 0 ? { reference: 'x'.repeat(8_000) } : {}),
  )
  await publisher.publishEntries(entries)
  expect(dead).toEqual({ message_too_large: 3 })
  const received = new Set(idsOf(await readTopic(broker.brokers, config.requestsTopic!)))
  expect(received.size).toBe(17)
})

test('a timestamp that the broker refuses becomes a dead letter with its entry', async () => {
  const config = settings()
  const { publisher, dead } = create(config)
  // Kafka refuses what lies more than an hour ahead (log.message.timestamp.after.max.ms).
  const ahead = samplePackageEvent(1, { ended_at: new Date(Date.now() + 7_200_000).toISOString() })
  await publisher.publishEvents([ahead, samplePackageEvent(2)])
  expect(dead).toEqual({ invalid_timestamp: 1 })
  const [letter] = await readTopic(broker.brokers, config.deadLettersTopic!)
  expect(JSON.parse(JSON.parse(letter!.value!).entry)).toEqual(ahead)
})

test('without a dead-letter topic the message is counted and the rest proceeds', async () => {
  const config = settings({ deadLettersTopic: null })
  const { publisher, dead } = create(config)
  const ahead = samplePackageEvent(1, { ended_at: new Date(Date.now() + 7_200_000).toISOString() })
  await publisher.publishEvents([ahead, samplePackageEvent(2)])
  expect(dead).toEqual({ invalid_timestamp: 1 })
  expect(idsOf(await readTopic(broker.brokers, config.eventsTopic!))).toEqual([hexId(2)])
})

test('the broker dies and comes back: calls reject meanwhile, and nothing that resolved is missing', async () => {
  const config = settings()
  const { publisher, states, logged } = create(config, 3_000)
  const acknowledged = new Set<string>()
  let next = 0
  let rejected = 0
  let stop = false
  await publisher.publishEntries([sampleRequestEvent(next++)])
  const load = Array.from({ length: 6 }, async () => {
    while (!stop) {
      const batch = Array.from({ length: 20 }, () => sampleRequestEvent(next++))
      while (!stop) {
        try {
          await publisher.publishEntries(batch)
          for (const { id } of batch) acknowledged.add(id)
          break
        } catch {
          rejected++
          await new Promise((resolve) => setTimeout(resolve, 50))
        }
      }
    }
  })
  await expect.poll(() => acknowledged.size).toBeGreaterThan(200)
  const before = acknowledged.size

  await broker.restart({ kill: true })
  const restarted = acknowledged.size
  await expect.poll(() => acknowledged.size, { timeout: 30_000 }).toBeGreaterThan(restarted + 200)
  stop = true
  await Promise.all(load)

  expect(rejected).toBeGreaterThan(0)
  expect(before).toBeLessThan(acknowledged.size)
  const received = new Set(idsOf(await readTopic(broker.brokers, config.requestsTopic!)))
  expect([...acknowledged].filter((id) => !received.has(id))).toEqual([])
  expect(states[0]).toBe(false)
  expect(states.at(-1)).toBe(true)
  // Reasons may follow one another (unreachable, timeout), but no line is written for each try.
  expect(logged.filter(({ level }) => level === 'warn').length).toBeLessThan(10)
})

test('a broker that hangs for 10 s is given up within the timeout and used again after', async () => {
  const config = settings()
  const { publisher, states } = create(config, 2_000)
  await publisher.publishEvents([samplePackageEvent(1)])
  broker.pause()
  const started = performance.now()
  try {
    while (performance.now() - started < 10_000) {
      const called = performance.now()
      await expect(publisher.publishEvents([samplePackageEvent(2)])).rejects.toMatchObject({
        reason: expect.stringMatching(/^(timeout|unreachable)$/),
      })
      expect(performance.now() - called).toBeLessThan(5_000)
    }
  } finally {
    broker.resume()
  }
  await expect
    .poll(
      () =>
        publisher.publishEvents([samplePackageEvent(3)]).then(
          () => 'sent',
          () => 'rejected',
        ),
      {
        timeout: 20_000,
        interval: 200,
      },
    )
    .toBe('sent')
  expect(states).toEqual([false, true])
  const received = new Set(idsOf(await readTopic(broker.brokers, config.eventsTopic!)))
  expect(received.has(hexId(1)) && received.has(hexId(3))).toBe(true)
})

test('no broker at all: rejects at once with the broker named, and close ends', async () => {
  const { publisher } = create(settings({ brokers: ['127.0.0.1:1'] }), 2_000)
  const started = performance.now()
  await expect(publisher.publishEvents([samplePackageEvent(1)])).rejects.toMatchObject({
    reason: 'unreachable',
    message: expect.stringContaining('127.0.0.1:1'),
  })
  expect(performance.now() - started).toBeLessThan(2_500)
  await publisher.close()
  await expect(publisher.publishEvents([samplePackageEvent(1)])).rejects.toMatchObject({ reason: 'closed' })
})
