/**
 * Sets of byte positions as sorted, disjoint, half-open intervals.
 */

export type Interval = readonly [start: number, end: number]
export type Ranges = readonly Interval[]

/** Index of the first range that ends at or after the position. A blob read lazily has thousands of ranges. */
function findRange(ranges: Ranges, position: number): number {
  let low = 0
  let high = ranges.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ranges[middle] as Interval)[1] < position) low = middle + 1
    else high = middle
  }
  return low
}

/** Adds [start, end) in place; neighbours that touch become one. */
export function addRange(ranges: Interval[], start: number, end: number): void {
  if (end <= start) return
  const from = findRange(ranges, start)
  let to = from
  let low = start
  let high = end
  for (let range = ranges[to]; range !== undefined && range[0] <= end; range = ranges[++to]) {
    low = Math.min(low, range[0])
    high = Math.max(high, range[1])
  }
  ranges.splice(from, to - from, [low, high])
}

export function coversRange(ranges: Ranges, start: number, end: number): boolean {
  if (end <= start) return true
  // Ranges do not touch: if the first that ends at the start or later does not cover it, none does.
  const range = ranges[findRange(ranges, start)]
  return range !== undefined && range[0] <= start && range[1] >= end
}

/** Bytes in the ranges that lie below `limit`. */
export function countBytes(ranges: Ranges, limit = Number.POSITIVE_INFINITY): number {
  let sum = 0
  for (const range of ranges) sum += Math.max(0, Math.min(range[1], limit) - range[0])
  return sum
}
