import { expect, test } from 'vitest'
import { splitSlice } from './batch-runner.ts'
import { createTestRing, numbersOf, range } from './ring.fixture.ts'

test('a slice is cut between frames, padding and the wrap of memory included', () => {
  const { ring, write, reader } = createTestRing(1, 1024)
  for (let round = 0; round < 20; round++) {
    const count = 2 + (round % 5)
    for (const value of range(count)) write(value, 1000, 24 + 8 * ((value + round) % 9))
    const slice = reader.trySlice(100)
    if (slice === null) throw new Error('nothing was written')
    const [left, right] = splitSlice(ring.sab, slice) ?? []
    expect(numbersOf({ sab: ring.sab, from: left?.from ?? 0, to: left?.to ?? 0 })).toEqual(range(count >> 1))
    expect(numbersOf({ sab: ring.sab, from: right?.from ?? 0, to: right?.to ?? 0 })).toEqual(
      range(count).slice(count >> 1),
    )
    expect((left?.records ?? 0) + (right?.records ?? 0)).toBe(count)
    reader.free(slice)
  }
})
