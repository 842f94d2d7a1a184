/** Sessions in one SQLite file, for a node on its own: each method is one transaction of the one writer. */
import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import type { DatabaseSync } from 'node:sqlite'
import type { Manifest } from '../record/events.ts'
import { factKey, groupIds, packSessions, sortEntries } from './entry-batch.ts'
import { packTraces, unpackTraces } from './event-trace.ts'
import { decidedMs, undecidedMs } from './join-index.ts'
import { createManifestCache } from './manifest-cache.ts'
import { nodeLifeMs, type SessionRules } from './schedule.ts'
import { addFacts, deleteSession, readFacts, readMeta, writeMeta } from './sqlite-facts.ts'
import { addJoins, pairSession } from './sqlite-joins.ts'
import { bytesOf, countOf, numberOf, openSessionTables, type SessionSql, textOf } from './sqlite-schema.ts'
import type { ClaimedSession, CloseRequest, LoadedSession, SessionStore } from './store.ts'

export type SqliteStoreOptions = {
  /** Opened and closed by the caller. */
  database: DatabaseSync
  sessions: SessionRules
  /** How long the log keeps records: for so long tombstones know them. */
  tombstoneMs: number
  /** Default 60 s. */
  leaseMs?: number
  /** Sliding lifetime of manifests. Default 90 days. */
  manifestMs?: number
  /** Unix ms; default a clock that never jumps. */
  nowMs?(): number
}

const longestSweepMs = 60_000

export function createSqliteStore(options: SqliteStoreOptions): SessionStore {
  const { sessions: rules, tombstoneMs } = options
  const leaseMs = options.leaseMs ?? 60_000
  const manifestMs = options.manifestMs ?? 90 * 86_400_000
  const nowMs = options.nowMs ?? (() => Math.floor(performance.timeOrigin + performance.now()))
  const sql = openSessionTables(options.database)
  const cache = createManifestCache({
    fetch: async (digests) => sql.transaction(() => fetchManifests(digests)),
    freshMs: Math.min(3_600_000, manifestMs / 2),
    nowMs: () => performance.now(),
  })
  const sweepEveryMs = Math.min(longestSweepMs, tombstoneMs)
  let sweptMs = Number.NEGATIVE_INFINITY

  function fetchManifests(digests: readonly string[]): Manifest[] {
    const now = nowMs()
    return digests.flatMap((digest) => {
      const row = sql.get('manifest', digest, now)
      if (row === undefined) return []
      sql.run('touchManifest', now + manifestMs, digest)
      return [JSON.parse(textOf(row, 'value') ?? '') as Manifest]
    })
  }

  function sweepExpired(now: number): void {
    if (now - sweptMs < sweepEveryMs) return
    sweptMs = now
    for (const row of sql.all('expiredTombstones', now)) {
      sql.run('deleteTombstone', textOf(row, 'session'))
      sql.run('deleteCounted', textOf(row, 'session'))
    }
    for (const name of ['expireJoins', 'expireJoined', 'expireManifests'] as const) sql.run(name, now)
  }

  function loadSession(sessionId: string): LoadedSession | null {
    const meta = readMeta(sql, sessionId)
    if (meta === null) return null
    return {
      sessionId,
      ...readFacts(sql, sessionId),
      arrivals: meta.arrivals,
      earlier: unpackTraces(Buffer.from(bytesOf(sql.get('tombstone', sessionId), 'traces'))),
    }
  }

  function claim(watermarkMs: number, max: number): ClaimedSession[] {
    const now = nowMs()
    sweepExpired(now)
    const rows = [...sql.all('due', watermarkMs, max), ...sql.all('lapsed', now, max)].slice(0, max)
    const lease = randomBytes(9).toString('base64url')
    return rows.flatMap((row) => {
      const loaded = loadSession(textOf(row, 'session') ?? '')
      if (loaded === null) return []
      sql.run('lease', lease, now + leaseMs, loaded.sessionId)
      return [{ ...loaded, lease }]
    })
  }

  function closeClaim(request: CloseRequest): boolean {
    const { sessionId, remaining, watermarkMs } = request
    const meta = readMeta(sql, sessionId)
    if (meta === null || meta.lease !== request.lease) return false
    const removed = deleteFields(sql, sessionId, request.countedIds.flatMap(bothKeys))
    if (request.countedIds.length > 0) buryIds(sql, request, nowMs() + tombstoneMs)
    if (meta.held <= removed) {
      deleteSession(sql, sessionId)
      return true
    }
    const held = meta.held - removed
    const arrivals = meta.arrivals - request.arrivals
    const quiet = arrivals === 0 && remaining !== null
    const state = quiet ? remaining.state : meta.state
    const check = quiet ? remaining.nextCheckMs : (meta.keptCheckMs ?? watermarkMs)
    writeMeta(sql, sessionId, { ...meta, state, held, arrivals, passMs: watermarkMs })
    sql.run('unlease', check, sessionId)
    return true
  }

  return {
    async addEntries(entries) {
      const batch = sortEntries(entries)
      sql.transaction(() => {
        const now = nowMs()
        for (const manifest of batch.manifests) {
          sql.run('putManifest', manifest.digest, JSON.stringify(manifest), now + manifestMs)
        }
        for (const { joinKey, entries: list } of batch.joins) {
          addJoins(sql, joinKey, list, now + undecidedMs)
        }
        addFacts(sql, batch.sessions, rules)
      })
    },

    claimDue: async ({ watermarkMs, max }) => sql.transaction(() => claim(watermarkMs, max)),

    load: async (sessionId) => loadSession(sessionId),

    pair: async (request) => sql.transaction(() => pairSession(sql, request, nowMs() + decidedMs)),

    async move({ from, to, facts }) {
      const stored = facts.map(({ fact }) => fact)
      sql.transaction(() => {
        addFacts(sql, packSessions(stored, to), rules)
        sql.run('putTombstone', from, null, null, null, to, nowMs() + tombstoneMs)
        const meta = readMeta(sql, from)
        if (meta === null) return
        const held = meta.held - deleteFields(sql, from, stored.map(factKey))
        if (held <= 0) deleteSession(sql, from)
        else sql.run('setHeld', held, from)
      })
    },

    closeSession: async (request) => sql.transaction(() => closeClaim(request)),

    async release({ sessionId, lease, nextCheckMs }) {
      sql.transaction(() => {
        if (readMeta(sql, sessionId)?.lease === lease) sql.run('unlease', nextCheckMs, sessionId)
      })
    },

    loadManifests: (digests) => cache.load(digests),

    async publishWatermark(node, oldestMs) {
      sql.run('putNode', node, oldestMs, nowMs())
    },

    async lowestWatermark() {
      return numberOf(sql.get('lowest', nowMs() - nodeLifeMs(rules)), 'lowest')
    },

    storeTimeMs: async () => nowMs(),

    openSessions: async () => countOf(sql.get('count'), 'count'),

    async close() {},
  }
}

function bothKeys(id: string): Buffer[] {
  return [Buffer.from(id, 'hex'), Buffer.from(`${id}68`, 'hex')]
}

/** Returns how many there were. */
function deleteFields(sql: SessionSql, sessionId: string, fields: readonly Buffer[]): number {
  return fields.reduce((sum, field) => sum + sql.run('deleteFact', sessionId, field), 0)
}

function buryIds(sql: SessionSql, request: CloseRequest, expiresMs: number): void {
  const { sessionId, closedThroughMs, watermarkMs } = request
  for (const { head, lows } of groupIds(request.countedIds)) {
    const before = bytesOf(sql.get('counted', sessionId, head), 'lows')
    sql.run('putCounted', sessionId, head, Buffer.concat([before, lows]))
  }
  const old = sql.get('tombstone', sessionId)
  const traces = packTraces(request.earlier)
  sql.run(
    'putTombstone',
    sessionId,
    closedThroughMs ?? numberOf(old, 'through'),
    closedThroughMs === null ? watermarkMs : numberOf(old, 'up_to'),
    traces.length > 0 ? traces : bytesOf(old, 'traces'),
    textOf(old, 'redirect'),
    expiresMs,
  )
}
