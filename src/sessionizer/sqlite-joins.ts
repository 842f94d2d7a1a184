/** The join index in SQLite: the twin of `redis/add-joins.lua`, `redis/pair.lua` and `redis/decide-renewal.lua`. */
import type { JoinEntries } from './entry-batch.ts'
import {
  compareEntries,
  decidedMs,
  decideJoins,
  type JoinEntry,
  type OpenEntry,
  undecidedMs,
} from './join-index.ts'
import { maxCandidates, maxRenewals, type Renewal } from './renewed-token.ts'
import { countOf, type SessionSql, type SqlRow, textOf } from './sqlite-schema.ts'
import type { Pairing, PairRequest, RenewalDecision } from './store.ts'

/** The name under which decisions remember that a session takes part in no join any more. */
const mark = 'm'
/** For when nobody asks any more; what is decided goes sooner. */
const renewalLifeMs = 86_400_000

export function addJoins(sql: SessionSql, { joinKey, entries, blobs }: JoinEntries, now: number): void {
  for (const { kind, sessionId, digest, time } of entries) {
    if (sql.get('joined', joinKey, kind, sessionId) === undefined)
      sql.run('putJoin', joinKey, kind, sessionId, digest, time, now + undecidedMs)
    sql.run('beginRenewal', joinKey, sessionId, time)
  }
  // SQLite counts row by row, so once for all of a batch.
  let renewals: number | null = null
  for (const { sessionId, digest, time } of blobs) {
    if (sql.get('renewal', joinKey, sessionId) === undefined) {
      const isBegun =
        sql.get('joined', joinKey, mark, sessionId) !== undefined ||
        sql.get('began', joinKey, sessionId, time) !== undefined
      if (isBegun) continue
      renewals ??= countOf(sql.get('countRenewals', joinKey), 'count')
      if (renewals >= maxRenewals) continue
      renewals++
    }
    sql.run('putRenewal', joinKey, sessionId, digest, time, now + renewalLifeMs)
  }
}

function readRenewal(row: SqlRow): Renewal {
  return {
    sessionId: textOf(row, 'session') ?? '',
    digest: textOf(row, 'digest') ?? '',
    time: countOf(row, 'time'),
    partner: countOf(row, 'decided') === 0 ? undefined : textOf(row, 'partner'),
  }
}

export function pairSession(sql: SessionSql, request: PairRequest, now: number): Pairing {
  const { joinKey, sessionId, kinds, limits } = request
  const open = sql.all('joins', joinKey, limits.upToMs).map((row): OpenEntry => {
    const kind = (textOf(row, 'kind') ?? '') as JoinEntry['kind']
    const digest = textOf(row, 'digest') ?? ''
    return { kind, digest, sessionId: textOf(row, 'session') ?? '', time: countOf(row, 'time') }
  })
  const isMarked = (session: string) => sql.get('joined', joinKey, mark, session) !== undefined
  const { decided, marked } = decideJoins(open.sort(compareEntries), isMarked, limits)
  const expiresMs = now + decidedMs
  for (const { entry, partner } of decided) {
    sql.run('deleteJoin', joinKey, entry.kind, entry.sessionId)
    sql.run('putJoined', joinKey, entry.kind, entry.sessionId, partner, expiresMs)
  }
  for (const one of marked) sql.run('putJoined', joinKey, mark, one.sessionId, null, expiresMs)
  const renewals = sql.all('renewals', joinKey, limits.upToMs).map(readRenewal)
  const pairing: Pairing = { target: null, source: null, renewals }
  for (const kind of kinds) {
    const partner = textOf(sql.get('joined', joinKey, kind, sessionId), 'partner')
    if (partner === null) continue
    if (kind === 'a') pairing.target = partner
    else pairing.source = partner
  }
  if (kinds.length > 0) {
    // A pull that takes longer than decisions live is found as long as it goes on.
    const keepMs = expiresMs + Math.max(0, request.keepMs - limits.upToMs)
    sql.run('keepJoined', keepMs, joinKey, mark, sessionId, keepMs)
  }
  if (renewals.length > 0) {
    sql.run('pruneRenewals', joinKey, 1, limits.upToMs - decidedMs)
    sql.run('pruneRenewals', joinKey, 0, limits.upToMs - undecidedMs)
  }
  return pairing
}

export function findBeginners(sql: SessionSql, joinKey: string): string[] {
  return sql.all('beginners', joinKey, joinKey, maxCandidates).map((row) => textOf(row, 'session') ?? '')
}

export function decideRenewal(sql: SessionSql, decision: RenewalDecision): string | null | undefined {
  const { joinKey, sessionId, partner } = decision
  sql.run('decideRenewal', partner, joinKey, sessionId)
  const row = sql.get('renewal', joinKey, sessionId)
  return row === undefined ? undefined : textOf(row, 'partner')
}
