/** Rings of small frames that hold a number, and random numbers that come again. */
import { createRingBuffer } from '../ring/layout.ts'
import { createRingReader, forEachFrame, type RingSlice } from '../ring/reader.ts'
import { createRingWriter } from '../ring/writer.ts'

const timestampOffset = 8
const numberOffset = 16

/** A ring of frames that hold a time and a number, and what was freed of it, in order. */
export function createTestRing(number: number, capacityBytes = 64 * 1024) {
  const sab = createRingBuffer(capacityBytes, { startPosition: -40 })
  const writer = createRingWriter(sab)
  const reader = createRingReader(sab, { timestampOffset })
  const freed: number[] = []
  function write(value: number, startMs = 1000 + value, bytes = 24): boolean {
    const at = writer.tryClaim(bytes, false)
    if (at < 0) return false
    writer.view.setFloat64(at + timestampOffset, startMs, true)
    writer.view.setFloat64(at + numberOffset, value, true)
    writer.commit()
    return true
  }
  function free(slice: RingSlice) {
    freed.push(...numbersOf({ sab, ...slice }))
    reader.free(slice)
  }
  return { ring: { number, sab, reader: { ...reader, free } }, reader, write, freed }
}

export function numbersOf({ sab, from, to }: { sab: SharedArrayBuffer; from: number; to: number }): number[] {
  const numbers: number[] = []
  forEachFrame(sab, from, to, (_, view, offset) => {
    numbers.push(view.getFloat64(offset + numberOffset, true))
  })
  return numbers
}

export const range = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i)
