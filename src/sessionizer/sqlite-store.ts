/** Sessions in one SQLite file, for a node on its own: each method is one transaction of the one writer. */
import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import type { DatabaseSync } from 'node:sqlite'
import type { LogEntry, Manifest } from '../record/events.ts'
import { createCallGroup } from './call-group.ts'
import { factKey, packSessions, sortEntries } from './entry-batch.ts'
import { packTraces, unpackTraces } from './event-trace.ts'
import { createManifestCache } from './manifest-cache.ts'
import { claimFacts, mostFacts, nodeLifeMs, type SessionRules } from './schedule.ts'
import { addCounted } from './sqlite-counted.ts'
import { addFacts, deleteSession, readFacts, readMeta, writeMeta } from './sqlite-facts.ts'
import { addJoins, decideRenewal, findBeginners, pairSession } from './sqlite-joins.ts'
import { createSqliteMemory } from './sqlite-memory.ts'
import { bytesOf, countOf, numberOf, openSessionTables, type SessionSql, textOf } from './sqlite-schema.ts'
import type {
  ClaimedSession,
  CloseRequest,
  LoadedSession,
  MoveRequest,
  PairRequest,
  SessionStore,
} from './store.ts'

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
  /** Sightings of tags that came too late or found no room. */
  onTagsRefused?(count: number): void
}

const longestSweepMs = 60_000
/** In one transaction, as in `createCallGroup`: each of the two takes some 50 ms at most. */
const mostBatches = 16
const mostSessions = 64

export function createSqliteStore(options: SqliteStoreOptions): SessionStore {
  const { sessions: rules, tombstoneMs } = options
  const leaseMs = options.leaseMs ?? 60_000
  const manifestMs = options.manifestMs ?? 90 * 86_400_000
  const nowMs = options.nowMs ?? (() => Math.floor(performance.timeOrigin + performance.now()))
  const sql = openSessionTables(options.database)
  const memory = createSqliteMemory({ sql, nowMs, onTagsRefused: options.onTagsRefused ?? (() => undefined) })
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
    for (const name of ['expireJoins', 'expireJoined', 'expireRenewals', 'expireManifests'] as const)
      sql.run(name, now)
    memory.sweepExpired(now)
  }

  function loadSession(sessionId: string): LoadedSession | null {
    const meta = readMeta(sql, sessionId)
    if (meta === null) return null
    const tombstone = sql.get('tombstone', sessionId)
    return {
      sessionId,
      ...readFacts(sql, sessionId, meta, mostFacts),
      arrivals: meta.arrivals,
      earlier: unpackTraces(Buffer.from(bytesOf(tombstone, 'traces'))),
      // Facts move in one transaction; none that came during it is left behind.
      redirect: textOf(tombstone, 'redirect'),
    }
  }

  function claim(watermarkMs: number, max: number): ClaimedSession[] {
    const now = nowMs()
    sweepExpired(now)
    const rows = [...sql.all('due', watermarkMs, max), ...sql.all('lapsed', now, max)].slice(0, max)
    const lease = randomBytes(9).toString('base64url')
    const claimed: ClaimedSession[] = []
    let facts = 0
    for (const row of rows) {
      if (facts >= claimFacts) break
      const loaded = loadSession(textOf(row, 'session') ?? '')
      if (loaded === null) continue
      sql.run('lease', lease, now + leaseMs, loaded.sessionId)
      facts += loaded.facts.length
      claimed.push({ ...loaded, lease })
    }
    return claimed
  }

  function closeClaim(request: CloseRequest): boolean {
    const { sessionId, remaining, watermarkMs } = request
    const meta = readMeta(sql, sessionId)
    if (meta === null || meta.lease !== request.lease) return false
    if (request.countedIds.length > 0) buryIds(sql, request, nowMs() + tombstoneMs)
    // Most close as a whole: all that was there when they were read, and nothing came since.
    const isWhole =
      remaining === null && meta.arrivals === request.arrivals && meta.held <= request.countedIds.length
    const removed = isWhole ? meta.held : deleteRecords(sql, meta.number, request.countedIds)
    if (meta.held <= removed) {
      deleteSession(sql, meta.number)
      return true
    }
    const held = meta.held - removed
    const arrivals = meta.arrivals - request.arrivals
    const quiet = arrivals === 0 && remaining !== null && !request.more
    const state = quiet ? remaining.state : meta.state
    const later = quiet ? remaining.nextCheckMs : (meta.keptCheckMs ?? watermarkMs)
    const check = request.more ? watermarkMs : later
    writeMeta(sql, { ...meta, state, held, arrivals, passMs: watermarkMs })
    sql.run('unlease', check, sessionId)
    return true
  }

  function moveFacts({ from, to, facts }: MoveRequest): void {
    const stored = facts.map(({ fact }) => fact)
    addFacts(sql, packSessions(stored, to), rules)
    sql.run('redirect', from, to, nowMs() + tombstoneMs)
    const meta = readMeta(sql, from)
    if (meta === null) return
    const held = stored.reduce(
      (left, fact) => left - sql.run('deleteFact', meta.number, factKey(fact)),
      meta.held,
    )
    if (held <= 0) deleteSession(sql, meta.number)
    else sql.run('setHeld', held, meta.number)
  }

  function addAll(calls: readonly (readonly LogEntry[])[]): void {
    const batch = sortEntries(calls.length === 1 ? (calls[0] ?? []) : calls.flat())
    const now = nowMs()
    for (const manifest of batch.manifests) {
      sql.run('putManifest', manifest.digest, JSON.stringify(manifest), now + manifestMs)
    }
    for (const join of batch.joins) {
      addJoins(sql, join, now)
      memory.noteAttempts(join.joinKey, join.attempts, now)
    }
    memory.noteTags(batch.tags, now)
    addFacts(sql, batch.sessions, rules)
  }

  const adding = createCallGroup(mostBatches, (calls: readonly (readonly LogEntry[])[]) => {
    sql.transaction(() => addAll(calls))
    return calls.map(() => undefined)
  })
  const closing = createCallGroup(mostSessions, (requests: readonly CloseRequest[]) =>
    sql.transaction(() => requests.map(closeClaim)),
  )
  const pairing = createCallGroup(mostSessions, (requests: readonly PairRequest[]) =>
    sql.transaction(() => requests.map((request) => pairSession(sql, request, nowMs()))),
  )
  const moving = createCallGroup(mostSessions, (requests: readonly MoveRequest[]) =>
    sql.transaction(() => requests.map(moveFacts)),
  )
  const groups = [adding, closing, pairing, moving]

  return {
    addEntries: adding.call,

    claimDue: async ({ watermarkMs, max }) => sql.transaction(() => claim(watermarkMs, max)),

    load: async (sessionId) => loadSession(sessionId),

    pair: pairing.call,
    beginners: async (joinKey) => findBeginners(sql, joinKey),
    decideRenewal: async (decision) => sql.transaction(() => decideRenewal(sql, decision)),
    move: moving.call,
    closeSession: closing.call,

    async release({ sessionId, lease, nextCheckMs }) {
      sql.transaction(() => {
        if (readMeta(sql, sessionId)?.lease === lease) sql.run('unlease', nextCheckMs, sessionId)
      })
    },

    loadManifests: (digests) => cache.load(digests),
    ...memory.calls,

    async publishWatermark(node, oldestMs) {
      sql.run('putNode', node, oldestMs, nowMs())
    },

    async lowestWatermark() {
      return numberOf(sql.get('lowest', nowMs() - nodeLifeMs(rules)), 'lowest')
    },

    storeTimeMs: async () => nowMs(),

    openSessions: async () => countOf(sql.get('count'), 'count'),

    async close() {
      for (const group of groups) group.flush()
    },
  }
}

/** Record ids, each with its heartbeat; returns how many there were. */
function deleteRecords(sql: SessionSql, number: number, ids: readonly string[]): number {
  return ids.reduce(
    (sum, id) => sum + sql.run('deleteRecord', number, Buffer.from(id, 'hex'), Buffer.from(`${id}68`, 'hex')),
    0,
  )
}

function buryIds(sql: SessionSql, request: CloseRequest, expiresMs: number): void {
  const { sessionId, closedThroughMs, watermarkMs } = request
  const old = sql.get('tombstone', sessionId)
  const { head, lows } = addCounted(sql, sessionId, request.countedIds, old)
  const traces = packTraces(request.earlier)
  sql.run(
    'putTombstone',
    sessionId,
    closedThroughMs ?? numberOf(old, 'through'),
    closedThroughMs === null ? watermarkMs : numberOf(old, 'up_to'),
    traces.length > 0 ? traces : bytesOf(old, 'traces'),
    textOf(old, 'redirect'),
    expiresMs,
    head,
    lows,
  )
}
