import { expect, test } from 'vitest'
import { createRingBuffer, ringHeaderBytes } from './layout.ts'
import { forEachFrame, type RingSlice } from './reader.ts'
import { capacityBytes, createRing, put, timestampOffset } from './ring.fixture.ts'
import { createRingWriter } from './writer.ts'

function timestampsOf(sab: SharedArrayBuffer, slice: RingSlice): number[] {
  const seen: number[] = []
  forEachFrame(sab, slice.from, slice.to, (_bytes, view, offset) => {
    seen.push(view.getFloat64(offset + timestampOffset, true))
  })
  return seen
}

function drain(ring: ReturnType<typeof createRing>, maxRecords = 1000): number[] {
  const slice = ring.reader.trySlice(maxRecords)
  if (slice === null) return []
  const seen = timestampsOf(ring.sab, slice)
  ring.reader.free(slice)
  return seen
}

test('frames come out in order, whole, as many as asked for', () => {
  const ring = createRing()
  for (const t of [5, 3, 9]) expect(put(ring.writer, 40, t, t)).toBe(true)
  const first = ring.reader.trySlice(2)
  expect(first).toMatchObject({ records: 2, oldestStartMs: 3 })
  expect(timestampsOf(ring.sab, first!)).toEqual([5, 3])
  expect(drain(ring)).toEqual([9])
  expect(ring.reader.trySlice(2)).toBeNull()
})

test('a frame not committed is never seen, and the next claim takes its place', () => {
  const ring = createRing()
  const offset = ring.writer.tryClaim(40, false)
  ring.writer.view.setFloat64(offset + timestampOffset, 1, true)
  expect(ring.reader.trySlice(10)).toBeNull()
  put(ring.writer, 32, 2)
  expect(drain(ring)).toEqual([2])
  expect(ring.reader.counters().written).toBe(1)
})

test('a producer that replaces a dead one goes on numbering and erases what was not committed', () => {
  const ring = createRing()
  for (let n = 0; n < 9; n += 1) {
    ring.writer.nextSequence()
    put(ring.writer, 96, 1, 0x11)
    drain(ring)
  }
  put(ring.writer, 96, 7, 0x22)
  const offset = ring.writer.tryClaim(200, false)
  ring.writer.bytes.fill(0xaa, offset + 4, offset + 200)
  const successor = createRingWriter(ring.sab)
  expect(Buffer.from(ring.sab).includes(0xaa)).toBe(false)
  expect(successor.nextSequence()).toBe(10)
  put(successor, 40, 8)
  expect(drain(ring)).toEqual([7, 8])
})

test.each([
  ['a gap too small', 200, 5],
  ['an exact fit, which needs no padding', 192, 5],
])('wraps over %s', (_name, length, laps) => {
  const ring = createRing()
  const seen: number[] = []
  const perLap = Math.ceil(capacityBytes / length)
  for (let n = 0; n < laps * perLap; n += 1) {
    expect(put(ring.writer, length, n, 0xff)).toBe(true)
    seen.push(...drain(ring))
  }
  expect(seen).toEqual(Array.from({ length: laps * perLap }, (_, n) => n))
})

test('an exact fit ends at the last byte and the next frame begins at the first', () => {
  const ring = createRing()
  for (let n = 0; n < 4; n += 1) expect(put(ring.writer, 240, n)).toBe(true)
  drain(ring)
  const last = ring.writer.tryClaim(64, false)
  expect(last).toBe(ringHeaderBytes + 960)
  ring.writer.commit()
  expect(ring.writer.tryClaim(64, false)).toBe(ringHeaderBytes)
})

test('full is an answer and is counted; freeing makes room again', () => {
  const ring = createRing()
  let written = 0
  while (put(ring.writer, 64, written)) written += 1
  expect(written).toBe(15)
  expect(ring.reader.counters()).toEqual({ written: 15, dropped: { full: 1, oversize: 0 } })
  expect(ring.reader.usedRatio()).toBe(15 / 16)
  drain(ring)
  expect(ring.reader.usedRatio()).toBe(0)
  expect(put(ring.writer, 64, 99)).toBe(true)
})

test('the last sixteenth is for reserved claims alone, and they can use it to the last byte', () => {
  const ring = createRing()
  while (put(ring.writer, 64, 1));
  expect(put(ring.writer, 8 + 8, 1)).toBe(false)
  expect(put(ring.writer, 64, 2, 0, true)).toBe(true)
  expect(ring.reader.usedRatio()).toBe(1)
  expect(put(ring.writer, 16, 3, 0, true)).toBe(false)
  expect(drain(ring)).toHaveLength(16)
  expect(Buffer.from(ring.sab, ringHeaderBytes).every((byte) => byte === 0)).toBe(true)
})

test('a frame longer than a quarter of the ring is refused for its own reason; a quarter always fits', () => {
  const ring = createRing()
  expect(put(ring.writer, 257, 1)).toBe(false)
  expect(ring.reader.counters().dropped).toEqual({ full: 0, oversize: 1 })
  for (let step = 0; step < 200; step += 1) {
    expect(put(ring.writer, 256, step)).toBe(true)
    expect(put(ring.writer, 24, step)).toBe(true)
    expect(drain(ring)).toEqual([step, step])
  }
})

test('slices may be freed in any order; room comes back only from the oldest on', () => {
  const ring = createRing()
  for (let n = 0; n < 12; n += 1) put(ring.writer, 64, 100 + n)
  const slices = [1, 2, 3].map(() => ring.reader.trySlice(4)!)
  ring.reader.free(slices[2]!)
  ring.reader.free(slices[1]!)
  expect(ring.reader.usedRatio()).toBe(12 / 16)
  expect(ring.reader.oldestStartMs()).toBe(100)
  expect(timestampsOf(ring.sab, slices[0]!)).toEqual([100, 101, 102, 103])
  ring.reader.free(structuredClone(slices[0]!))
  expect(ring.reader.usedRatio()).toBe(0)
  expect(() => ring.reader.free(slices[0]!)).toThrow('not outstanding')
})

test('the oldest time covers what is out and what is not sliced yet', () => {
  const ring = createRing()
  expect(ring.reader.oldestStartMs()).toBeNull()
  for (const t of [50, 40, 30, 60]) put(ring.writer, 64, t)
  expect(ring.reader.oldestStartMs()).toBe(30)
  const slice = ring.reader.trySlice(2)!
  const rest = ring.reader.trySlice(2)!
  ring.reader.free(rest)
  expect(ring.reader.oldestStartMs()).toBe(40)
  ring.reader.free(slice)
  expect(ring.reader.oldestStartMs()).toBeNull()
})

test('freed memory holds nothing of its frames, before the producer can get it', () => {
  const ring = createRing()
  const canary = Buffer.from('canary')
  const memory = Buffer.from(ring.sab)
  for (let round = 0; round < 60; round += 1) {
    for (let n = 0; n < 3; n += 1) {
      const offset = ring.writer.tryClaim(96 + n * 40, false)
      canary.copy(ring.writer.bytes, offset + 16)
      ring.writer.commit()
    }
    const [first, second] = [ring.reader.trySlice(1)!, ring.reader.trySlice(2)!]
    expect(memory.includes(canary)).toBe(true)
    ring.reader.free(second)
    ring.reader.free(first)
    expect(memory.subarray(ringHeaderBytes).every((byte) => byte === 0)).toBe(true)
  }
})

test('positions wrap at 2^32 and at 2^31', () => {
  for (const startPosition of [2 ** 32 - 5, 2 ** 31 - 5]) {
    const ring = createRing(capacityBytes, startPosition)
    let next = 0
    const seen: number[] = []
    for (let round = 0; round < 40; round += 1) {
      while (put(ring.writer, 24 + ((next * 40) % 160), next)) next += 1
      seen.push(...drain(ring, 3), ...drain(ring))
    }
    expect(next).toBeGreaterThan(300)
    expect(seen).toEqual(Array.from({ length: next }, (_, n) => n))
  }
})

test('a damaged length is an error, not an endless loop', () => {
  const ring = createRing()
  put(ring.writer, 64, 1)
  ring.writer.view.setUint32(ringHeaderBytes, 0, true)
  expect(() => ring.reader.trySlice(1)).toThrow('impossible length')
})

test.each([1000, 512, 0, 2 ** 31, 1024.5])('a capacity of %d is refused', (capacity) => {
  expect(() => createRingBuffer(capacity)).toThrow(RangeError)
})
