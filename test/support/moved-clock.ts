/**
 * Loaded before Waybill by `--import`: its clock is ahead by as many ms as the file in MOVED_CLOCK says, and what it
 * does each minute it does five times a second, so that a test sees days pass.
 */
import { readFileSync } from 'node:fs'

export function preloadMovedClock(file: string): Record<string, string> {
  return { NODE_OPTIONS: `--import=${import.meta.url}`, MOVED_CLOCK: file }
}

const file = process.env['MOVED_CLOCK']
const minuteMs = 60_000
const fastMs = 200

if (file !== undefined) {
  const now = Date.now
  const every = globalThis.setInterval
  let aheadMs = 0
  const read = (): void => {
    aheadMs = Number(readFileSync(file, 'utf8'))
  }
  read()
  // The clock that never jumps is ahead by as much as the other one was at the start, and stays so.
  Object.defineProperty(performance, 'timeOrigin', { value: performance.timeOrigin + aheadMs })
  every(read, fastMs).unref()
  Date.now = () => now() + aheadMs
  globalThis.setInterval = ((work: () => void, delayMs: number) =>
    every(work, delayMs === minuteMs ? fastMs : delayMs)) as typeof setInterval
}
