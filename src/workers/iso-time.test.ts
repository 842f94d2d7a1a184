import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createTimeFormatter } from './iso-time.ts'

const farthest = 8.64e15
const times = fc.oneof(
  fc.integer({ min: 1_790_000_000_000, max: 1_790_000_003_000 }),
  fc.double({ min: 1_790_000_000_000, max: 1_790_000_003_000, noNaN: true }),
  fc.double({ min: -3000, max: 3000, noNaN: true }),
  fc.double({ min: -farthest, max: farthest, noNaN: true }),
)

test('any times in any order are written as Date writes them', () => {
  fc.assert(
    fc.property(fc.array(times, { minLength: 1, maxLength: 20 }), (list) => {
      const format = createTimeFormatter()
      for (const time of list) expect(format(time)).toBe(new Date(time).toISOString())
    }),
  )
})

test.each([Number.NaN, Number.POSITIVE_INFINITY, farthest + 1])('%d is no time', (time) => {
  const format = createTimeFormatter()
  expect(() => format(time)).toThrow(RangeError)
  expect(format(0)).toBe('1970-01-01T00:00:00.000Z')
})
