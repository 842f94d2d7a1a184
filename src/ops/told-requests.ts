/**
 * Up to when each proxy thread has told of all its requests: sessions wait for what is under way and nobody knows of.
 * A row of one i64 (Unix ms) for each thread; 0: it has said nothing yet.
 */

export function createToldMemory(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer(threads * BigInt64Array.BYTES_PER_ELEMENT)
}

export function attachTold({ sab, row }: { sab: SharedArrayBuffer; row: number }): (upToMs: number) => void {
  const words = new BigInt64Array(sab)
  // Publishes that records of what began before are in the ring, or were dropped: they were written before.
  return (upToMs) => Atomics.store(words, row, BigInt(Math.floor(upToMs)))
}

/** Of all threads; to be read before the rings. */
export function readTold(sab: SharedArrayBuffer): number {
  let least = Number.MAX_SAFE_INTEGER
  const words = new BigInt64Array(sab)
  for (let row = 0; row < words.length; row += 1) {
    // Acquires the records of what began before.
    const told = Number(Atomics.load(words, row))
    if (told > 0) least = Math.min(least, told)
  }
  return least
}
