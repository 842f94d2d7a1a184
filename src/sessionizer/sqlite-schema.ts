/** Tables and statements of the session store in SQLite. */
import type { DatabaseSync } from 'node:sqlite'

// Ids and keys as text or bytes, times in Unix ms. Open sessions are numbered, so that those of one time lie side
// by side: by their ids, which are random, each would be written with a page of its own. The field of a
// `session_fact` is a record id (16 bytes), the same and `h` for a heartbeat, or four bytes: the id of a context
// that facts name. `session_meta.due` is null while the session is leased; `kept_check` is the check that counts
// when the lease ends. `session_tagged` is one row for each key
// of `session_tag`: sightings before `thinned` are refused, those from `due` on are still to be thinned. Checks of days
// before `through` are refused.
const tables = `
CREATE TABLE IF NOT EXISTS session_meta (
  number INTEGER PRIMARY KEY, session TEXT NOT NULL UNIQUE, first INTEGER NOT NULL, last INTEGER NOT NULL, flags INTEGER NOT NULL,
  held INTEGER NOT NULL, arrivals INTEGER NOT NULL, pass INTEGER,
  due INTEGER, lease TEXT, lease_until INTEGER, kept_check INTEGER
);
CREATE INDEX IF NOT EXISTS session_due ON session_meta (due) WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS session_lease ON session_meta (lease_until) WHERE lease_until IS NOT NULL;
CREATE TABLE IF NOT EXISTS session_fact (
  number INTEGER NOT NULL, field BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (number, field)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS session_tombstone (
  session TEXT PRIMARY KEY, through INTEGER, up_to INTEGER, traces BLOB, redirect TEXT, expires INTEGER NOT NULL,
  head BLOB, lows BLOB
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_tombstone_expires ON session_tombstone (expires);
CREATE TABLE IF NOT EXISTS session_counted (
  session TEXT NOT NULL, head BLOB NOT NULL, lows BLOB NOT NULL, PRIMARY KEY (session, head)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS session_join (
  key TEXT NOT NULL, kind TEXT NOT NULL, session TEXT NOT NULL, digest TEXT NOT NULL, time INTEGER NOT NULL,
  expires INTEGER NOT NULL, PRIMARY KEY (key, kind, session)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_join_expires ON session_join (expires);
CREATE TABLE IF NOT EXISTS session_joined (
  key TEXT NOT NULL, kind TEXT NOT NULL, session TEXT NOT NULL, partner TEXT, expires INTEGER NOT NULL,
  PRIMARY KEY (key, kind, session)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_joined_expires ON session_joined (expires);
CREATE TABLE IF NOT EXISTS session_renewed (
  key TEXT NOT NULL, session TEXT NOT NULL, digest TEXT NOT NULL, time INTEGER NOT NULL, decided INTEGER NOT NULL,
  partner TEXT, expires INTEGER NOT NULL, PRIMARY KEY (key, session)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_renewed_expires ON session_renewed (expires);
CREATE TABLE IF NOT EXISTS session_manifest (
  digest TEXT PRIMARY KEY, value TEXT NOT NULL, expires INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_manifest_expires ON session_manifest (expires);
CREATE TABLE IF NOT EXISTS session_attempt (
  key TEXT NOT NULL, session TEXT NOT NULL, tag TEXT NOT NULL, time INTEGER NOT NULL, answered INTEGER,
  expires INTEGER NOT NULL, PRIMARY KEY (key, session, tag)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_attempt_expires ON session_attempt (expires);
CREATE TABLE IF NOT EXISTS session_tag (
  key TEXT NOT NULL, tag TEXT NOT NULL, second INTEGER NOT NULL, digest TEXT NOT NULL, time INTEGER NOT NULL,
  PRIMARY KEY (key, tag, second, digest)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS session_tagged (
  key TEXT PRIMARY KEY, thinned INTEGER NOT NULL, held INTEGER NOT NULL, due INTEGER, expires INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_tagged_due ON session_tagged (due) WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS session_tagged_expires ON session_tagged (expires);
CREATE TABLE IF NOT EXISTS session_check (
  id TEXT PRIMARY KEY, day INTEGER NOT NULL, value TEXT NOT NULL, ids BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_check_day ON session_check (day);
CREATE TABLE IF NOT EXISTS session_checked (one INTEGER PRIMARY KEY CHECK (one = 1), through INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS session_node (node TEXT PRIMARY KEY, oldest INTEGER NOT NULL, seen INTEGER NOT NULL)
  WITHOUT ROWID;
`

const statements = {
  lastNumber: 'SELECT max(number) AS number FROM session_meta',
  meta: `SELECT number, first, last, flags, held, arrivals, pass, due, lease, kept_check FROM session_meta
    WHERE session = ?`,
  addMeta: `INSERT INTO session_meta (first, last, flags, held, arrivals, pass, due, kept_check, number, session)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  putMeta: `UPDATE session_meta SET first = ?, last = ?, flags = ?, held = ?, arrivals = ?, pass = ?, due = ?,
    kept_check = ? WHERE number = ?`,
  setHeld: 'UPDATE session_meta SET held = ? WHERE number = ?',
  deleteMeta: 'DELETE FROM session_meta WHERE number = ?',
  due: 'SELECT session FROM session_meta WHERE due <= ? ORDER BY due, number LIMIT ?',
  lapsed: 'SELECT session FROM session_meta WHERE lease_until <= ? ORDER BY lease_until LIMIT ?',
  lease: 'UPDATE session_meta SET due = NULL, lease = ?, lease_until = ? WHERE session = ?',
  unlease:
    'UPDATE session_meta SET lease = NULL, lease_until = NULL, kept_check = NULL, due = ? WHERE session = ?',
  count: 'SELECT count(*) AS count FROM session_meta',
  fact: 'SELECT value FROM session_fact WHERE number = ? AND field = ?',
  facts: 'SELECT field, value FROM session_fact WHERE number = ?',
  contexts: 'SELECT field, value FROM session_fact WHERE number = ? AND length(field) = 4',
  // Bytes 6 to 11 are the time, see fact-codec.ts.
  oldestFacts: `SELECT field, value FROM session_fact WHERE number = ? AND length(field) > 4
    ORDER BY substr(value, 7, 6), field LIMIT ?`,
  addFact: 'INSERT OR IGNORE INTO session_fact (number, field, value) VALUES (?, ?, ?)',
  putFact: 'INSERT OR REPLACE INTO session_fact (number, field, value) VALUES (?, ?, ?)',
  deleteFact: 'DELETE FROM session_fact WHERE number = ? AND field = ?',
  // From a record id to the same and `h`: nothing else lies between.
  deleteRecord: 'DELETE FROM session_fact WHERE number = ? AND field BETWEEN ? AND ?',
  deleteFacts: 'DELETE FROM session_fact WHERE number = ?',
  tombstone: 'SELECT through, up_to, traces, redirect, head, lows FROM session_tombstone WHERE session = ?',
  putTombstone: `INSERT OR REPLACE INTO session_tombstone (session, through, up_to, traces, redirect, expires, head, lows)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  redirect: `INSERT INTO session_tombstone (session, redirect, expires) VALUES (?, ?, ?)
    ON CONFLICT (session) DO UPDATE SET redirect = excluded.redirect, expires = excluded.expires`,
  counted: 'SELECT lows FROM session_counted WHERE session = ? AND head = ?',
  putCounted: 'INSERT OR REPLACE INTO session_counted (session, head, lows) VALUES (?, ?, ?)',
  expiredTombstones: 'SELECT session FROM session_tombstone WHERE expires <= ? LIMIT 1000',
  deleteTombstone: 'DELETE FROM session_tombstone WHERE session = ?',
  deleteCounted: 'DELETE FROM session_counted WHERE session = ?',
  putJoin: `INSERT INTO session_join (key, kind, session, digest, time, expires) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (key, kind, session) DO UPDATE SET digest = excluded.digest, time = excluded.time
    WHERE (excluded.time, excluded.digest) < (time, digest)`,
  joins: 'SELECT kind, session, digest, time FROM session_join WHERE key = ? AND time <= ?',
  deleteJoin: 'DELETE FROM session_join WHERE key = ? AND kind = ? AND session = ?',
  joined: 'SELECT partner FROM session_joined WHERE key = ? AND kind = ? AND session = ?',
  putJoined:
    'INSERT OR REPLACE INTO session_joined (key, kind, session, partner, expires) VALUES (?, ?, ?, ?, ?)',
  keepJoined: `UPDATE session_joined SET expires = ? WHERE key = ? AND kind = ? AND session = ? AND expires < ?`,
  beginners: `SELECT session FROM session_joined WHERE key = ? AND kind = 'm'
    UNION SELECT session FROM session_join WHERE key = ? ORDER BY session LIMIT ?`,
  began:
    "SELECT 1 AS one FROM session_join WHERE key = ? AND session = ? AND kind IN ('a', 'b', 'c') AND time <= ?",
  renewal:
    'SELECT session, digest, time, decided, partner FROM session_renewed WHERE key = ? AND session = ?',
  countRenewals: 'SELECT count(*) AS count FROM session_renewed WHERE key = ?',
  putRenewal: `INSERT INTO session_renewed (key, session, digest, time, decided, expires) VALUES (?, ?, ?, ?, 0, ?)
    ON CONFLICT (key, session) DO UPDATE SET digest = excluded.digest, time = excluded.time
    WHERE decided = 0 AND (excluded.time, excluded.digest) < (time, digest)`,
  beginRenewal: 'DELETE FROM session_renewed WHERE key = ? AND session = ? AND decided = 0 AND time >= ?',
  renewals: 'SELECT session, digest, time, decided, partner FROM session_renewed WHERE key = ? AND time <= ?',
  decideRenewal: `UPDATE session_renewed SET decided = 1, partner = ? WHERE key = ? AND session = ? AND decided = 0`,
  pruneRenewals: 'DELETE FROM session_renewed WHERE key = ? AND decided = ? AND time <= ?',
  expireRenewals: 'DELETE FROM session_renewed WHERE expires <= ?',
  expireJoins: 'DELETE FROM session_join WHERE expires <= ?',
  expireJoined: 'DELETE FROM session_joined WHERE expires <= ?',
  manifest: 'SELECT value FROM session_manifest WHERE digest = ? AND expires > ?',
  touchManifest: 'UPDATE session_manifest SET expires = ? WHERE digest = ?',
  putManifest: 'INSERT OR REPLACE INTO session_manifest (digest, value, expires) VALUES (?, ?, ?)',
  expireManifests: 'DELETE FROM session_manifest WHERE expires <= ?',
  putAttempt: `INSERT INTO session_attempt (key, session, tag, time, answered, expires) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (key, session, tag) DO UPDATE SET time = min(time, excluded.time),
      answered = min(coalesce(answered, excluded.answered), coalesce(excluded.answered, answered))
    WHERE excluded.time < time
      OR (excluded.answered IS NOT NULL AND (answered IS NULL OR excluded.answered < answered))`,
  attempts: `SELECT session, tag, time, answered FROM session_attempt WHERE key = ? AND expires > ?
    ORDER BY time DESC LIMIT ?`,
  expireAttempts: 'DELETE FROM session_attempt WHERE expires <= ?',
  putTag: `INSERT INTO session_tag (key, tag, second, digest, time) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (key, tag, second, digest) DO UPDATE SET time = excluded.time WHERE excluded.time < time`,
  tags: 'SELECT tag, digest, time FROM session_tag WHERE key = ?',
  deleteTag: 'DELETE FROM session_tag WHERE key = ? AND tag = ? AND second = ? AND digest = ?',
  deleteTags: 'DELETE FROM session_tag WHERE key = ?',
  tagged: 'SELECT thinned, held, due, expires FROM session_tagged WHERE key = ?',
  putTagged:
    'INSERT OR REPLACE INTO session_tagged (key, thinned, held, due, expires) VALUES (?, ?, ?, ?, ?)',
  dueTagged: 'SELECT key FROM session_tagged WHERE due < ? ORDER BY due LIMIT 1',
  expiredTagged: 'SELECT key FROM session_tagged WHERE expires <= ? LIMIT 100',
  deleteTagged: 'DELETE FROM session_tagged WHERE key = ?',
  check: 'SELECT value, ids FROM session_check WHERE id = ?',
  checks: 'SELECT value, ids FROM session_check WHERE day < ? ORDER BY day, id LIMIT ?',
  countChecks: 'SELECT count(*) AS count FROM session_check',
  putCheck: 'INSERT OR REPLACE INTO session_check (id, day, value, ids) VALUES (?, ?, ?, ?)',
  deleteCheck: 'DELETE FROM session_check WHERE id = ?',
  checked: 'SELECT through FROM session_checked',
  putChecked: 'INSERT OR REPLACE INTO session_checked (one, through) VALUES (1, ?)',
  putNode: 'INSERT OR REPLACE INTO session_node (node, oldest, seen) VALUES (?, ?, ?)',
  lowest: 'SELECT min(oldest) AS lowest FROM session_node WHERE seen >= ?',
} as const

export type StatementName = keyof typeof statements
export type SqlValue = string | number | null | Uint8Array
export type SqlRow = Record<string, SqlValue>

export type SessionSql = {
  run(name: StatementName, ...values: SqlValue[]): number
  get(name: StatementName, ...values: SqlValue[]): SqlRow | undefined
  all(name: StatementName, ...values: SqlValue[]): SqlRow[]
  /** For a session that is new. */
  nextNumber(): number
  /** All or nothing; the file has one writer, so nothing is ever waited for. */
  transaction<T>(work: () => T): T
}

/** Creates the tables where they are missing. */
export function openSessionTables(database: DatabaseSync): SessionSql {
  database.exec(tables)
  const prepared = new Map<StatementName, ReturnType<DatabaseSync['prepare']>>()
  function statement(name: StatementName): ReturnType<DatabaseSync['prepare']> {
    let found = prepared.get(name)
    if (found === undefined) {
      found = database.prepare(statements[name])
      prepared.set(name, found)
    }
    return found
  }
  let lastNumber = countOf(statement('lastNumber').get() as SqlRow | undefined, 'number')
  return {
    nextNumber: () => ++lastNumber,
    run: (name, ...values) => Number(statement(name).run(...values).changes),
    get: (name, ...values) => statement(name).get(...values) as SqlRow | undefined,
    all: (name, ...values) => statement(name).all(...values) as SqlRow[],
    transaction(work) {
      database.exec('BEGIN IMMEDIATE')
      try {
        const result = work()
        database.exec('COMMIT')
        return result
      } catch (error) {
        // SQLite has rolled back by itself after some errors (a full disk among them).
        if (database.isTransaction) database.exec('ROLLBACK')
        throw error
      }
    },
  }
}

export function bytesOf(row: SqlRow | undefined, column: string): Uint8Array {
  const value = row?.[column]
  return value instanceof Uint8Array ? value : new Uint8Array(0)
}

export function numberOf(row: SqlRow | undefined, column: string): number | null {
  const value = row?.[column]
  return typeof value === 'number' ? value : null
}

export function countOf(row: SqlRow | undefined, column: string): number {
  return numberOf(row, column) ?? 0
}

export function textOf(row: SqlRow | undefined, column: string): string | null {
  const value = row?.[column]
  return typeof value === 'string' ? value : null
}
