/**
 * The way of a record on the main thread: rings to pool, log kept within its bounds, watermark to the sessions.
 */
import type { Config } from './config/types.ts'
import type { DataFolder } from './data-folder.ts'
import { setAside } from './dead-letters.ts'
import { packNames } from './index-names.ts'
import { createLogKeeper } from './log/keeper.ts'
import { dependencyReasonOf } from './ops/dependency-reasons.ts'
import type { Logger } from './ops/logging.ts'
import type { LogState, RingState } from './ops/metrics.ts'
import { readTold } from './ops/told-requests.ts'
import { createPool } from './pool.ts'
import type { ManifestNotice } from './proxy/types.ts'
import type { SharedMemory } from './shared-memory.ts'
import type { SessionThread } from './threads.ts'
import type { BatchResult } from './workers/batch.ts'
import { createDispatcher } from './workers/dispatcher.ts'
import type { FailureReason } from './workers/failures.ts'
import type { GeoDatabases } from './workers/geo-database.ts'
import { logTargets } from './workers/log-status.ts'
import { createManifestKeeper } from './workers/manifest-keeper.ts'

export type Pipeline = {
  /** Of every batch from now on; before any proxy thread leaves a record with a new index. */
  setNames(config: Pick<Config, 'domains' | 'upstreams'>): void
  keepManifest(notice: ManifestNotice): void
  rings(): RingState[]
  log(): LogState
  workers(): { count: number; busy: number }
  /** After the session thread was replaced. */
  reconnect(): void
  /** Databases that were loaded since. */
  setGeo(geo: GeoDatabases): void
  /** Makes what is in the rings safe; true: all of it is. */
  drain(deadlineMs: number): Promise<boolean>
  /** Delivers what it can and ends; true: everything was delivered. */
  stop(deadlineMs: number): Promise<boolean>
}

const largestSegmentBytes = 64 * 1024 * 1024
const watermarkIntervalMs = 200
const keepLogIntervalMs = 2000
/** Those after which Piscina has ended the worker. */
const workerEnds: readonly string[] = ['worker_exit', 'out_of_memory', 'timeout'] satisfies FailureReason[]

export async function createPipeline(options: {
  config: Config
  folder: DataFolder
  boot: string
  memory: SharedMemory
  keyring: SharedArrayBuffer
  geo: GeoDatabases
  sessions: SessionThread
  log: Logger
}): Promise<Pipeline> {
  const { config, folder, boot, memory, sessions, log } = options
  const { counters, dependencies, rings } = memory
  const { workers } = config.threads
  const keeper = createLogKeeper({ directory: folder.log, targets: logTargets })
  const pool = createPool({
    data: {
      config,
      node: folder.node,
      boot,
      logDirectory: folder.log,
      segmentBytes: Math.min(largestSegmentBytes, Math.floor(config.log.maxBytes / (8 * workers.max))),
      keyring: options.keyring,
      geo: options.geo,
      status: memory.status,
      counters: counters.sab,
      dependencies: { names: dependencies.names, sab: dependencies.sab },
      lag: { sab: memory.lag, firstSlot: memory.lagSlots.firstWorker },
    },
    threads: workers,
    leftOver: await keeper.inventory(),
    sessions,
    log,
  })

  const countRestart = (reason: string): void => {
    if (workerEnds.includes(reason)) counters.add('waybill_workers_restarts_total')
  }
  const manifests = createManifestKeeper({
    run: (manifest) => pool.run({ type: 'manifest', ...manifest }),
    onRetry: countRestart,
    log,
  })

  let names = packNames(0, config)
  const logCircuit = dependencies.circuit('log')
  const dispatcher = createDispatcher({
    rings,
    maxInFlight: 2 * workers.max,
    async run(task) {
      const cutMs = performance.timeOrigin + performance.now()
      const result = await pool.run<BatchResult>({ type: 'batch', cutMs, names, ...task })
      if (result.retryLater === null) logCircuit.succeeded()
      else logCircuit.failed(dependencyReasonOf(Object.assign(new Error('log'), { code: result.retryLater })))
      return result
    },
    onDeadLetter({ from, to }, { sab, number }, reason) {
      const letters = setAside(
        { file: folder.deadLetters, boot, node: folder.node },
        { sab, from, to, ring: number, reason },
      )
      counters.add('waybill_dead_letters_total', [reason], letters.length)
      log.error({ reason, records: letters.length }, 'records were set aside as dead letters')
      sessions.publishDeadLetters(letters)
    },
    metrics: {
      batchRecords: (records) => counters.observe('waybill_workers_batch_records', records),
      retried: countRestart,
    },
    log,
  })

  /** What no store has yet: under way, in a ring, or in the log. Sessions wait for it. */
  const publishWatermark = (): void => {
    const told = readTold(memory.told)
    const ring = dispatcher.oldestMs() ?? Number.POSITIVE_INFINITY
    // In the order of its way: a record that goes on meanwhile is seen twice, never in neither.
    const undelivered = pool.undelivered().sessions.oldestMs ?? Number.POSITIVE_INFINITY
    sessions.setWatermark(Math.min(told, ring, undelivered, Date.now()))
  }

  let logBytes = 0
  let keeping = false
  const keepLog = async (): Promise<void> => {
    if (keeping) return
    keeping = true
    try {
      const kept = await keeper.enforceBounds({
        ...config.log,
        now: Date.now(),
        liveStreams: { has: pool.isLive },
      })
      logBytes = kept.bytes
      for (const [reason, entries] of Object.entries(kept.lost)) {
        if (entries === 0) continue
        counters.add('waybill_log_dropped_records_total', [reason], entries)
        log.error({ reason, entries }, 'the log was full or too old: records were dropped undelivered')
      }
    } catch (error) {
      log.warn({ err: error }, 'the log could not be looked after')
    } finally {
      keeping = false
    }
  }
  const timers = [
    setInterval(publishWatermark, watermarkIntervalMs),
    setInterval(() => void keepLog(), keepLogIntervalMs),
  ]
  publishWatermark()

  return {
    setNames(next) {
      names = packNames(names.version + 1, next)
    },
    keepManifest({ digest, mediaType, bytes }) {
      manifests.keep({ digest, mediaType, bytes })
    },
    rings: () =>
      rings.map(({ reader }) => {
        const { written, dropped } = reader.counters()
        const oldestMs = reader.oldestStartMs()
        return {
          records: written,
          dropped,
          usedRatio: reader.usedRatio(),
          oldestMs: oldestMs === null ? null : Math.max(0, Date.now() - oldestMs),
        }
      }),
    log() {
      const undelivered = pool.undelivered()
      return {
        bytes: logBytes,
        targets: logTargets.map((target) => {
          const { oldestMs } = undelivered[target]
          return {
            target,
            undelivered: undelivered[target].undelivered,
            oldestMs: oldestMs === null ? null : Math.max(0, Date.now() - oldestMs),
          }
        }),
      }
    },
    workers() {
      const { count, waiting } = pool.counts()
      return { count, busy: Math.min(count, Math.max(0, dispatcher.inFlight() - waiting)) }
    },
    reconnect: pool.reconnect,
    setGeo: pool.setGeo,
    drain: (deadlineMs) => dispatcher.drain(deadlineMs),
    async stop(deadlineMs) {
      for (const timer of timers) clearInterval(timer)
      // Before the pool, whose end would look like the failure of a batch.
      dispatcher.close()
      manifests.close()
      const delivered = await pool.stop(deadlineMs)
      // Nothing of this node is to come, so no other node waits for it; else its last watermark stays.
      if (delivered) sessions.setWatermark(Number.MAX_SAFE_INTEGER)
      return delivered
    },
  }
}
