/**
 * The ring's memory: every offset in one place, and the check of what a ring may be.
 *
 * ```
 *  byte 0        128        256                   384            512
 *       +----------+----------+---------------------+--------------+---- ... ----+
 *       | head i32 | tail i32 | cached tail, number | counters u64 | frames      |
 *       +----------+----------+---------------------+--------------+---- ... ----+
 *        producer   consumer   producer's own        producer       capacity, a power of two
 *
 *  frame  0        4                                        length, up to a multiple of 8
 *         +--------+----------------------------------------+
 *         | length | what the producer writes               |
 *         +--------+----------------------------------------+
 *  padding: the length has its highest bit set; it fills the room before the end of the memory
 * ```
 *
 * Positions are free-running 32-bit numbers in units of 8 bytes: the place in memory is
 * `position & (capacity - 1)`, which stays right at the 2^32 wrap only because the capacity is a power of
 * two. They are held as i32, so that V8 keeps them as small integers and never allocates for them; all
 * arithmetic on them ends in `| 0`. Frames and header words are little-endian, as every platform of Node is.
 */

/** Two 64-byte cache lines: processors fetch lines in pairs, so one line apart would still be shared. */
const separationBytes = 128

export const unitBytes = 8
export const unitShift = 3

/** Indexes into an Int32Array over the whole ring. */
export const headWord = 0
export const tailWord = separationBytes / 4
export const cachedTailWord = (2 * separationBytes) / 4
/** Index into a Float64Array over the whole ring: the last sequence number given out, by its producer alone. */
export const sequenceWord = (2 * separationBytes + 8) / 8
/** Indexes into a BigUint64Array over the whole ring. */
export const writtenWord = (3 * separationBytes) / 8
export const droppedFullWord = writtenWord + 1
export const droppedOversizeWord = writtenWord + 2

export const ringHeaderBytes = 4 * separationBytes

/** The first 4 bytes of each frame belong to the ring. */
export const frameLengthBytes = 4
export const paddingBit = 0x80000000 | 0
export const frameLengthMask = 0x7fffffff

/** Part of the capacity that only reserved claims (running transfers) may use. */
export const reservedPart = 1 / 16
/** With the padding before it a frame takes less than twice its length, so this always fits an empty ring. */
export const largestFramePart = 1 / 4

export const dropReasons = ['full', 'oversize'] as const
/** `full`: no room; `oversize`: longer than a quarter of the ring. */
export type DropReason = (typeof dropReasons)[number]

export type RingOptions = {
  /** Tests only: where the free-running positions begin. */
  startPosition?: number
}

/** The memory of one ring. `capacityBytes`: a power of two from 1 KiB to 1 GiB. */
export function createRingBuffer(capacityBytes: number, options: RingOptions = {}): SharedArrayBuffer {
  checkCapacity(capacityBytes)
  const sab = new SharedArrayBuffer(ringHeaderBytes + capacityBytes)
  const words = new Int32Array(sab)
  const start = (options.startPosition ?? 0) | 0
  words[headWord] = start
  words[tailWord] = start
  words[cachedTailWord] = start
  return sab
}

/** The capacity of a ring's memory, checked: anything else would index outside it. */
export function capacityUnitsOf(sab: SharedArrayBuffer): number {
  checkCapacity(sab.byteLength - ringHeaderBytes)
  return (sab.byteLength - ringHeaderBytes) >>> unitShift
}

function checkCapacity(capacityBytes: number): void {
  const powerOfTwo = Number.isInteger(capacityBytes) && (capacityBytes & (capacityBytes - 1)) === 0
  if (!powerOfTwo || capacityBytes < 1024 || capacityBytes > 2 ** 30) {
    throw new RangeError(`ring capacity must be a power of two from 1 KiB to 1 GiB, not ${capacityBytes}`)
  }
}
