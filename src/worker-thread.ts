/**
 * Entry of a pool worker: enriches batches, makes them safe in its log stream, and delivers that stream.
 */
import { MessageChannel, type MessagePort, parentPort, threadId } from 'node:worker_threads'
import { workerData } from 'piscina'
import type { Config } from './config/types.ts'
import { type NameTable, type PackedNames, unpackNames } from './index-names.ts'
import { createLogWriter } from './log/writer.ts'
import { type Caller, createCaller } from './ops/calls.ts'
import { attachDependencyStates } from './ops/dependencies.ts'
import { dependencyReasonOf } from './ops/dependency-reasons.ts'
import { watchEventLoop } from './ops/event-loop-watch.ts'
import { createLogger } from './ops/logging.ts'
import { createSharedCounters } from './ops/shared-counters.ts'
import { sharedMetrics } from './ops/shared-metrics.ts'
import { createKafkaPublisher } from './publisher/kafka.ts'
import type { LogEntry } from './record/events.ts'
import { createRedisStore } from './sessionizer/redis-store.ts'
import { createBatchTask } from './workers/batch.ts'
import { createClientMemory } from './workers/client-memory.ts'
import type { EntryFilter } from './workers/delivery-send.ts'
import { type EnrichmentServices, enrichmentSteps } from './workers/enrichment-steps.ts'
import { createGeoLookup } from './workers/geo.ts'
import type { GeoDatabases } from './workers/geo-database.ts'
import { createKeyCarry } from './workers/key-carry.ts'
import { createKeyReader } from './workers/key-reader.ts'
import { claimStatusRow, writeStatus } from './workers/log-status.ts'
import { parseManifest } from './workers/manifest-graph.ts'
import { packEntries } from './workers/packed-entries.ts'
import { createPseudonymizer } from './workers/pseudonym.ts'
import { createStreamDelivery, type StreamDelivery, type Targets } from './workers/stream-delivery.ts'
import { createUserAgentParser } from './workers/user-agent.ts'

export type WorkerThreadData = {
  config: Config
  node: string
  /** 16 hex digits of this start of the process. */
  boot: string
  logDirectory: string
  segmentBytes: number
  keyring: SharedArrayBuffer
  geo: GeoDatabases
  status: SharedArrayBuffer
  counters: SharedArrayBuffer
  dependencies: { names: readonly string[]; sab: SharedArrayBuffer }
  /** Workers take the slots from `firstSlot` on, by their row of the log status. */
  lag: { sab: SharedArrayBuffer; firstSlot: number }
}

export type WorkerTask =
  /** `cutMs`: when the dispatcher cut it, on the clock that all threads share (timeOrigin + now). */
  | {
      type: 'batch'
      cutMs: number
      ring: number
      sab: SharedArrayBuffer
      from: number
      to: number
      /** What the records' indexes stand for; never older than the records. */
      names: PackedNames
    }
  | { type: 'manifest'; digest: string; mediaType: string; bytes: Uint8Array }

/** The worker's first message. */
export type WorkerHello = { type: 'hello'; threadId: number; stream: string; control: MessagePort }

export type WorkerCommand =
  /** A port to the session thread, the first or that of a new one. */
  | { type: 'sessions'; port: MessagePort }
  /** Deliver what a dead worker left. */
  | { type: 'adopt'; stream: string }
  /** Databases that were loaded since; batches from now on look things up in them. */
  | { type: 'geo'; geo: GeoDatabases }
  | { type: 'drain'; deadlineMs: number }
export type WorkerReply =
  | { type: 'adopted'; stream: string }
  | { type: 'delivered'; stream: string }
  | { type: 'drained'; complete: boolean }

// Time for one send; the Kafka publisher tries up to three times within it.
const sendTimeoutMs = 20_000
const statusIntervalMs = 100
const drainTurnMs = 60_000
const adoptAgainMs = 5000

const data = workerData as WorkerThreadData
const { config } = data
const main = parentPort as MessagePort
const log = createLogger(config.logLevel, { thread: `worker-${threadId}` })
const counters = createSharedCounters(sharedMetrics, data.counters)
const dependencies = attachDependencyStates(data.dependencies.names, data.dependencies.sab)
// The row first: it is by its row that the main thread knows the stream to be in use.
const row = claimStatusRow(data.status, threadId)
const stream = `${data.boot}-${threadId}`
const watch = watchEventLoop({ sab: data.lag.sab, slot: data.lag.firstSlot + row })

let sessionThread: Caller | null = null
const redis = config.redis
  ? createRedisStore({
      ...config.redis,
      ...{ sessions: config.sessions, tombstoneMs: config.log.maxAgeMs, log },
      onTagsRefused: (count) => counters.add('waybill_sessions_refused_tags_total', [], count),
    })
  : null
const kafka = config.kafka
  ? createKafkaPublisher({
      config: config.kafka,
      clientId: `waybill-${data.node}`,
      node: data.node,
      log,
      timeoutMs: Math.floor(sendTimeoutMs / 4),
      createTopics: config.kafka.createTopics,
      onPublished: (name, count) => counters.add('waybill_events_published_total', [name, 'kafka'], count),
      onDeadLetter: (reason, count) => counters.add('waybill_dead_letters_total', [reason], count),
    })
  : null

const targets: Targets = {
  sessions: {
    dependency: redis ? 'redis' : 'sqlite',
    filter: (entry) => entry.schema === 'waybill.manifest/1' || entry.session_id !== null,
    send: (entries) => (redis ? redis.addEntries(entries) : callSessions('addEntries', entries)),
  },
  publisher: {
    dependency: kafka ? 'kafka' : 'sqlite',
    filter: publishedEntries(),
    send: (entries) => (kafka ? kafka.publishEntries(entries) : callSessions('publishEntries', entries)),
  },
}

function publishedEntries(): EntryFilter {
  if (kafka) return (entry) => entry.schema !== 'waybill.heartbeat/1'
  return config.retention.requestsMs > 0 ? (entry) => entry.schema === 'waybill.request-event/1' : null
}

function callSessions(method: 'addEntries' | 'publishEntries', entries: LogEntry[]): Promise<unknown> {
  if (!sessionThread) return Promise.reject(new Error('the session thread has not started'))
  return sessionThread.call(method, packEntries(entries))
}

function deliver(name: string, live: boolean): StreamDelivery {
  return createStreamDelivery({
    directory: data.logDirectory,
    stream: name,
    live,
    targets,
    circuit: (name) => dependencies.circuit(name, { probeMs: 2 * sendTimeoutMs }),
    reasonOf: dependencyReasonOf,
    timeoutMs: sendTimeoutMs,
    log,
    onCorrupt: () => counters.add('waybill_log_dropped_records_total', ['corrupt']),
  })
}

const writer = createLogWriter({
  directory: data.logDirectory,
  stream,
  segmentBytes: data.segmentBytes,
  onError: (error) => log.warn({ err: error }, 'the log could not be synced to disk'),
})
const own = deliver(stream, true)
const adopted = new Map<string, StreamDelivery>()

function publishStatus(): void {
  const all = [own, ...adopted.values()]
  const sum = (target: 'sessions' | 'publisher') => {
    const oldest = all.map((each) => each.oldestMs(target)).filter((each) => each !== null)
    return {
      undelivered: all.reduce((total, each) => total + each.undelivered(target), 0),
      oldestMs: oldest.length > 0 ? Math.min(...oldest) : null,
    }
  }
  writeStatus(data.status, row, { sessions: sum('sessions'), publisher: sum('publisher') })
}

function append(
  payload: Buffer,
  info: { entries: number; oldestMs: number },
  parsed: readonly LogEntry[],
): void {
  const end = writer.append(payload, info)
  own.offer({ payload, ...info, end, parsed })
  publishStatus()
}

const keys = createKeyReader(data.keyring)
let names: NameTable = { domains: [], upstreams: [] }
let namesVersion = -1
const services: EnrichmentServices = {
  get domains() {
    return names.domains
  },
  get upstreams() {
    return names.upstreams
  },
  node: data.node,
  parseUserAgent: createUserAgentParser(),
  geo: createGeoLookup({ ...data.geo, detail: config.geo.detail }),
  pseudonymize: createPseudonymizer(keys, createKeyCarry(data.keyring, config.sessions.idleMs)),
}
const clients = createClientMemory({ services })
const runBatch = createBatchTask({ steps: enrichmentSteps, services, clients, boot: data.boot, append })

function keepManifest(bytes: Uint8Array, mediaType: string, digest: string): void {
  const manifest = parseManifest(bytes, mediaType, digest)
  if (manifest)
    append(Buffer.from(`${JSON.stringify(manifest)}\n`), { entries: 1, oldestMs: Date.now() }, [manifest])
}

async function adopt(name: string, reply: (message: WorkerReply) => void): Promise<void> {
  const delivery = deliver(name, false)
  adopted.set(name, delivery)
  publishStatus()
  reply({ type: 'adopted', stream: name })
  // Ends when everything has arrived, or when this worker drains.
  while (!(await delivery.drain(drainTurnMs))) if (draining) return
  await delivery.close()
  adopted.delete(name)
  reply({ type: 'delivered', stream: name })
}

function takeOver(name: string, reply: (message: WorkerReply) => void): void {
  adopt(name, reply).catch((error) => {
    log.error({ err: error, stream: name }, 'a log stream could not be taken over; it is tried again')
    setTimeout(() => draining || takeOver(name, reply), adoptAgainMs).unref()
  })
}

let draining = false
async function drain(deadlineMs: number): Promise<boolean> {
  draining = true
  const all = [own, ...adopted.values()]
  const complete = await Promise.all(all.map((each) => each.drain(deadlineMs)))
  clearInterval(statusTimer)
  publishStatus()
  await Promise.all(all.map((each) => each.close()))
  await writer.close()
  await Promise.all([redis?.close(), kafka?.close()])
  sessionThread?.close()
  clients.close()
  keys.close()
  watch.close()
  return complete.every(Boolean)
}

const statusTimer = setInterval(publishStatus, statusIntervalMs)
publishStatus()

const { port1: control, port2: mainControl } = new MessageChannel()
control.on('message', (command: WorkerCommand) => {
  const reply = (message: WorkerReply): void => control.postMessage(message)
  if (command.type === 'sessions') {
    sessionThread?.close()
    sessionThread = createCaller(command.port, { timeoutMs: sendTimeoutMs, maxPending: 64 })
  } else if (command.type === 'geo') {
    services.geo = createGeoLookup({ ...command.geo, detail: config.geo.detail })
    clients.forget()
  } else if (command.type === 'adopt') {
    takeOver(command.stream, reply)
  } else {
    drain(command.deadlineMs)
      .catch((error) => {
        log.error({ err: error }, 'the worker did not drain')
        return false
      })
      .then((complete) => reply({ type: 'drained', complete }))
      .catch(() => undefined)
  }
})
const hello: WorkerHello = { type: 'hello', threadId, stream, control: mainControl }
main.postMessage(hello, [mainControl])

export default async function run(task: WorkerTask): Promise<unknown> {
  if (task.type === 'batch') {
    const startedMs = performance.timeOrigin + performance.now()
    if (task.names.version !== namesVersion) {
      names = unpackNames(task.names)
      namesVersion = task.names.version
    }
    counters.observe('waybill_workers_batch_wait_seconds', Math.max(0, startedMs - task.cutMs) / 1000)
    try {
      return await runBatch(task)
    } finally {
      const tookMs = performance.timeOrigin + performance.now() - startedMs
      counters.observe('waybill_workers_batch_duration_seconds', tookMs / 1000)
    }
  }
  keepManifest(task.bytes, task.mediaType, task.digest)
  return undefined
}
