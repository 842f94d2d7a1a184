import { expect, test } from 'vitest'
import { cutSpans, type Span } from './block-types.ts'

test('what holes leave of ranges, against one number after another', () => {
  let seed = 7
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return seed % below
  }
  const draw = (count: number): Span<number>[] =>
    Array.from({ length: count }, () => {
      const start = random(60)
      return { start, end: start + 1 + random(8) }
    }).sort((a, b) => a.start - b.start)
  const has = (spans: Span<number>[], at: number): boolean =>
    spans.some(({ start, end }) => start <= at && at < end)
  for (let round = 0; round < 500; round++) {
    // As `block` hands them in: of each kind none touches another.
    const apart = (spans: Span<number>[]) =>
      spans.filter(({ start }, index) => index === 0 || start > (spans[index - 1]?.end ?? 0))
    const [spans, holes] = [apart(draw(6)), apart(draw(6))]
    const left = cutSpans(spans, holes)
    for (let at = 0; at < 70; at++)
      expect([round, at, has(left, at)]).toEqual([round, at, has(spans, at) && !has(holes, at)])
  }
})
