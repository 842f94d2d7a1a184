import { expect, test } from 'vitest'
import { createSteadyClock } from './steady-clock.ts'

test('the store’s time is followed, its jumps are not', () => {
  let monotonicMs = 0
  const clock = createSteadyClock(() => monotonicMs)
  const at = (ms: number, storeMs: number) => {
    monotonicMs = ms
    return clock(storeMs)
  }
  expect(at(0, 1_000_000)).toBe(1_000_000)
  expect(at(1000, 1_001_000)).toBe(1_001_000)
  // Set back by an hour, and forward again by a day.
  expect(at(2000, 1_001_000 - 3_600_000)).toBe(1_001_000)
  expect(at(3000, 1_003_000)).toBe(1_002_250)
  expect(at(4000, 1_004_000 + 86_400_000)).toBe(1_003_500)
  // It catches up slowly with a clock that stays ahead.
  expect(at(14_000, 1_014_000 + 86_400_000)).toBe(1_016_000)
})
