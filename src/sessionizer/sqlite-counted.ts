/**
 * Record ids that were counted, so that they never count again: for the first 14 bytes of ids the last two of each,
 * one after the other, or, where these would take more room, a bit for each of the 65,536 there can be.
 */
import { groupIds } from './entry-batch.ts'
import { bytesOf, type SessionSql } from './sqlite-schema.ts'

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

/** Says whether a fact's key is that of a record that was counted. To be used for one batch. */
export function createCountedReader(sql: SessionSql, sessionId: string): (key: Buffer) => boolean {
  const known = new Map<string, Buffer>()
  return (key) => {
    const head = key.subarray(0, headBytes)
    const name = head.toString('latin1')
    let lows = known.get(name)
    if (lows === undefined) {
      const row = bytesOf(sql.get('counted', sessionId, head), 'lows')
      lows = Buffer.from(row.buffer, row.byteOffset, row.length)
      if (lows.length > manyBytes) lows = mapOf(lows)
      known.set(name, lows)
    }
    const low = key.readUInt16BE(headBytes)
    return lows.length === mapBytes ? hasBit(lows, low) : hasLow(lows, low)
  }
}

export function addCounted(sql: SessionSql, sessionId: string, ids: readonly string[]): void {
  for (const { head, lows } of groupIds(ids)) {
    const row = bytesOf(sql.get('counted', sessionId, head), 'lows')
    const before = Buffer.from(row.buffer, row.byteOffset, row.length)
    let after = before.length === mapBytes ? before : Buffer.concat([before, lows])
    if (before.length === mapBytes || after.length >= mapBytes) {
      after = mapOf(before)
      for (let at = 0; at < lows.length; at += 2) setBit(after, lows.readUInt16BE(at))
    }
    sql.run('putCounted', sessionId, head, after)
  }
}
