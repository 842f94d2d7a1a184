/** Sees one batch through every failure: again, halved, and in the end a dead letter for a single record. */
import { setTimeout as wait } from 'node:timers/promises'
import { ringHeaderBytes, unitShift } from '../ring/layout.ts'
import { forEachFrame, type RingSlice } from '../ring/reader.ts'
import {
  type FailureReason,
  failureReasonOf,
  placeOf,
  type TransientCode,
  transientCodeOf,
} from './failures.ts'

export type BatchRing = { number: number; sab: SharedArrayBuffer }

export type RunBatch = (task: {
  ring: number
  sab: SharedArrayBuffer
  from: number
  to: number
}) => Promise<{ retryLater: TransientCode | null } | undefined>

export type RunnerLog = {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export type BatchRunnerOptions = {
  run: RunBatch
  /** A slice of the single record that failed twice alone; its memory is zeroed once this has resolved. */
  onDeadLetter(slice: RingSlice, ring: BatchRing, reason: FailureReason): unknown
  onRetry(reason: FailureReason | TransientCode): void
  log: RunnerLog
  /** Ends all waiting; what is not safe then stays so. */
  signal: AbortSignal
  /** Tests only. */
  delay?: (delayMs: number) => Promise<unknown>
  random?: () => number
}

/** A worker that dies takes innocent batches with it: one more run before a batch is suspected. */
const runsBeforeSplit = 2

/** A full disk is freed in minutes at best; nobody gains from asking it more often. */
const firstDelayMs = 50
const longestDelayMs = 5000

type Outcome = { safe: true } | { safe: false; reason: FailureReason }

/** `settle` resolves to true once every record of the slice is safe or a dead letter, false when stopped. */
export function createBatchRunner(options: BatchRunnerOptions) {
  const { run, onDeadLetter, onRetry, log, signal, random = Math.random } = options
  const delay = options.delay ?? ((delayMs) => wait(delayMs, undefined, { signal }))

  /** Full jitter, so that the batches that wait do not come back all at once. */
  async function backOff(failures: number): Promise<void> {
    const ceiling = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(failures, 16))
    await delay(Math.ceil(ceiling / 2 + (random() * ceiling) / 2)).catch(() => undefined)
  }

  /** Tries for ever while the log is unavailable; null: stopped meanwhile. */
  async function attempt(ring: BatchRing, slice: RingSlice): Promise<Outcome | null> {
    for (let failures = 0; !signal.aborted; failures++) {
      let transient: TransientCode | null
      try {
        const result = await run({ ring: ring.number, sab: ring.sab, from: slice.from, to: slice.to })
        transient = result?.retryLater ?? null
        if (transient === null) {
          if (failures > 0) log.info({ ring: ring.number, failures }, 'the log takes records again')
          return { safe: true }
        }
      } catch (error) {
        // A pool that is being closed rejects everything: no record is to blame for that.
        if (signal.aborted) return null
        transient = transientCodeOf(error)
        if (transient === null) {
          const reason = failureReasonOf(error)
          log.warn(
            { ring: ring.number, records: slice.records, reason, at: placeOf(error) },
            'a batch failed',
          )
          return { safe: false, reason }
        }
      }
      onRetry(transient)
      if (failures === 0)
        log.error({ ring: ring.number, code: transient }, 'the log takes no records; waiting')
      await backOff(failures)
    }
    return null
  }

  async function bury(ring: BatchRing, slice: RingSlice, reason: FailureReason): Promise<boolean> {
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        await onDeadLetter(slice, ring, reason)
        log.error({ ring: ring.number, reason }, 'a record became a dead letter')
        return true
      } catch (error) {
        if (transientCodeOf(error) === null) {
          // It can neither be enriched nor kept; holding the ring for it would lose all others.
          log.error({ ring: ring.number, reason, at: placeOf(error) }, 'a dead letter could not be kept')
          return true
        }
        await backOff(failures)
      }
    }
    return false
  }

  async function settle(ring: BatchRing, slice: RingSlice): Promise<boolean> {
    let reason: FailureReason = 'enrichment'
    for (let runs = 0; runs < runsBeforeSplit; runs++) {
      const outcome = await attempt(ring, slice)
      if (outcome === null) return false
      if (outcome.safe) return true
      reason = outcome.reason
      onRetry(reason)
    }
    const halves = splitSlice(ring.sab, slice)
    if (halves === null) return bury(ring, slice, reason)
    for (const half of halves) if (!(await settle(ring, half))) return false
    return true
  }

  return { settle }
}

/** Two slices of about as many records, cut where a frame begins; null for a single record. */
export function splitSlice(sab: SharedArrayBuffer, slice: RingSlice): [RingSlice, RingSlice] | null {
  const middle = slice.records >> 1
  if (middle === 0) return null
  let index = 0
  let cut = slice.from
  forEachFrame(sab, slice.from, slice.to, (_bytes, _view, offset) => {
    if (index++ === middle) cut = positionOf(sab, slice.from, offset)
  })
  return [
    { ...slice, to: cut, records: middle },
    { ...slice, from: cut, records: slice.records - middle },
  ]
}

/** The first position from `from` on whose place in memory is `offset`. */
function positionOf(sab: SharedArrayBuffer, from: number, offset: number): number {
  const capacityUnits = (sab.byteLength - ringHeaderBytes) >>> unitShift
  const unit = (offset - ringHeaderBytes) >>> unitShift
  return (from + ((unit - from) & (capacityUnits - 1))) >>> 0
}
