/** Adds facts to sessions in SQLite, and reads them: the twin of `redis/add-facts.lua`. */
import { type PackedFact, redirectFacts, type SessionFacts } from './entry-batch.ts'
import { lateBit } from './fact-codec.ts'
import { flags, joinStates, nextCheckMs, type SessionRules, type SessionState } from './schedule.ts'
import { createCountedReader } from './sqlite-counted.ts'
import {
  bytesOf,
  countOf,
  numberOf,
  type SessionSql,
  type SqlRow,
  type SqlValue,
  textOf,
} from './sqlite-schema.ts'
import { type FactRow, type UnpackedSession, unpackSession } from './stored-facts.ts'

/** Redirects of sessions that were joined never go further than this. */
const maxHops = 4

export type SessionMeta = {
  /** Under which its facts lie. */
  number: number
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
    number: countOf(row, 'number'),
    state: { firstMs: countOf(row, 'first'), lastMs: countOf(row, 'last'), flags: countOf(row, 'flags') },
    held: countOf(row, 'held'),
    arrivals: countOf(row, 'arrivals'),
    passMs: numberOf(row, 'pass'),
    dueMs: numberOf(row, 'due'),
    lease: textOf(row, 'lease'),
    keptCheckMs: numberOf(row, 'kept_check'),
  }
}

function metaValues({ state, held, arrivals, passMs, dueMs, keptCheckMs, number }: SessionMeta): SqlValue[] {
  return [state.firstMs, state.lastMs, state.flags, held, arrivals, passMs, dueMs, keptCheckMs, number]
}

/** All but the lease. */
export function writeMeta(sql: SessionSql, meta: SessionMeta): void {
  sql.run('putMeta', ...metaValues(meta))
}

export function deleteSession(sql: SessionSql, number: number): void {
  sql.run('deleteMeta', number)
  sql.run('deleteFacts', number)
}

/** Of more facts than `mostFacts` the oldest. */
export function readFacts(
  sql: SessionSql,
  sessionId: string,
  { number, held }: SessionMeta,
  mostFacts: number,
): UnpackedSession {
  const more = held > mostFacts
  const contexts = new Map<number, Buffer>()
  const facts: FactRow[] = []
  const found = more
    ? [...sql.all('contexts', number), ...sql.all('oldestFacts', number, mostFacts)]
    : sql.all('facts', number)
  for (const row of found) {
    const [field, value] = [bytesOf(row, 'field'), bytesOf(row, 'value')]
    if (field.length === contextBytes) contexts.set(Buffer.from(field).readUInt32BE(0), Buffer.from(value))
    else facts.push({ field, value })
  }
  return unpackSession(sessionId, { rows: facts, contexts, held, mostFacts })
}

/** A context's id, as a field. */
const contextBytes = 4

function contextField(id: number): Buffer {
  const field = Buffer.allocUnsafe(contextBytes)
  field.writeUInt32BE(id, 0)
  return field
}

export function addFacts(sql: SessionSql, facts: readonly SessionFacts[], rules: SessionRules): void {
  for (const session of facts) {
    let target = session
    let tombstone = sql.get('tombstone', target.sessionId)
    for (let hop = 0; hop < maxHops; hop++) {
      const redirect = textOf(tombstone, 'redirect')
      if (tombstone === undefined || redirect === null) break
      // What was counted before the others went: their new session knows nothing of it.
      const isCounted = createCountedReader(sql, target.sessionId, tombstone)
      const facts = target.facts.filter((fact) => !isCounted(fact.key))
      target = redirectFacts({ ...target, facts }, redirect)
      tombstone = sql.get('tombstone', target.sessionId)
    }
    addToSession(sql, target, tombstone, rules)
  }
}

type Adding = {
  sql: SessionSql
  number: number
  /** There may be heartbeats in the session. */
  hasBeats: boolean
  through: number | null
  upTo: number | null
}

/** What the fact makes of the session: one more, one instead of its heartbeat, or nothing. */
function addFact(adding: Adding, fact: PackedFact): 'new' | 'instead' | null {
  const { sql, number, through, upTo } = adding
  const value = fact.value
  // Not at the same ms: a watermark is the time of a record that is still to come.
  if ((through !== null && fact.startMs < through) || (upTo !== null && fact.endMs < upTo)) {
    value.writeUInt8(value.readUInt8(0) | lateBit, 0)
  }
  const isBeat = fact.key.length > 16
  if (!isBeat && !adding.hasBeats) return sql.run('addFact', number, fact.key, value) > 0 ? 'new' : null
  const id = fact.key.subarray(0, 16)
  if (sql.get('fact', number, id) !== undefined) return null
  const beatKey = isBeat ? fact.key : Buffer.concat([id, Buffer.from('h')])
  const beat = adding.hasBeats ? sql.get('fact', number, beatKey) : undefined
  if (isBeat && beat !== undefined && durationOf(bytesOf(beat, 'value')) >= durationOf(value)) return null
  adding.hasBeats ||= isBeat
  sql.run('putFact', number, fact.key, value)
  if (beat !== undefined && !isBeat) sql.run('deleteFact', number, beatKey)
  return beat === undefined ? 'new' : 'instead'
}

function addToSession(
  sql: SessionSql,
  session: SessionFacts,
  tombstone: SqlRow | undefined,
  rules: SessionRules,
): void {
  const { sessionId } = session
  const before = readMeta(sql, sessionId)
  let state = before?.state ?? null
  let held = before?.held ?? 0
  let arrivals = before?.arrivals ?? 0
  const isCounted = tombstone === undefined ? () => false : createCountedReader(sql, sessionId, tombstone)
  const number = before?.number ?? sql.nextNumber()
  const adding: Adding = {
    sql,
    number,
    hasBeats: ((state?.flags ?? 0) & flags.heartbeat) !== 0,
    through: numberOf(tombstone, 'through'),
    upTo: numberOf(tombstone, 'up_to'),
  }
  for (const fact of session.facts) {
    const added = isCounted(fact.key) ? null : addFact(adding, fact)
    if (added === null) continue
    if (added === 'new') held++
    arrivals++
    state = joinStates(state, { firstMs: fact.startMs, lastMs: fact.endMs, flags: fact.flags })
  }
  if (state === null || arrivals === (before?.arrivals ?? 0)) return
  for (const [id, bytes] of session.contexts) sql.run('addFact', number, contextField(id), bytes)
  const passMs = before?.passMs ?? null
  const check = nextCheckMs(state, { held, arrivals }, passMs, before?.dueMs ?? null, rules)
  const isLeased = before !== null && before.lease !== null
  const meta: SessionMeta = {
    number,
    state,
    held,
    arrivals,
    passMs,
    dueMs: isLeased ? null : check,
    lease: before?.lease ?? null,
    keptCheckMs: isLeased ? check : null,
  }
  if (before === null) sql.run('addMeta', ...metaValues(meta), sessionId)
  else writeMeta(sql, meta)
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
