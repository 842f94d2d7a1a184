/**
 * Sets of byte positions as sorted, disjoint, half-open intervals.
 */

export type Interval = readonly [start: number, end: number]
export type Ranges = readonly Interval[]

/** The ranges with [start, end) added; neighbours that touch become one. */
export function uniteRange(ranges: Ranges, start: number, end: number): Ranges {
  if (end <= start) return ranges
  const before: Interval[] = []
  const after: Interval[] = []
  let low = start
  let high = end
  for (const range of ranges) {
    if (range[1] < start) before.push(range)
    else if (range[0] > end) after.push(range)
    else {
      low = Math.min(low, range[0])
      high = Math.max(high, range[1])
    }
  }
  return [...before, [low, high], ...after]
}

export function coversRange(ranges: Ranges, start: number, end: number): boolean {
  return end <= start || ranges.some((range) => range[0] <= start && range[1] >= end)
}

/** Bytes in the ranges that lie below `limit`. */
export function countBytes(ranges: Ranges, limit = Number.POSITIVE_INFINITY): number {
  let sum = 0
  for (const range of ranges) sum += Math.max(0, Math.min(range[1], limit) - range[0])
  return sum
}
