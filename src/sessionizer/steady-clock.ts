/**
 * The store's time without its jumps: it never goes back, and gains on a monotonic clock by a quarter at most,
 * so that a clock that is set cannot close every session at once.
 */
const gain = 1.25

export function createSteadyClock(monotonicMs: () => number): (storeMs: number) => number {
  let current: number | null = null
  let readAt = 0
  return (storeMs) => {
    const now = monotonicMs()
    if (current === null) current = storeMs
    else current += Math.min(Math.max(0, storeMs - current), (now - readAt) * gain)
    readAt = now
    return current
  }
}
