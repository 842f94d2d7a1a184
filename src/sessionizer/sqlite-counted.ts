/**
 * Record ids that were counted, so that they never count again: for the first 14 bytes of ids the last two of each,
 * one after the other, or, where these would take more room, a bit for each of the 65,536 there can be.
 */
import { groupIds } from './entry-batch.ts'
import { bytesOf, type SessionSql, type SqlRow } from './sqlite-schema.ts'

const headBytes = 14
const mapBytes = 65_536 / 8
/** A map is made for as many questions as it costs. */
const manyBytes = 256

function setBit(map: Buffer, low: number): void {
  map[low >> 3] = (map[low >> 3] ?? 0) | (1 << (low & 7))
}

function hasBit(map: Buffer, low: number): boolean {
  return ((map[low >> 3] ?? 0) & (1 << (low & 7))) !== 0
}

/** A copy, as a map. */
function mapOf(lows: Buffer): Buffer {
  if (lows.length === mapBytes) return Buffer.from(lows)
  const map = Buffer.alloc(mapBytes)
  for (let at = 0; at + 1 < lows.length; at += 2) setBit(map, lows.readUInt16BE(at))
  return map
}

function hasLow(lows: Buffer, low: number): boolean {
  for (let at = 0; at + 1 < lows.length; at += 2) if (lows.readUInt16BE(at) === low) return true
  return false
}

/** Without a copy. */
function bufferOf(row: SqlRow | undefined, column: string): Buffer {
  const bytes = bytesOf(row, column)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** Says whether a fact's key is that of a record that was counted. To be used for one batch. */
export function createCountedReader(
  sql: SessionSql,
  sessionId: string,
  tombstone: SqlRow,
): (key: Buffer) => boolean {
  const known = new Map<string, Buffer>()
  const ownHead = bufferOf(tombstone, 'head')
  return (key) => {
    const head = key.subarray(0, headBytes)
    const name = head.toString('latin1')
    let lows = known.get(name)
    if (lows === undefined) {
      const row = head.equals(ownHead) ? tombstone : sql.get('counted', sessionId, head)
      lows = bufferOf(row, 'lows')
      if (lows.length > manyBytes) lows = mapOf(lows)
      known.set(name, lows)
    }
    const low = key.readUInt16BE(headBytes)
    return lows.length === mapBytes ? hasBit(lows, low) : hasLow(lows, low)
  }
}

function addLows(before: Buffer, lows: Buffer): Buffer {
  if (before.length !== mapBytes && before.length + lows.length < mapBytes)
    return Buffer.concat([before, lows])
  const map = mapOf(before)
  for (let at = 0; at < lows.length; at += 2) setBit(map, lows.readUInt16BE(at))
  return map
}

/** What the tombstone itself keeps: the ids of one head, most often all there are; the others have a row each. */
export function addCounted(
  sql: SessionSql,
  sessionId: string,
  ids: readonly string[],
  tombstone: SqlRow | undefined,
): { head: Buffer; lows: Buffer } {
  const groups = groupIds(ids)
  let own = { head: bufferOf(tombstone, 'head'), lows: bufferOf(tombstone, 'lows') }
  for (const { head, lows } of groups) {
    if (own.head.length === 0 || head.equals(own.head)) {
      own = { head, lows: addLows(own.lows, lows) }
    } else {
      const before = bufferOf(sql.get('counted', sessionId, head), 'lows')
      sql.run('putCounted', sessionId, head, addLows(before, lows))
    }
  }
  return own
}
