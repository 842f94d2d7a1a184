/** Cuts the rings into batches, has the pool make them safe, and frees the rings in order. */
import type { RingReader, RingSlice } from '../ring/reader.ts'
import { type BatchRing, createBatchRunner, type RunBatch, type RunnerLog } from './batch-runner.ts'
import type { FailureReason, TransientCode } from './failures.ts'

export type DispatcherRing = BatchRing & {
  reader: Pick<RingReader, 'trySlice' | 'free' | 'counters' | 'oldestStartMs'>
}

export type DispatcherMetrics = {
  batchRecords(records: number): void
  retried(reason: FailureReason | TransientCode): void
}

export type DispatcherOptions = {
  rings: readonly DispatcherRing[]
  /** Hands a batch to the pool; it should end a task that hangs (an `AbortSignal.timeout` to the pool). */
  run: RunBatch
  maxBatchRecords?: number
  /** How long a record waits for company. */
  maxBatchAgeMs?: number
  /** Batches under way, of all rings together; beyond it records wait in their rings. */
  maxInFlight: number
  onDeadLetter(slice: RingSlice, ring: BatchRing, reason: FailureReason): unknown
  metrics: DispatcherMetrics
  log: RunnerLog
  /** Monotonic, ms. */
  now?: () => number
  /** Tests only. */
  delay?: (delayMs: number) => Promise<unknown>
  random?: () => number
}

export type Dispatcher = {
  /** Cuts what there is without waiting for more and waits up to `deadlineMs` for it; true: all of it is safe. */
  drain(deadlineMs: number): Promise<boolean>
  /** Unix ms: start of the oldest request whose record is not safe yet; null: there is none. */
  oldestMs(): number | null
  inFlight(): number
  /** Stops; what is not safe stays in the rings. */
  close(): void
}

type Batch = { slice: RingSlice; settled: boolean }

type RingState = {
  ring: DispatcherRing
  /** In ring order. */
  batches: Batch[]
  cutRecords: number
  /** When records were first seen waiting; null: none are. */
  waitingSince: number | null
}

/** Looking four times in a batch's age costs little and makes it at most a quarter older. */
const looksPerAge = 4

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { rings, maxInFlight, metrics } = options
  const { maxBatchRecords = 512, maxBatchAgeMs = 50, now = () => performance.now() } = options
  const stop = new AbortController()
  const runner = createBatchRunner({ ...options, onRetry: metrics.retried, signal: stop.signal })
  const states: RingState[] = rings.map((ring) => ({ ring, batches: [], cutRecords: 0, waitingSince: null }))
  let inFlight = 0
  let turn = 0
  let draining = false
  let onIdle: (() => void) | null = null

  function freeInOrder(state: RingState) {
    while (state.batches[0]?.settled) state.ring.reader.free(state.batches.shift()!.slice)
  }

  async function see(state: RingState, batch: Batch): Promise<void> {
    batch.settled = await runner.settle(state.ring, batch.slice)
    inFlight--
    if (batch.settled) freeInOrder(state)
    look()
    if (inFlight === 0) onIdle?.()
  }

  function tryCut(state: RingState): boolean {
    const waiting = state.ring.reader.counters().written - state.cutRecords
    if (waiting <= 0) return false
    const at = now()
    state.waitingSince ??= at
    // The next look comes a quarter of the age later: too late for what would be due by then.
    const due = at - state.waitingSince >= maxBatchAgeMs * (1 - 1 / looksPerAge)
    if (!due && !draining && waiting < maxBatchRecords) return false
    const slice = state.ring.reader.trySlice(maxBatchRecords)
    if (slice === null) return false
    metrics.batchRecords(slice.records)
    state.cutRecords += slice.records
    // What remains came later; nobody knows when, so it begins to wait now.
    state.waitingSince = null
    const batch = { slice, settled: false }
    state.batches.push(batch)
    inFlight++
    void see(state, batch)
    return true
  }

  /** One batch of each ring in turn, so that a busy ring does not keep the others from the pool. */
  function look() {
    if (stop.signal.aborted) return
    let idleRings = 0
    while (inFlight < maxInFlight && idleRings < states.length) {
      turn = (turn + 1) % states.length
      idleRings = tryCut(states[turn]!) ? 0 : idleRings + 1
    }
  }

  const timer = setInterval(look, Math.max(1, maxBatchAgeMs / looksPerAge))

  function oldestMs(): number | null {
    const times = rings.map(({ reader }) => reader.oldestStartMs()).filter((time) => time !== null)
    return times.length === 0 ? null : Math.min(...times)
  }

  return {
    oldestMs,
    inFlight: () => inFlight,
    async drain(deadlineMs) {
      draining = true
      look()
      if (inFlight > 0) {
        const { promise, resolve } = Promise.withResolvers<void>()
        onIdle = resolve
        const deadline = setTimeout(resolve, deadlineMs)
        await promise
        clearTimeout(deadline)
        onIdle = null
      }
      draining = false
      return oldestMs() === null
    },
    close() {
      stop.abort()
      clearInterval(timer)
      onIdle?.()
    },
  }
}
