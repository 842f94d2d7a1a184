/** What lies in Redis: a session's hash, field by field and back to facts, and its entries in the join index. */
import type { JoinEntry, OpenEntry } from './join-index.ts'
import { type UnpackedSession, unpackSession } from './stored-facts.ts'

// One value over 64 bytes turns the whole hash into a table of twice the size
// (hash-max-listpack-value), so a context lies in chunks.
const chunkBytes = 62

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
    } else if (field.toString() === 'n') {
      arrivals = Number(value)
    } else if (field.toString() === 'q') {
      held = Number(value)
    }
  }
  const contexts = new Map<number, Buffer>()
  for (const [id, parts] of chunks)
    contexts.set(id, Buffer.concat(parts.filter((part) => part !== undefined)))
  return { ...unpackSession(sessionId, { rows, contexts, held, mostFacts }), arrivals }
}

/** Kind and session of an entry of the join index. */
export function joinName(kind: JoinEntry['kind'], sessionId: string): Buffer {
  return Buffer.concat([Buffer.from(kind), Buffer.from(sessionId, 'hex')])
}

/** Field and value of `redis/add-joins.lua`. */
export function joinFields(entry: OpenEntry): Buffer[] {
  const value = Buffer.alloc(14)
  value.writeUIntBE(entry.time, 0, 6)
  value.write(entry.digest, 6, 'hex')
  return [joinName(entry.kind, entry.sessionId), value]
}
