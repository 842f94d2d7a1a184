/** Adds facts to sessions in SQLite, and reads them: the twin of `redis/add-facts.lua`. */
import { redirectFacts, type SessionFacts } from './entry-batch.ts'
import { lateBit } from './fact-codec.ts'
import { joinStates, nextCheckMs, type SessionRules, type SessionState } from './schedule.ts'
import { bytesOf, countOf, numberOf, type SessionSql, textOf } from './sqlite-schema.ts'
import { type UnpackedSession, unpackSession } from './stored-facts.ts'

/** Redirects of sessions that were joined never go further than this. */
const maxHops = 4

export type SessionMeta = {
  state: SessionState
  held: number
  arrivals: number
  passMs: number | null
  dueMs: number | null
  lease: string | null
  keptCheckMs: number | null
}

export function readMeta(sql: SessionSql, sessionId: string): SessionMeta | null {
  const row = sql.get('meta', sessionId)
  if (row === undefined) return null
  return {
    state: { firstMs: countOf(row, 'first'), lastMs: countOf(row, 'last'), flags: countOf(row, 'flags') },
    held: countOf(row, 'held'),
    arrivals: countOf(row, 'arrivals'),
    passMs: numberOf(row, 'pass'),
    dueMs: numberOf(row, 'due'),
    lease: textOf(row, 'lease'),
    keptCheckMs: numberOf(row, 'kept_check'),
  }
}

export function writeMeta(sql: SessionSql, sessionId: string, meta: SessionMeta): void {
  const { state, held, arrivals, passMs, dueMs, keptCheckMs } = meta
  sql.run(
    'putMeta',
    sessionId,
    state.firstMs,
    state.lastMs,
    state.flags,
    held,
    arrivals,
    passMs,
    dueMs,
    keptCheckMs,
  )
}

export function deleteSession(sql: SessionSql, sessionId: string): void {
  sql.run('deleteMeta', sessionId)
  sql.run('deleteFacts', sessionId)
  sql.run('deleteContexts', sessionId)
}

export function readFacts(sql: SessionSql, sessionId: string): UnpackedSession {
  const contexts = new Map<number, Buffer>()
  for (const row of sql.all('contexts', sessionId)) {
    contexts.set(countOf(row, 'id'), Buffer.from(bytesOf(row, 'value')))
  }
  const rows = sql.all('facts', sessionId)
  return unpackSession(
    sessionId,
    rows.map((row) => ({ field: bytesOf(row, 'field'), value: bytesOf(row, 'value') })),
    contexts,
  )
}

export function addFacts(sql: SessionSql, facts: readonly SessionFacts[], rules: SessionRules): void {
  for (const session of facts) {
    let target = session
    for (let hop = 0; hop < maxHops; hop++) {
      const redirect = textOf(sql.get('tombstone', target.sessionId), 'redirect')
      if (redirect === null) break
      target = redirectFacts(target, redirect)
    }
    addToSession(sql, target, rules)
  }
}

function addToSession(sql: SessionSql, session: SessionFacts, rules: SessionRules): void {
  const { sessionId } = session
  const tombstone = sql.get('tombstone', sessionId)
  const before = readMeta(sql, sessionId)
  let state = before?.state ?? null
  let held = before?.held ?? 0
  let arrivals = before?.arrivals ?? 0
  for (const fact of session.facts) {
    const id = fact.key.subarray(0, 16)
    const isBeat = fact.key.length > 16
    if (tombstone !== undefined && isCounted(sql, sessionId, id)) continue
    if (sql.get('fact', sessionId, id) !== undefined) continue
    const beatKey = Buffer.concat([id, Buffer.from('h')])
    const beat = sql.get('fact', sessionId, beatKey)
    if (isBeat && beat !== undefined && durationOf(bytesOf(beat, 'value')) >= durationOf(fact.value)) continue
    const value = Buffer.from(fact.value)
    const through = numberOf(tombstone, 'through')
    const upTo = numberOf(tombstone, 'up_to')
    // Not at the same ms: a watermark is the time of a record that is still to come.
    if ((through !== null && fact.startMs < through) || (upTo !== null && fact.endMs < upTo)) {
      value.writeUInt8(value.readUInt8(0) | lateBit, 0)
    }
    sql.run('putFact', sessionId, fact.key, value)
    if (beat !== undefined && !isBeat) sql.run('deleteFact', sessionId, beatKey)
    if (beat === undefined) held++
    arrivals++
    state = joinStates(state, { firstMs: fact.startMs, lastMs: fact.endMs, flags: fact.flags })
  }
  if (state === null || arrivals === (before?.arrivals ?? 0)) return
  for (const [id, bytes] of session.contexts) sql.run('putContext', sessionId, id, bytes)
  const passMs = before?.passMs ?? null
  const check = nextCheckMs(state, arrivals, passMs, before?.dueMs ?? null, rules)
  const isLeased = before !== null && before.lease !== null
  writeMeta(sql, sessionId, {
    state,
    held,
    arrivals,
    passMs,
    dueMs: isLeased ? null : check,
    lease: before?.lease ?? null,
    keptCheckMs: isLeased ? check : null,
  })
}

function isCounted(sql: SessionSql, sessionId: string, id: Buffer): boolean {
  const row = sql.get('counted', sessionId, id.subarray(0, 14))
  if (row === undefined) return false
  const lows = Buffer.from(bytesOf(row, 'lows'))
  const low = id.subarray(14, 16)
  for (let at = lows.indexOf(low); at >= 0; at = lows.indexOf(low, at + 1)) {
    if (at % 2 === 0) return true
  }
  return false
}

/** The varint after the 12 bytes of fixed length, see fact-codec.ts. */
function durationOf(value: Uint8Array): number {
  let result = 0
  let factor = 1
  for (let at = 12; at < value.length; at++, factor *= 128) {
    const byte = value[at] ?? 0
    result += (byte % 128) * factor
    if (byte < 128) break
  }
  return result
}
