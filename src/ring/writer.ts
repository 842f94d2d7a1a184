/**
 * The producer's side of a ring: claim room, write in place, commit. One thread at a time writes a ring.
 */
import {
  cachedTailWord,
  capacityUnitsOf,
  droppedFullWord,
  droppedOversizeWord,
  headWord,
  largestFramePart,
  paddingBit,
  reservedPart,
  ringHeaderBytes,
  sequenceWord,
  tailWord,
  unitBytes,
  unitShift,
  writtenWord,
} from './layout.ts'

export type RingWriter = {
  /** The whole ring; offsets of `tryClaim` count in both. */
  readonly bytes: Buffer
  readonly view: DataView
  /** Numbers from 1, going on where a former producer of this ring stopped. */
  nextSequence(): number
  /**
   * Room for a frame of `lengthBytes`, its first 4 bytes (the ring's) included. Byte offset, a multiple of 8,
   * or -1: no room, counted as dropped. An ordinary claim leaves 1/16 of the ring to reserved ones.
   * A claim that is not committed is forgotten by the next one, so a throw between the two costs nothing.
   */
  tryClaim(lengthBytes: number, reserved: boolean): number
  /** Hands the claimed frame to the reader. */
  commit(): void
}

export function createRingWriter(sab: SharedArrayBuffer): RingWriter {
  const bytes = Buffer.from(sab)
  const view = new DataView(sab)
  const words = new Int32Array(sab)
  const numbers = new Float64Array(sab)
  const counters = new BigUint64Array(sab)
  const capacity = capacityUnitsOf(sab)
  const mask = capacity - 1
  const largest = capacity * largestFramePart
  const ordinaryLimit = capacity - capacity * reservedPart
  let claimedUnits = 0

  eraseFreeRoom()

  /** A producer that died between claim and commit left a record, and with it an address, in the free room. */
  function eraseFreeRoom(): void {
    if (numbers[sequenceWord] === 0) return
    const head = words[headWord]!
    // Acquires the consumer's zeroing of everything before the tail: what is free is ours alone.
    const tail = Atomics.load(words, tailWord)
    words[cachedTailWord] = tail
    const from = head & mask
    const freeUnits = capacity - ((head - tail) | 0)
    const first = Math.min(freeUnits, capacity - from)
    const start = ringHeaderBytes + (from << unitShift)
    bytes.fill(0, start, start + (first << unitShift))
    bytes.fill(0, ringHeaderBytes, ringHeaderBytes + ((freeUnits - first) << unitShift))
  }

  function nextSequence(): number {
    const sequence = numbers[sequenceWord]! + 1
    numbers[sequenceWord] = sequence
    return sequence
  }

  function tryClaim(lengthBytes: number, reserved: boolean): number {
    const units = (lengthBytes + unitBytes - 1) >> unitShift
    if (units > largest) {
      // Nothing is published with it; atomic so that the reader of the counter never sees half a number.
      Atomics.add(counters, droppedOversizeWord, 1n)
      return -1
    }
    const head = words[headWord]!
    const at = head & mask
    const paddingUnits = units > capacity - at ? capacity - at : 0
    const need = units + paddingUnits
    const limit = reserved ? capacity : ordinaryLimit
    if (((head - words[cachedTailWord]!) | 0) + need > limit) {
      // Acquires the freed room and its zeroing; only read when the room known so far is used up.
      words[cachedTailWord] = Atomics.load(words, tailWord)
      if (((head - words[cachedTailWord]!) | 0) + need > limit) {
        // Nothing is published with it; atomic so that the reader of the counter never sees half a number.
        Atomics.add(counters, droppedFullWord, 1n)
        return -1
      }
    }
    if (paddingUnits > 0) {
      words[wordOf(at)] = (paddingUnits << unitShift) | paddingBit
    }
    const start = paddingUnits > 0 ? 0 : at
    words[wordOf(start)] = units << unitShift
    claimedUnits = need
    return ringHeaderBytes + (start << unitShift)
  }

  function commit(): void {
    // Plain: the store of the head below publishes it too.
    counters[writtenWord] = counters[writtenWord]! + 1n
    // Publishes the frame, and the padding before it: all their bytes are written before the head moves.
    Atomics.store(words, headWord, (words[headWord]! + claimedUnits) | 0)
    claimedUnits = 0
  }

  return { bytes, view, nextSequence, tryClaim, commit }
}

/** Index of a unit's first word in an Int32Array over the whole ring. */
function wordOf(unit: number): number {
  return (ringHeaderBytes >> 2) + (unit << 1)
}
