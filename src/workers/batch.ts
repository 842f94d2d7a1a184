/** The task of the pool: a range of a ring becomes request events, and they become safe in the log. */
import { createRecordSecrets, decodeRecord, recordId } from '../record/decode.ts'
import type { LogEntry } from '../record/events.ts'
import type { WaybillRecord } from '../record/record.ts'
import { forEachFrame } from '../ring/reader.ts'
import { type ClientMemory, createClientMemory } from './client-memory.ts'
import { createDraft, type EnrichmentServices, type EventDraft, type Step } from './enrichment-steps.ts'
import { createEventLines } from './event-line.ts'
import { type TransientCode, transientCodeOf } from './failures.ts'
import { createLineBuffer } from './line-buffer.ts'
import { createSessionFinder } from './session-id.ts'

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
  /** What was found out about clients before, with the same services; one of its own if none is given. */
  clients?: ClientMemory
  /** 16 hex digits of this start of the process: the first part of every record id. */
  boot: string
  /**
   * Appends lines of JSON, one for each entry, to this worker's log stream; resolves when they are safe.
   * `parsed`: what the lines say, for those who would parse them; its objects share parts and are not changed.
   */
  append(payload: Buffer, about: { entries: number; oldestMs: number }, parsed: readonly LogEntry[]): unknown
  now?: () => number
}

/** As many as the dispatcher puts into a batch. */
const maxRecords = 512

/** JSON has no numbers but finite ones: of a damaged record that has others the line is what counts. */
function hasFiniteNumbers(event: EventDraft): boolean {
  const sum = event.duration_ms + event.bytes_sent + event.offset + (event.size ?? 0)
  return Number.isFinite(sum + (event.first_byte_ms ?? 0))
}

/**
 * A step that throws fails the whole batch, before anything is appended: the dispatcher then finds the record.
 * Run again after a failure that came later, it makes the same entries under the same ids.
 */
export function createBatchTask(options: BatchTaskOptions) {
  const {
    steps,
    services,
    clients = createClientMemory({ services }),
    boot,
    append,
    now = Date.now,
  } = options
  const sessions = createSessionFinder(maxRecords)
  const found = { client: clients.find, session: sessions.find }
  const eventLines = createEventLines()
  const lines = createLineBuffer()
  const secrets = createRecordSecrets()

  function enrich(record: WaybillRecord, ring: number): EventDraft {
    const event = createDraft(recordId(boot, ring, record.sequence), record, services.node)
    const context = { record, found, services }
    try {
      for (const step of steps) step(event, context)
      return event
    } finally {
      // Also when a step before the pseudonym threw.
      record.address.fill(0)
      record.nonce.fill(0)
    }
  }

  return async function run({ ring, sab, from, to }: BatchTask): Promise<BatchResult> {
    clients.begin(now())
    const entries: LogEntry[] = []
    let oldestMs = Number.POSITIVE_INFINITY
    lines.clear()
    try {
      forEachFrame(sab, from, to, (bytes, _view, offset) => {
        const record = decodeRecord(bytes, offset, secrets)
        oldestMs = Math.min(oldestMs, record.startMs)
        const event = enrich(record, ring)
        if (hasFiniteNumbers(event)) {
          const [head, tail] = eventLines.write(event)
          lines.push(head, tail)
          entries.push(event as LogEntry)
        } else {
          const line = JSON.stringify(event)
          lines.push(line)
          entries.push(JSON.parse(line))
        }
      })
    } finally {
      // No nonce outlives its batch, no copy of a key, and no address of a record that could not be read.
      secrets.address.fill(0)
      secrets.nonce.fill(0)
      clients.end()
      sessions.clear()
      eventLines.clear()
    }
    if (entries.length === 0) return { retryLater: null }
    try {
      await append(lines.take(), { entries: entries.length, oldestMs }, entries)
    } catch (error) {
      const retryLater = transientCodeOf(error)
      if (retryLater === null) throw error
      return { retryLater }
    }
    return { retryLater: null }
  }
}
