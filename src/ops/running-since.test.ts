import { expect, test } from 'vitest'
import { createRunningSince, publishRunningSince, readRunningSince } from './running-since.ts'

const nowMs = 1_800_000_000_000

test('the oldest of all threads, but none that runs for ever', () => {
  const sab = createRunningSince(3)
  expect(readRunningSince(sab, nowMs), 'none has started').toBe(nowMs)
  publishRunningSince(sab, 0, nowMs - 50)
  publishRunningSince(sab, 2, nowMs - 700.5)
  expect(readRunningSince(sab, nowMs)).toBe(nowMs - 701)
  publishRunningSince(sab, 2, nowMs)
  expect(readRunningSince(sab, nowMs)).toBe(nowMs - 50)
  expect(readRunningSince(sab, nowMs + 3_600_000), 'a thread that hangs').toBe(nowMs + 3_590_000)
})
