/** The join index in SQLite: the twin of `redis/add-joins.lua` and `redis/pair.lua`. */
import { compareEntries, decideJoins, type JoinEntry, type OpenEntry } from './join-index.ts'
import { countOf, type SessionSql, textOf } from './sqlite-schema.ts'
import type { Pairing, PairRequest } from './store.ts'

/** The name under which decisions remember that a session takes part in no join any more. */
const mark = 'm'

export function addJoins(
  sql: SessionSql,
  joinKey: string,
  entries: readonly OpenEntry[],
  expiresMs: number,
): void {
  for (const { kind, sessionId, digest, time } of entries) {
    if (sql.get('joined', joinKey, kind, sessionId) !== undefined) continue
    sql.run('putJoin', joinKey, kind, sessionId, digest, time, expiresMs)
  }
}

export function pairSession(sql: SessionSql, request: PairRequest, expiresMs: number): Pairing {
  const { joinKey, sessionId, kinds, limits } = request
  const open = sql.all('joins', joinKey, limits.upToMs).map((row): OpenEntry => {
    const kind = (textOf(row, 'kind') ?? '') as JoinEntry['kind']
    const digest = textOf(row, 'digest') ?? ''
    return { kind, digest, sessionId: textOf(row, 'session') ?? '', time: countOf(row, 'time') }
  })
  const isMarked = (session: string) => sql.get('joined', joinKey, mark, session) !== undefined
  const { decided, marked } = decideJoins(open.sort(compareEntries), isMarked, limits)
  for (const { entry, partner } of decided) {
    sql.run('deleteJoin', joinKey, entry.kind, entry.sessionId)
    sql.run('putJoined', joinKey, entry.kind, entry.sessionId, partner, expiresMs)
  }
  for (const one of marked) sql.run('putJoined', joinKey, mark, one.sessionId, null, expiresMs)
  const pairing: Pairing = { target: null, source: null }
  for (const kind of kinds) {
    const partner = textOf(sql.get('joined', joinKey, kind, sessionId), 'partner')
    if (partner === null) continue
    if (kind === 'a') pairing.target = partner
    else pairing.source = partner
  }
  return pairing
}
