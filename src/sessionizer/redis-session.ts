/**
 * What lies in Redis, field by field and back: a session's hash, its entries in the join index, attempts and tags.
 */
import { groupIds } from './entry-batch.ts'
import { packTraces, unpackTraces } from './event-trace.ts'
import { longSession, shortSession } from './fact-codec.ts'
import type { JoinEntry, OpenEntry } from './join-index.ts'
import type { Attempt } from './memory/attempt-history.ts'
import type { TagSighting } from './memory/tag-history.ts'
import { secondOf } from './memory-notes.ts'
import type { Renewal, RenewalEntry } from './renewed-token.ts'
import type { CloseRequest, LoadedSession, Pairing, PairRequest } from './store.ts'
import { type UnpackedSession, unpackSession } from './stored-facts.ts'

// One value over 64 bytes turns the whole hash into a table of twice the size
// (hash-max-listpack-value), so a context lies in chunks.
const chunkBytes = 62
// Names of fields in `redis/add-facts.lua`, one byte each.
const arrivalsByte = 0x6e
const heldByte = 0x71

/** Fields `c`, id (4 bytes), number of the chunk (1 byte); field and value in turn. */
export function contextFields(contexts: ReadonlyMap<number, Buffer>): Buffer[] {
  const fields: Buffer[] = []
  for (const [id, bytes] of contexts) {
    for (let at = 0, chunk = 0; at < bytes.length; at += chunkBytes, chunk++) {
      const field = Buffer.alloc(6, 'c')
      field.writeUInt32BE(id, 1)
      field.writeUInt8(chunk, 5)
      fields.push(field, bytes.subarray(at, at + chunkBytes))
    }
  }
  return fields
}

/** `fields`: of the hash, in turn with their values. Of more facts than `mostFacts` it gives the oldest. */
export function readSession(
  sessionId: string,
  fields: readonly Buffer[],
  mostFacts: number,
): UnpackedSession & { arrivals: number } {
  const chunks = new Map<number, Buffer[]>()
  const rows: { field: Buffer; value: Buffer }[] = []
  let arrivals = 0
  let held = 0
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const field = fields[at] ?? Buffer.alloc(0)
    const value = fields[at + 1] ?? Buffer.alloc(0)
    if (field.length >= 16) {
      rows.push({ field, value })
    } else if (field.length === 6) {
      const id = field.readUInt32BE(1)
      const parts = chunks.get(id) ?? []
      parts[field.readUInt8(5)] = value
      chunks.set(id, parts)
    } else if (field[0] === arrivalsByte) {
      arrivals = Number(value)
    } else if (field[0] === heldByte) {
      held = Number(value)
    }
  }
  const contexts = new Map<number, Buffer>()
  for (const [id, parts] of chunks)
    contexts.set(id, Buffer.concat(parts.filter((part) => part !== undefined)))
  return { ...unpackSession(sessionId, { rows, contexts, held, mostFacts }), arrivals }
}

/** What a tombstone says of the session's events, and where its facts go. */
export function readTombstone(
  traces: Buffer | null | undefined,
  redirect: Buffer | null | undefined,
): Pick<LoadedSession, 'earlier' | 'redirect'> {
  return {
    earlier: unpackTraces(traces ?? Buffer.alloc(0)),
    redirect: redirect ? longSession(redirect.toString()) : null,
  }
}

/** Kind and session of an entry of the join index. */
function joinName(kind: JoinEntry['kind'], sessionId: string): Buffer {
  return Buffer.concat([Buffer.from(kind), Buffer.from(sessionId, 'hex')])
}

const timeBytes = 6
const undecidedBytes = 14
const never = 2 ** 48 - 1
const sessionBytes = 16

function entryValue({ time, digest }: { time: number; digest: string }): Buffer {
  const value = Buffer.alloc(undecidedBytes)
  value.writeUIntBE(time, 0, timeBytes)
  value.write(digest, timeBytes, 'hex')
  return value
}

/** Field and value of `redis/add-joins.lua`. */
export function joinFields(entry: OpenEntry): Buffer[] {
  return [joinName(entry.kind, entry.sessionId), entryValue(entry)]
}

export function renewalFields(entry: RenewalEntry): Buffer[] {
  return [Buffer.from(entry.sessionId, 'hex'), entryValue(entry)]
}

/** What was decided, as in `redis/decide-renewal.lua`. */
export function partnerField(partner: string | null): Buffer {
  return partner === null ? Buffer.from('-') : Buffer.from(partner, 'hex')
}

export function readPartner(field: Buffer): string | null {
  return field.length === sessionBytes ? field.toString('hex') : null
}

/** Of one that asks, in `redis/pair.lua`. */
export function pairFields({ sessionId, keepMs, kinds }: PairRequest): (string | number | Buffer)[] {
  const names = kinds.map((kind) => joinName(kind, sessionId))
  return [Buffer.from(sessionId, 'hex'), keepMs, names.length, ...names]
}

export type PairReply = [pairs: (number | Buffer)[], renewals: Buffer[]]

export function readPairing([pairs, rows]: PairReply, kinds: PairRequest['kinds']): Pairing {
  const pairing: Pairing = { target: null, source: null, renewals: [] }
  for (let at = 0; at < pairs.length; at += 2) {
    const partner = (pairs[at + 1] as Buffer).toString('hex')
    if (kinds[Number(pairs[at])] === 'a') pairing.target = partner
    else pairing.source = partner
  }
  for (let at = 0; at + 1 < rows.length; at += 2)
    pairing.renewals.push(readRenewal(rows[at] as Buffer, rows[at + 1] as Buffer))
  return pairing
}

/** Of one session, in `redis/close.lua`. */
export function closeFields(request: CloseRequest): (string | number | Buffer)[] {
  const { sessionId, remaining } = request
  const groups = groupIds(request.countedIds)
  return [
    shortSession(sessionId),
    request.lease,
    request.arrivals,
    request.closedThroughMs ?? '',
    packTraces(request.earlier),
    request.more ? 'now' : (remaining?.nextCheckMs ?? ''),
    remaining?.state.firstMs ?? '',
    remaining?.state.lastMs ?? '',
    remaining?.state.flags ?? '',
    groups.length,
    ...groups.flatMap(({ head, lows }) => [head, lows]),
  ]
}

function readRenewal(field: Buffer, value: Buffer): Renewal {
  return {
    sessionId: field.toString('hex'),
    digest: value.toString('hex', timeBytes, undecidedBytes),
    time: value.readUIntBE(0, timeBytes),
    partner: value.length === undecidedBytes ? undefined : readPartner(value.subarray(undecidedBytes)),
  }
}

/** Field and value of an attempt in `redis/add-joins.lua`. */
export function attemptFields({ sessionId, tag, timeMs, answeredMs }: Attempt): Buffer[] {
  const value = Buffer.alloc(2 * timeBytes)
  value.writeUIntBE(timeMs, 0, timeBytes)
  value.writeUIntBE(answeredMs ?? never, timeBytes, timeBytes)
  return [Buffer.concat([Buffer.from(sessionId, 'hex'), Buffer.from(tag)]), value]
}

export function readAttempt(field: Buffer, value: Buffer): Attempt {
  const answered = value.readUIntBE(timeBytes, timeBytes)
  return {
    sessionId: field.toString('hex', 0, sessionBytes),
    tag: field.toString('utf8', sessionBytes),
    timeMs: value.readUIntBE(0, timeBytes),
    answeredMs: answered === never ? null : answered,
  }
}

const sha256 = 'sha256:'
const sha256Text = /^sha256:[0-9a-f]{64}$/
const secondBytes = 5

/** Second, length of the digest's text (0: a SHA-256 of 32 bytes), digest, tag; see `redis/add-tags.lua`. */
export function sightingFields(sighting: TagSighting): [field: Buffer, timeMs: number, withinMs: number] {
  const { digest, tag, timeMs } = sighting
  const second = secondOf(sighting)
  const head = Buffer.alloc(secondBytes + 1)
  head.writeUIntBE(second, 0, secondBytes)
  const isShort = sha256Text.test(digest)
  const bytes = isShort
    ? Buffer.from(digest.slice(sha256.length), 'hex')
    : Buffer.from(digest).subarray(0, 255)
  head.writeUInt8(isShort ? 0 : bytes.length, secondBytes)
  return [Buffer.concat([head, bytes, Buffer.from(tag)]), timeMs, timeMs - second * 1000]
}

/** null: no sighting. */
export function readSighting(field: Buffer, value: Buffer): TagSighting | null {
  const from = secondBytes + 1
  if (field.length <= from) return null
  const length = field.readUInt8(secondBytes)
  const to = from + (length || 32)
  return {
    tag: field.toString('utf8', to),
    digest: length === 0 ? sha256 + field.toString('hex', from, to) : field.toString('utf8', from, to),
    timeMs: field.readUIntBE(0, secondBytes) * 1000 + Number(value),
  }
}
