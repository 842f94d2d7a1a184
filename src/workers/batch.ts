/** The task of the pool: a range of a ring becomes request events, and they become safe in the log. */
import { decodeRecord, recordId } from '../record/decode.ts'
import type { WaybillRecord } from '../record/record.ts'
import { forEachFrame } from '../ring/reader.ts'
import { createDraft, type EnrichmentServices, type Step } from './enrichment-steps.ts'
import { type TransientCode, transientCodeOf } from './failures.ts'

/** Positions are the ring's; the memory is shared, so a task costs the same whatever its size. */
export type BatchTask = { ring: number; sab: SharedArrayBuffer; from: number; to: number }

export type BatchResult = {
  /**
   * Why nothing was written and the batch must come again; null: its records are safe. A value, since an
   * error loses its code between threads.
   */
  retryLater: TransientCode | null
}

export type BatchTaskOptions = {
  steps: readonly Step[]
  services: EnrichmentServices
  /** 16 hex digits of this start of the process: the first part of every record id. */
  boot: string
  /** Appends lines of JSON, one for each entry, to this worker's log stream; resolves when they are safe. */
  append(payload: Buffer, about: { entries: number; oldestMs: number }): unknown
  now?: () => number
}

/**
 * A step that throws fails the whole batch, before anything is appended: the dispatcher then finds the record.
 * Run again after a failure that came later, it makes the same entries under the same ids.
 */
export function createBatchTask({ steps, services, boot, append, now = Date.now }: BatchTaskOptions) {
  function lineOf(record: WaybillRecord, ring: number, nowMs: number): string {
    const event = createDraft(recordId(boot, ring, record.sequence), record, services.node)
    const context = { record, nowMs, services }
    try {
      for (const step of steps) step(event, context)
      return JSON.stringify(event)
    } finally {
      // Also when a step before the pseudonym threw.
      record.address.fill(0)
      record.nonce.fill(0)
    }
  }

  return async function run({ ring, sab, from, to }: BatchTask): Promise<BatchResult> {
    const nowMs = now()
    const lines: string[] = []
    let oldestMs = Number.POSITIVE_INFINITY
    forEachFrame(sab, from, to, (bytes, _view, offset) => {
      const record = decodeRecord(bytes, offset)
      oldestMs = Math.min(oldestMs, record.startMs)
      lines.push(lineOf(record, ring, nowMs))
    })
    if (lines.length === 0) return { retryLater: null }
    try {
      await append(Buffer.from(`${lines.join('\n')}\n`), { entries: lines.length, oldestMs })
    } catch (error) {
      const retryLater = transientCodeOf(error)
      if (retryLater === null) throw error
      return { retryLater }
    }
    return { retryLater: null }
  }
}
