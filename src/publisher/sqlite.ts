/**
 * The embedded store of events: rows in the node's SQLite file, once for each id, kept for a time and up to
 * a size.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Config } from '../config/types.ts'
import type { LogEntry, PackageEvent } from '../record/events.ts'

export type SqlitePublisherOptions = {
  /** Owned by the caller, and written by its thread alone. */
  database: DatabaseSync
  /** `eventsMs` or `requestsMs` 0: these are not kept; `maxBytes` 0: no limit. */
  retention: Config['retention']
  /** Unix time in ms. */
  now: () => number
  log: { info(fields: object, message: string): void }
  /** Rows that were new. */
  onPublished(stream: 'events' | 'requests', count: number): void
}

/** Rows deleted by `trim`, by reason. */
export type Trimmed = {
  events: { age: number; bytes: number }
  requests: { age: number; bytes: number }
  /** There is more to delete: call again soon. */
  more: boolean
}

export type SqlitePublisher = {
  /** Keeps request events if `retention.requestsMs` is set; passes over everything else. Throws on a full disk. */
  publishEntries(entries: readonly LogEntry[]): void
  /** An id that is there already is left as it is. */
  publishEvents(events: readonly PackageEvent[]): void
  /** Deletes what is too old or too much, oldest first, request events before package events; a bounded step. */
  trim(): Trimmed
  /** What of the file is in use, other tables included: what `retention.maxBytes` limits. */
  usedBytes(): number
}

/** Version of these tables, in `publisher_meta`: `user_version` belongs to the whole file. */
const tablesVersion = 1
/** One delete blocks the thread for about 10 ms at this many rows; a call makes at most `stepsPerTrim`. */
const rowsPerStep = 1_000
const stepsPerTrim = 8
/** About what a package event takes; a guess too high deletes in more steps, never too much. */
const bytesPerRow = 4_096
/** A few pages: a page is free only when its last row is gone. */
const leastRows = 16
/** Freed pages that go back to the disk at a time (10 to 25 ms), and the part of the file that is kept for new rows. */
const pagesPerTrim = 1_024
const spareParts = 16

const createTables = `
CREATE TABLE IF NOT EXISTS publisher_meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
-- AUTOINCREMENT: readers follow by seq, so that of a deleted row must never come back.
CREATE TABLE IF NOT EXISTS package_events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, ended_at INTEGER NOT NULL, json TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS package_events_by_time ON package_events (ended_at, id);
`
const createRequests = `
CREATE TABLE IF NOT EXISTS request_events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, time INTEGER NOT NULL, json TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS request_events_by_time ON request_events (time);
`

export function createSqlitePublisher(options: SqlitePublisherOptions): SqlitePublisher {
  const { database, retention, now, log, onPublished } = options
  database.exec(createTables)
  const found = database.prepare("SELECT value FROM publisher_meta WHERE key = 'version'").get() as
    | { value: number }
    | undefined
  if (found === undefined) {
    database.prepare("INSERT INTO publisher_meta VALUES ('version', ?)").run(tablesVersion)
  } else if (found.value !== tablesVersion) {
    throw new Error(`The event tables have version ${found.value}, this program knows ${tablesVersion}`)
  }
  const requestsExist =
    database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'request_events'").get() !== undefined
  const keepsRequests = retention.requestsMs > 0
  if (keepsRequests && !requestsExist) database.exec(createRequests)
  const events = createTable('package_events', 'ended_at')
  // Rows of a time when requests were kept are trimmed away like any others.
  const requests = keepsRequests || requestsExist ? createTable('request_events', 'time') : null

  function createTable(name: string, timeColumn: string) {
    const oldest = `SELECT seq FROM ${name} INDEXED BY ${name}_by_time`
    const limit = `ORDER BY ${timeColumn} LIMIT ?`
    return {
      insert: database.prepare(
        `INSERT INTO ${name} (id, ${timeColumn}, json) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING`,
      ),
      deleteBefore: database.prepare(
        `DELETE FROM ${name} WHERE seq IN (${oldest} WHERE ${timeColumn} < ? ${limit})`,
      ),
      deleteOldest: database.prepare(`DELETE FROM ${name} WHERE seq IN (${oldest} ${limit})`),
    }
  }
  type Table = ReturnType<typeof createTable>

  function inTransaction<T>(run: () => T): T {
    database.exec('BEGIN IMMEDIATE')
    try {
      const result = run()
      database.exec('COMMIT')
      return result
    } catch (error) {
      // SQLite has rolled back by itself after some errors (a full disk among them).
      if (database.isTransaction) database.exec('ROLLBACK')
      throw error
    }
  }

  function insert<T extends { id: string }>(table: Table, rows: readonly T[], timeOf: (row: T) => string) {
    return inTransaction(() => {
      let added = 0
      for (const row of rows) {
        const { changes } = table.insert.run(row.id, Date.parse(timeOf(row)), JSON.stringify(row))
        added += Number(changes)
      }
      return added
    })
  }

  function deleteRows(statement: StatementSync, ...parameters: number[]): number {
    return inTransaction(() => Number(statement.run(...parameters).changes))
  }

  function readPragma(name: 'page_count' | 'freelist_count' | 'page_size'): number {
    return Object.values(database.prepare(`PRAGMA ${name}`).get()!)[0] as number
  }

  const usedBytes = () => (readPragma('page_count') - readPragma('freelist_count')) * readPragma('page_size')

  function shrinkFile(): void {
    const spare = Math.floor(readPragma('page_count') / spareParts)
    const pages = Math.min(readPragma('freelist_count') - spare, pagesPerTrim)
    if (pages > 0) database.prepare(`PRAGMA incremental_vacuum(${pages})`).all()
  }

  return {
    publishEntries(entries) {
      if (!keepsRequests) return
      const rows = entries.filter((entry) => entry.schema === 'waybill.request-event/1')
      if (rows.length === 0) return
      const added = insert(requests!, rows, (row) => row.time)
      if (added > 0) onPublished('requests', added)
    },

    publishEvents(rows) {
      if (retention.eventsMs === 0 || rows.length === 0) return
      const added = insert(events, rows, (row) => row.ended_at)
      if (added > 0) onPublished('events', added)
    },

    trim() {
      const trimmed: Trimmed = { events: { age: 0, bytes: 0 }, requests: { age: 0, bytes: 0 }, more: false }
      const { eventsMs, requestsMs, maxBytes } = retention
      const time = now()
      let steps = 0
      const mayStep = () => {
        trimmed.more = ++steps > stepsPerTrim
        return !trimmed.more
      }
      const tables = [
        { table: requests, dropped: trimmed.requests, keptMs: requestsMs },
        { table: events, dropped: trimmed.events, keptMs: eventsMs },
      ]
      for (const { table, dropped, keptMs } of tables) {
        let deleted = rowsPerStep
        while (table !== null && deleted === rowsPerStep && mayStep()) {
          deleted = deleteRows(table.deleteBefore, time - keptMs, rowsPerStep)
          dropped.age += deleted
        }
      }
      for (const { table, dropped } of tables) {
        let deleted = 1
        while (table !== null && deleted > 0 && maxBytes > 0 && usedBytes() > maxBytes && mayStep()) {
          const rows = Math.ceil((usedBytes() - maxBytes) / bytesPerRow)
          deleted = deleteRows(table.deleteOldest, Math.min(Math.max(rows, leastRows), rowsPerStep))
          dropped.bytes += deleted
        }
      }
      shrinkFile()
      const rows = trimmed.events.bytes + trimmed.requests.bytes
      if (rows > 0) log.info({ rows }, 'Oldest events dropped: retention.maxBytes is reached')
      return trimmed
    },

    usedBytes,
  }
}
