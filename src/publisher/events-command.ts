/**
 * `waybill events`: the package events of the embedded store, read while another process writes it.
 */
import { accessSync, constants } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as wait } from 'node:timers/promises'
import type { PackageEvent } from '../record/events.ts'
import { csvHeader, toCsvLine } from './csv.ts'

export type ReadEventsOptions = {
  /** The SQLite file. */
  path: string
  /** Unix ms; null: from the beginning. Compared with `ended_at`. */
  sinceMs: number | null
  /** Goes on with what is published from now on, until `signal` aborts. */
  follow: boolean
  format: 'ndjson' | 'csv'
  pollMs?: number
}

export type ReadEventsResult = { ok: true; count: number } | { ok: false; error: string }

/** Short reads: a long one would keep the writer's write-ahead log from shrinking. */
const rowsPerRead = 500
/** The writer may hold the file for a moment while its log is folded in. */
const busyTimeoutMs = 5_000

type Row = { seq: number; id: string; ended_at: number; json: string }

/**
 * Gives each event to `write` as one line with its end (CSV: CR LF), oldest first by (`ended_at`, `id`); while following,
 * in the order in which they were stored, so that a late one is not passed over. Waits for a promise that
 * `write` returns.
 */
export async function readEvents(
  options: ReadEventsOptions,
  write: (line: string) => void | Promise<void>,
  signal: AbortSignal,
): Promise<ReadEventsResult> {
  const { path, follow, format, pollMs = 500 } = options
  const since = options.sinceMs ?? 0
  const unreadable = whyUnreadable(path)
  if (unreadable !== null) return { ok: false, error: `${path}: ${unreadable}` }
  let database: DatabaseSync | null = null
  try {
    database = new DatabaseSync(path, { readOnly: true })
    database.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`)
    if (database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'package_events'").get() === undefined) {
      return { ok: false, error: `${path}: no events are stored here yet` }
    }
    const print =
      format === 'csv' ? (row: Row) => `${toCsvLine(JSON.parse(row.json) as PackageEvent)}\r\n` : toJsonLine
    if (format === 'csv') await write(`${csvHeader}\r\n`)
    const sorted = readSorted(database, since)
    let count = 0
    for (const row of sorted.rows) {
      if (signal.aborted) return { ok: true, count }
      await write(print(row))
      count++
    }
    if (follow) {
      for await (const row of readNew(database, since, sorted.lastSeq, pollMs, signal)) {
        await write(print(row))
        count++
      }
    }
    return { ok: true, count }
  } catch (error) {
    return { ok: false, error: `${path}: ${(error as Error).message}` }
  } finally {
    database?.close()
  }
}

function whyUnreadable(path: string): string | null {
  try {
    accessSync(path, constants.R_OK)
    return null
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'ENOTDIR') return `cannot be read (${code})`
    return 'no events are stored here yet (start waybill serve, or see --data)'
  }
}

function toJsonLine(row: Row): string {
  return `${row.json}\n`
}

/** What is there now, in order of time; later rows have a `seq` above `lastSeq`, wherever their time lies. */
function readSorted(database: DatabaseSync, since: number): { lastSeq: number; rows: Iterable<Row> } {
  const sequence = database.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'package_events'").get() as
    | { seq: number }
    | undefined
  const lastSeq = sequence?.seq ?? 0
  const page = database.prepare(
    `SELECT seq, id, ended_at, json FROM package_events
     WHERE (ended_at, id) > (?, ?) AND seq <= ? ORDER BY ended_at, id LIMIT ${rowsPerRead}`,
  )
  function* read(): Generator<Row> {
    // Every id sorts after the empty one, so the first page begins with `since` itself.
    let last: Pick<Row, 'ended_at' | 'id'> = { ended_at: since, id: '' }
    for (;;) {
      const rows = page.all(last.ended_at, last.id, lastSeq) as Row[]
      yield* rows
      if (rows.length < rowsPerRead) return
      last = rows.at(-1)!
    }
  }
  return { lastSeq, rows: read() }
}

async function* readNew(
  database: DatabaseSync,
  since: number,
  afterSeq: number,
  pollMs: number,
  signal: AbortSignal,
): AsyncGenerator<Row> {
  const page = database.prepare(
    `SELECT seq, id, ended_at, json FROM package_events WHERE seq > ? ORDER BY seq LIMIT ${rowsPerRead}`,
  )
  let last = afterSeq
  while (!signal.aborted) {
    const rows = page.all(last) as Row[]
    for (const row of rows) {
      if (signal.aborted) return
      last = row.seq
      if (row.ended_at >= since) yield row
    }
    if (rows.length < rowsPerRead) {
      await wait(pollMs, undefined, { signal }).catch(() => undefined)
    }
  }
}
