/**
 * Publishes to Kafka: what a call hands in is acknowledged by all replicas when its promise resolves, or
 * handed in again later by the log.
 */
import { setTimeout as wait } from 'node:timers/promises'
import kafkajs from 'kafkajs'
import type { LogEntry, PackageEvent } from '../record/events.ts'
import { type DeadLetter, type DeadLetterReason, toDeadLetter } from './dead-letter.ts'
import { createKafkaConnection, type KafkaSettings, type Log } from './kafka-connection.ts'
import { deadLetterReason, explain, innermostCause, isPassing, publishError } from './kafka-errors.ts'
import { createKafkaState } from './kafka-state.ts'
import { createMissingTopics } from './kafka-topics.ts'
import {
  deadLetterEntry,
  manifestEntry,
  type PublishedEntry,
  packageEntry,
  requestEntry,
  type Stream,
  splitByBytes,
} from './messages.ts'
import { createSlots } from './slots.ts'

export type KafkaPublisherOptions = {
  config: KafkaSettings
  clientId: string
  /** Names this node in `ce_source` and in dead letters. */
  node: string
  log: Log
  /** For each request to a broker, connecting included. */
  timeoutMs: number
  /** Create missing topics when first needed. */
  createTopics: boolean
  /** Messages acknowledged. */
  onPublished(stream: Stream, count: number): void
  /** Entries that the broker will never take; already in the dead-letter topic, unless that is off. */
  onDeadLetter(reason: DeadLetterReason, count: number): void
  /** Whether everything was taken last; `why` names the first topic that is not. */
  onState?(up: boolean, why: string | null): void
}

export type KafkaPublisher = {
  /**
   * Request events and manifests; heartbeats are passed over. Resolves when all are acknowledged or are dead
   * letters; rejects with a `PublishError` when any was not: hand all of them in again.
   */
  publishEntries(entries: readonly LogEntry[]): Promise<void>
  publishEvents(events: readonly PackageEvent[]): Promise<void>
  publishDeadLetters(letters: readonly DeadLetter[]): Promise<void>
  /** Rejects with a `PublishError` when Kafka cannot be reached or lacks a topic that nobody will create. */
  check(): Promise<void>
  close(): Promise<void>
}

/** The broker's default `message.max.bytes` is 1,048,588 for a batch; this leaves room for its framing. */
const requestBytes = 900 * 1024
/** Four requests in flight fill a connection (measured: 130,000 records a second from one thread). */
const requestsInFlight = 4
/** At `requestBytes` each, what waits here is at most 56 MiB, and is in the log as well. */
const requestsWaiting = 64
const tries = 3
const firstPauseMs = 100

type Rejected = { entry: PublishedEntry; reason: DeadLetterReason }

export function createKafkaPublisher(options: KafkaPublisherOptions): KafkaPublisher {
  const { config, node, log, timeoutMs } = options
  const connection = createKafkaConnection({ settings: config, clientId: options.clientId, log, timeoutMs })
  const slots = createSlots({ running: requestsInFlight, waiting: requestsWaiting })
  const state = createKafkaState({ log, now: Date.now, onState: options.onState ?? (() => undefined) })
  const compression =
    config.compression === 'gzip' ? kafkajs.CompressionTypes.GZIP : kafkajs.CompressionTypes.None
  const topics: Record<Stream, string | null> = {
    events: config.eventsTopic,
    requests: config.requestsTopic,
    manifests: config.manifestsTopic,
    'dead-letters': config.deadLettersTopic,
  }
  let creating: Promise<void> | null = null

  function createTopics(): Promise<void> {
    creating ??= createMissingTopics(connection, config, log).finally(() => {
      creating = null
    })
    return creating
  }

  async function produce(topic: string, group: readonly PublishedEntry[]): Promise<void> {
    const messages = group.map(({ message }) => message)
    const started = performance.now()
    let mayCreate = options.createTopics
    for (let attempt = 1; ; attempt++) {
      try {
        await connection.use((producer) =>
          producer.send({ topic, acks: -1, timeout: timeoutMs, compression, messages }),
        )
        return
      } catch (error) {
        const unknown = innermostCause(error).type === 'UNKNOWN_TOPIC_OR_PARTITION'
        const inTime = attempt < tries && performance.now() - started < timeoutMs
        if (unknown && mayCreate) {
          mayCreate = false
          await createTopics()
        } else if (inTime && (isPassing(error) || (unknown && options.createTopics))) {
          // A new topic is known to one broker a little before the others.
          await wait(firstPauseMs * 2 ** (attempt - 1))
        } else throw error
      }
    }
  }

  /** Halves what the broker refuses for one message's sake until that message stands alone. */
  async function send(topic: string, group: readonly PublishedEntry[]): Promise<Rejected[]> {
    try {
      const sent = slots.tryRun(() => produce(topic, group))
      if (sent === null) throw publishError('busy', 'Too many requests to Kafka are waiting')
      await sent
      options.onPublished(group[0]!.stream, group.length)
      return []
    } catch (error) {
      const reason = deadLetterReason(error)
      if (reason === null) throw error
      if (group.length === 1) return [{ entry: group[0]!, reason }]
      const middle = group.length >> 1
      return [...(await send(topic, group.slice(0, middle))), ...(await send(topic, group.slice(middle)))]
    }
  }

  async function publish(stream: Stream, entries: readonly PublishedEntry[]): Promise<Rejected[]> {
    const topic = topics[stream]
    if (topic === null || entries.length === 0) return []
    const results = await Promise.allSettled(
      splitByBytes(entries, requestBytes).map((group) => send(topic, group)),
    )
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) {
      const error = explain(failed.reason, topic)
      state.failed(topic, error)
      throw error
    }
    state.succeeded(topic)
    return results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []))
  }

  async function setAside(rejected: readonly Rejected[]): Promise<void> {
    if (rejected.length === 0) return
    const letters = rejected.map(({ entry, reason }) => toDeadLetter(entry, reason, Date.now(), node))
    await publishDeadLetters(letters)
    for (const [reason, count] of countReasons(rejected)) {
      log.warn({ reason, count }, 'Kafka will never take some messages: set aside as dead letters')
      options.onDeadLetter(reason, count)
    }
  }

  async function publishDeadLetters(letters: readonly DeadLetter[]): Promise<void> {
    const rejected = await publish('dead-letters', letters.map(deadLetterEntry))
    if (rejected.length === 0) return
    // Without the entry it is small and plain; what is refused even so is counted and lost.
    const bare = rejected.map(({ entry }) => ({ ...(JSON.parse(entry.json) as DeadLetter), entry: null }))
    const lost = await publish('dead-letters', bare.map(deadLetterEntry))
    if (lost.length > 0) log.error({ count: lost.length }, 'Kafka refused dead letters: they are lost')
  }

  async function publishAll(streams: [Stream, PublishedEntry[]][]): Promise<void> {
    const results = await Promise.allSettled(
      streams.map(async ([stream, entries]) => setAside(await publish(stream, entries))),
    )
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  async function checkTopic(topic: string): Promise<void> {
    try {
      await connection.administer((admin) => admin.fetchTopicMetadata({ topics: [topic] }))
      state.succeeded(topic)
    } catch (error) {
      const explained = explain(error, topic)
      if (explained.reason === 'unknown_topic' && options.createTopics) return
      state.failed(topic, explained)
      throw explained
    }
  }

  return {
    async check() {
      for (const topic of new Set(Object.values(topics))) if (topic !== null) await checkTopic(topic)
    },
    async publishEntries(entries) {
      const requests: PublishedEntry[] = []
      const manifests: PublishedEntry[] = []
      for (const entry of entries) {
        if (entry.schema === 'waybill.request-event/1') {
          if (topics.requests !== null) requests.push(requestEntry(entry))
        } else if (entry.schema === 'waybill.manifest/1' && topics.manifests !== null) {
          manifests.push(manifestEntry(entry, Date.now(), node))
        }
      }
      await publishAll([
        ['requests', requests],
        ['manifests', manifests],
      ])
    },
    publishEvents: (events) => publishAll([['events', events.map(packageEntry)]]),
    publishDeadLetters,
    close: () => connection.close(),
  }
}

function countReasons(rejected: readonly Rejected[]): Map<DeadLetterReason, number> {
  const counts = new Map<DeadLetterReason, number>()
  for (const { reason } of rejected) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  return counts
}
