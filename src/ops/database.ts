/**
 * Opens the one SQLite file of a node: settings every user of it needs, and a check that it is whole.
 */
import { mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

export type OpenedDatabase = { ok: true; database: DatabaseSync } | { ok: false; error: string }

/** `node:sqlite` waits for nobody unless told to; another process may hold the file while it is copied. */
const busyTimeoutMs = 5_000
/** The write-ahead log shrinks back to this after a long read held it open. */
const journalBytes = 64 * 1024 * 1024
/** The default of 2 MB is less than the sessions of a busy minute take. */
const cacheKib = 32 * 1024
/** 32 MiB: each checkpoint writes the same busy pages again, so four times as seldom as by default. */
const checkpointPages = 4_096
/** A package event takes about 2 KB of JSON: four to a page, where one of 4 KiB would hold a single one. */
const pageBytes = 8_192
/** Every page is read for the check, about 300 MB a second: larger files are checked by their schema alone. */
const checkedBytes = 256 * 1024 * 1024

/**
 * One writer for each file: open it in one thread. A file that is not a whole database is left untouched and
 * named in `error`.
 */
export function openDatabase(path: string): OpenedDatabase {
  let database: DatabaseSync | null = null
  try {
    mkdirSync(dirname(path), { recursive: true })
    database = new DatabaseSync(path)
    database.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`)
    const check = statSync(path).size <= checkedBytes ? 'quick_check(1)' : "quick_check('sqlite_schema')"
    const row = database.prepare(`PRAGMA ${check}`).get() as { quick_check: string } | undefined
    if (row?.quick_check !== 'ok') {
      database.close()
      return { ok: false, error: `${path}: the database is damaged (${firstLine(row?.quick_check ?? '')})` }
    }
    // These two hold only for a file without tables; freed pages can then go back to the disk in steps.
    database.exec(`PRAGMA page_size = ${pageBytes}`)
    database.exec('PRAGMA auto_vacuum = INCREMENTAL')
    database.exec('PRAGMA journal_mode = WAL')
    // With WAL a commit survives the end of the process; a power cut may take the last ones (the log has them).
    database.exec('PRAGMA synchronous = NORMAL')
    database.exec(`PRAGMA cache_size = -${cacheKib}`)
    database.exec(`PRAGMA wal_autocheckpoint = ${checkpointPages}`)
    database.exec(`PRAGMA journal_size_limit = ${journalBytes}`)
    return { ok: true, database }
  } catch (error) {
    database?.close()
    return { ok: false, error: `${path}: ${firstLine((error as Error).message)}` }
  }
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!
}
