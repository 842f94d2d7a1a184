/**
 * Since when the oldest request for a manifest or list runs in each proxy thread, in memory that the main thread reads:
 * it leaves its record when it ends, and what sessions decide meanwhile depends on it.
 */

/** A request that takes longer holds nobody any more: it comes late. */
const longestMs = 10_000
/** Between two looks of a proxy thread. */
export const runningIntervalMs = 100

export function createRunningSince(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer(threads * BigInt64Array.BYTES_PER_ELEMENT)
}

/** Unix ms: nothing of that thread that still runs began before. */
export function publishRunningSince(sab: SharedArrayBuffer, thread: number, timeMs: number): void {
  // Published after the records of what has ended, so that a request is seen here or in the ring, never in neither.
  Atomics.store(new BigInt64Array(sab), thread, BigInt(Math.floor(timeMs)))
}

/** Over all threads; `nowMs` when none has told anything. To be read before the rings. */
export function readRunningSince(sab: SharedArrayBuffer, nowMs: number): number {
  const words = new BigInt64Array(sab)
  let oldest = nowMs
  for (let thread = 0; thread < words.length; thread += 1) {
    // Acquires what the thread published before it: records that are not in the ring yet began later.
    const since = Number(Atomics.load(words, thread))
    if (since > 0) oldest = Math.min(oldest, since)
  }
  return Math.max(oldest, nowMs - longestMs)
}
