/** Random numbers that the seed alone decides. */

export type Random = {
  /** 0 ≤ x < 1 */
  next(): number
  /** A whole number, 0 ≤ x < `below`. */
  below(below: number): number
  pick<Value>(values: readonly Value[]): Value
  chance(share: number): boolean
}

/** mulberry32, by Tommy Ettinger (public domain): 32 bits of state are plenty for a plan. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number): number => Math.floor(next() * limit)
  return {
    next,
    below,
    pick<Value>(values: readonly Value[]): Value {
      if (values.length === 0) throw new Error('nothing to pick from')
      return values[below(values.length)] as Value
    },
    chance: (share) => next() < share,
  }
}
