import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addRange, countBytes, coversRange, type Interval } from './ranges.ts'

const intervals = fc.array(fc.tuple(fc.nat(40), fc.nat(12)), { maxLength: 15 })

test('united ranges hold the positions that a set of positions would', () => {
  fc.assert(
    fc.property(intervals, fc.nat(50), fc.nat(20), (list, from, length) => {
      const positions = new Set<number>()
      const ranges: Interval[] = []
      for (const [start, size] of list) {
        addRange(ranges, start, start + size)
        for (let at = start; at < start + size; at += 1) positions.add(at)
      }
      expect(countBytes(ranges)).toBe(positions.size)
      expect(countBytes(ranges, from)).toBe([...positions].filter((at) => at < from).length)
      const wanted = Array.from({ length }, (_, index) => from + index)
      expect(coversRange(ranges, from, from + length)).toBe(wanted.every((at) => positions.has(at)))
      for (const [index, range] of ranges.entries()) {
        expect(range[0]).toBeGreaterThan(ranges[index - 1]?.[1] ?? -1)
      }
    }),
    { numRuns: 300, seed: 3 },
  )
})
