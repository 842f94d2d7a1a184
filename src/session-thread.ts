/**
 * Entry of the session thread: closes due sessions, publishes their events, and alone owns the SQLite file.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import type { Config } from './config/types.ts'
import { type Handlers, serveCalls } from './ops/calls.ts'
import { openDatabase } from './ops/database.ts'
import { attachDependencyStates } from './ops/dependencies.ts'
import { dependencyReasonOf } from './ops/dependency-reasons.ts'
import { watchEventLoop } from './ops/event-loop-watch.ts'
import { createLogger } from './ops/logging.ts'
import { createSharedCounters } from './ops/shared-counters.ts'
import { sharedMetrics } from './ops/shared-metrics.ts'
import type { DeadLetter } from './publisher/dead-letter.ts'
import { formatEventLine } from './publisher/event-line.ts'
import { joinSinks } from './publisher/event-sinks.ts'
import { createKafkaPublisher } from './publisher/kafka.ts'
import { startKafkaProbe } from './publisher/kafka-probe.ts'
import { createSqlitePublisher } from './publisher/sqlite.ts'
import type { PackageEvent } from './record/events.ts'
import { createRedisStore } from './sessionizer/redis-store.ts'
import { createSessionLoop } from './sessionizer/session-loop.ts'
import { createSqliteStore } from './sessionizer/sqlite-store.ts'
import { needsManifests, summarise } from './sessionizer/summarise.ts'
import { type PackedEntries, unpackEntries } from './workers/packed-entries.ts'

export type SessionThreadData = {
  config: Config
  node: string
  databasePath: string
  counters: SharedArrayBuffer
  dependencies: { names: readonly string[]; sab: SharedArrayBuffer }
  lag: { sab: SharedArrayBuffer; slot: number }
  /** Whether main wants a readable line for each package event. */
  lines: boolean
}

/** To the thread. */
export type SessionCommand =
  | { type: 'worker'; port: MessagePort }
  /** Unix ms of this node's oldest record that no store has; now when there is none. */
  | { type: 'watermark'; oldestMs: number }
  | { type: 'dead-letters'; letters: DeadLetter[] }
  | { type: 'stop' }

/** From the thread. */
export type SessionMessage =
  | { type: 'ready' }
  | { type: 'failed'; code: string; message: string }
  | { type: 'events'; lines: string[] }
  | { type: 'stopped' }

const kafkaTimeoutMs = 5000
const trimIntervalMs = 10_000

const data = workerData as SessionThreadData
const { config } = data
const main = parentPort as MessagePort
const log = createLogger(config.logLevel, { thread: 'session' })
const tell = (message: SessionMessage): void => main.postMessage(message)
const counters = createSharedCounters(sharedMetrics, data.counters)
const dependencies = attachDependencyStates(data.dependencies.names, data.dependencies.sab)

/** Runs a use of a dependency, and tells its circuit how it went. */
async function using<Value>(name: string, use: () => Value | Promise<Value>): Promise<Value> {
  const circuit = dependencies.circuit(name)
  try {
    const value = await use()
    circuit.succeeded()
    return value
  } catch (error) {
    circuit.failed(dependencyReasonOf(error))
    throw error
  }
}

function start(): void {
  const opened = openDatabase(data.databasePath)
  if (!opened.ok) {
    tell({ type: 'failed', code: 'DATABASE', message: opened.error })
    main.close()
    return
  }
  const { database } = opened
  const watch = watchEventLoop(data.lag)
  const sqlite = createSqlitePublisher({
    database,
    retention: config.retention,
    now: Date.now,
    log,
    onPublished: (stream, count) => counters.add('waybill_events_published_total', [stream, 'sqlite'], count),
  })
  const kafka = config.kafka
    ? createKafkaPublisher({
        config: config.kafka,
        clientId: `waybill-${data.node}`,
        node: data.node,
        log,
        timeoutMs: kafkaTimeoutMs,
        createTopics: config.kafka.createTopics,
        onPublished: (stream, count) =>
          counters.add('waybill_events_published_total', [stream, 'kafka'], count),
        onDeadLetter: (reason, count) => counters.add('waybill_dead_letters_total', [reason], count),
      })
    : null
  const kafkaCircuit = kafka && dependencies.circuit('kafka')
  const probe =
    kafka &&
    startKafkaProbe({
      check: kafka.check,
      isOk: () => dependencies.report('kafka').state === 'ok',
      succeeded: () => kafkaCircuit?.succeeded(),
      failed: (error) => kafkaCircuit?.failed(dependencyReasonOf(error)),
    })
  const rules = {
    sessions: config.sessions,
    tombstoneMs: config.log.maxAgeMs,
    onTagsRefused: (count: number) => counters.add('waybill_sessions_refused_tags_total', [], count),
  }
  const store = config.redis
    ? createRedisStore({ ...config.redis, ...rules, log })
    : createSqliteStore({ database, ...rules })
  const storeName = config.redis ? 'redis' : 'sqlite'

  let oldestMs = 0
  const publishAll = joinSinks<PackageEvent>(
    kafka && config.kafka?.eventsTopic ? (events) => using('kafka', () => kafka.publishEvents(events)) : null,
    (events) => using('sqlite', () => sqlite.publishEvents(events)),
  )
  const publish = async (events: PackageEvent[]): Promise<void> => {
    await publishAll(events)
    for (const { type, kind } of events) counters.add('waybill_events_total', [type, kind])
    if (data.lines) tell({ type: 'events', lines: events.map(formatEventLine) })
  }
  const loop = createSessionLoop({
    // The watermark is published with every sweep, so the state of the store is known without any traffic.
    store: {
      ...store,
      publishWatermark: (node, watermarkMs) =>
        using(storeName, () => store.publishWatermark(node, watermarkMs)),
    },
    summarise,
    needsManifests,
    publish,
    watermark: () => oldestMs,
    node: data.node,
    sessions: config.sessions,
    log,
    metrics: {
      open: (count) => counters.set('waybill_sessions_open', count),
      closed: (count) => counters.add('waybill_sessions_closed_total', [], count),
      late: (facts) => counters.add('waybill_sessions_late_facts_total', [], facts),
      checksMissed: ({ late, full }) => {
        counters.add('waybill_sessions_missed_checks_total', ['late'], late)
        counters.add('waybill_sessions_missed_checks_total', ['full'], full)
      },
      eventDelayMs: (ms) => counters.observe('waybill_events_delay_seconds', ms / 1000),
    },
  })

  const handlers: Handlers = {
    addEntries: (packed: PackedEntries) => using(storeName, () => store.addEntries(unpackEntries(packed))),
    publishEntries: (packed: PackedEntries) =>
      using('sqlite', () => sqlite.publishEntries(unpackEntries(packed))),
  }
  const served: { close(): void }[] = []
  let trimTimer = setTimeout(trim, trimIntervalMs)
  function trim(): void {
    let more = false
    try {
      more = sqlite.trim().more
    } catch (error) {
      log.warn({ err: error }, 'old events could not be deleted')
    }
    trimTimer = setTimeout(trim, more ? 100 : trimIntervalMs)
  }

  const stop = async (): Promise<void> => {
    await loop.drain()
    // The last one, which tells the other nodes whether there is more to wait for; without it they wait.
    await store.publishWatermark(data.node, oldestMs).catch(() => undefined)
    await loop.close()
    for (const each of served) each.close()
    probe?.close()
    clearTimeout(trimTimer)
    await Promise.all([store.close(), kafka?.close()])
    database.close()
    watch.close()
    tell({ type: 'stopped' })
    main.close()
  }

  main.on('message', (command: SessionCommand) => {
    if (command.type === 'watermark') oldestMs = command.oldestMs
    else if (command.type === 'worker') served.push(serveCalls(command.port, handlers))
    else if (command.type === 'dead-letters') {
      kafka?.publishDeadLetters(command.letters).catch((error) => {
        log.warn({ err: error }, 'dead letters were not published; they are in the data folder')
      })
    } else {
      stop().catch((error) => {
        log.error({ err: error }, 'the session thread did not stop in order')
        process.exit(1)
      })
    }
  })
  tell({ type: 'ready' })
}

start()
