import { expect, test } from 'vitest'
import { createUpstreamHealth } from './upstream-health.ts'

test('after three failures in a row only single probes pass, with growing pauses', () => {
  const health = createUpstreamHealth()
  health.failed('connect', 0)
  health.succeeded()
  for (const at of [1, 2]) health.failed('connect', at)
  expect(health.tryPass(3)).toBe(true)
  health.failed('timeout_connect', 3)
  expect(health.tryPass(4)).toBe(false)
  expect(health.lastReason()).toBe('timeout_connect')
  // What was under way before does not put the probe off.
  health.failed('connect', 900)
  expect(health.tryPass(1002)).toBe(false)
  expect(health.tryPass(1003)).toBe(true)
  expect(health.tryPass(1004)).toBe(false)
  health.failed('connect', 1010)
  expect(health.tryPass(3009)).toBe(false)
  expect(health.tryPass(3010)).toBe(true)
  health.succeeded()
  expect(health.tryPass(3011)).toBe(true)
})

test('a probe that never told its end does not close the way for good', () => {
  const health = createUpstreamHealth()
  for (const at of [0, 0, 0]) health.failed('connect', at)
  expect(health.tryPass(1000)).toBe(true)
  expect(health.tryPass(10_999)).toBe(false)
  expect(health.tryPass(11_000)).toBe(true)
})

test('pauses end at half a minute', () => {
  const health = createUpstreamHealth()
  let nowMs = 0
  for (const _ of Array(3)) health.failed('connect', nowMs)
  for (let probe = 0; probe < 50; probe++) {
    nowMs += 30_000
    expect(health.tryPass(nowMs)).toBe(true)
    health.failed('connect', nowMs)
  }
})

test.each([
  ['7', 7000],
  [' 7 ', 7000],
  ['86400', 60_000],
  ['', 0],
  ['soon', 0],
  ['-1', 0],
  [new Date(Date.now() + 3_600_000).toUTCString(), 60_000],
  ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
])('Retry-After %j holds pulls back for %i ms', (retryAfter, waitMs) => {
  const health = createUpstreamHealth()
  health.holdBack(retryAfter, 100)
  expect(health.heldBackMs(100)).toBe(waitMs)
  expect(health.heldBackMs(100 + waitMs)).toBe(0)
})
