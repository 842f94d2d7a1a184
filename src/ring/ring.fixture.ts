/**
 * A small ring with both of its ends, and frames that show when they are overrun.
 */
import { createRingBuffer } from './layout.ts'
import { createRingReader } from './reader.ts'
import { createRingWriter, type RingWriter } from './writer.ts'

export const capacityBytes = 1024
export const timestampOffset = 8

export function createRing(capacity = capacityBytes, startPosition = 0) {
  const sab = createRingBuffer(capacity, { startPosition })
  return { sab, writer: createRingWriter(sab), reader: createRingReader(sab, { timestampOffset }) }
}

/** A frame whose body is `mark` throughout, so that an overrun shows. */
export function put(
  writer: RingWriter,
  length: number,
  timestamp: number,
  mark = 0,
  reserved = false,
): boolean {
  const offset = writer.tryClaim(length, reserved)
  if (offset < 0) return false
  writer.view.setFloat64(offset + timestampOffset, timestamp, true)
  writer.bytes.fill(mark, offset + 16, offset + length)
  writer.commit()
  return true
}
