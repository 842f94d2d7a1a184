/**
 * The consumer's side of a ring: hands out ranges of frames, and takes them back zeroed, in any order.
 */
import {
  capacityUnitsOf,
  type DropReason,
  droppedFullWord,
  droppedOversizeWord,
  headWord,
  tailWord,
  unitShift,
  writtenWord,
} from './layout.ts'
import { createFrameWalk } from './walk.ts'

/** A range of frames. It stays as it is until it is freed, whatever becomes of those who read it. */
export type RingSlice = {
  /** Positions: free-running u32 in units of 8 bytes. */
  from: number
  to: number
  records: number
  /** Unix ms: the least timestamp among the records. */
  oldestStartMs: number
}

export type RingCounters = { written: number; dropped: Record<DropReason, number> }

export type RingReader = {
  /** The next frames, up to `maxRecords`, or null when there are none; several slices may be out at once. */
  trySlice(maxRecords: number): RingSlice | null
  /** Zeroes the slice's memory; the producer gets it once all slices before it are free too. */
  free(slice: RingSlice): void
  /** Room that is not free, padding included, as a part of the capacity. */
  usedRatio(): number
  counters(): RingCounters
  /** Unix ms of the oldest record that is not freed, or null. Walks the frames that no slice has taken yet. */
  oldestStartMs(): number | null
}

export type RingReaderOptions = {
  /** Offset from a frame's start to its timestamp: f64, little-endian, Unix ms. */
  timestampOffset: number
}

type Outstanding = { slice: RingSlice; freed: boolean }

export function createRingReader(sab: SharedArrayBuffer, options: RingReaderOptions): RingReader {
  const { timestampOffset } = options
  const words = new Int32Array(sab)
  const bytes = Buffer.from(sab)
  const view = new DataView(sab)
  const counts = new BigUint64Array(sab)
  const capacity = capacityUnitsOf(sab)
  const walk = createFrameWalk(sab)
  /** In ring order, so at most one for each frame. */
  const outstanding: Outstanding[] = []
  let position = words[tailWord]!

  function trySlice(maxRecords: number): RingSlice | null {
    // Acquires every byte of the frames before the head.
    const head = Atomics.load(words, headWord)
    let oldest = Number.POSITIVE_INFINITY
    let records = 0
    const from = position
    const to = walk(from, head, maxRecords, (offset) => {
      records += 1
      oldest = Math.min(oldest, view.getFloat64(offset + timestampOffset, true))
    })
    if (records === 0) return null
    position = to
    const slice = { from: from >>> 0, to: to >>> 0, records, oldestStartMs: oldest }
    outstanding.push({ slice, freed: false })
    return slice
  }

  function free(slice: RingSlice): void {
    // By value: a slice may have travelled to a worker and back.
    const entry = outstanding.find((one) => one.slice.from === slice.from)
    if (entry === undefined || entry.freed || entry.slice.to !== slice.to) {
      throw new Error(`ring slice ${slice.from}-${slice.to} is not outstanding`)
    }
    entry.freed = true
    zero(slice.from, slice.to)
    let tail: number | null = null
    while (outstanding.length > 0 && outstanding[0]!.freed) tail = outstanding.shift()!.slice.to | 0
    // Publishes the room as free: its zeroing comes before it, so that the producer never loses a byte to it.
    if (tail !== null) Atomics.store(words, tailWord, tail)
  }

  function zero(from: number, to: number): void {
    const start = walk.offsetOf(from)
    const end = walk.offsetOf(to)
    const whole = ((to - from) | 0) === capacity
    if (start < end && !whole) {
      bytes.fill(0, start, end)
    } else {
      bytes.fill(0, start)
      bytes.fill(0, walk.offsetOf(0), end)
    }
  }

  function usedRatio(): number {
    // Acquires nothing that is read after it; the tail is this thread's own.
    const head = Atomics.load(words, headWord)
    return ((head - words[tailWord]!) | 0) / capacity
  }

  function counters(): RingCounters {
    // Atomic so that no count is seen half written; they may be late by what is being written now.
    const read = (word: number) => Number(Atomics.load(counts, word))
    return {
      written: read(writtenWord),
      dropped: { full: read(droppedFullWord), oversize: read(droppedOversizeWord) },
    }
  }

  function oldestStartMs(): number | null {
    let oldest = Number.POSITIVE_INFINITY
    for (const { slice, freed } of outstanding) if (!freed) oldest = Math.min(oldest, slice.oldestStartMs)
    // Acquires every byte of the frames before the head.
    const head = Atomics.load(words, headWord)
    walk(position, head, capacity, (offset) => {
      oldest = Math.min(oldest, view.getFloat64(offset + timestampOffset, true))
    })
    return oldest === Number.POSITIVE_INFINITY ? null : oldest
  }

  return { trySlice, free, usedRatio, counters, oldestStartMs }
}

export type FrameVisitor = (bytes: Buffer, view: DataView, offset: number, lengthBytes: number) => void

/** Visits the frames of a slice in order, on any thread that was handed its positions. */
export function forEachFrame(sab: SharedArrayBuffer, from: number, to: number, visit: FrameVisitor): void {
  const bytes = Buffer.from(sab)
  const view = new DataView(sab)
  const walk = createFrameWalk(sab)
  // Acquires the frames' bytes on this thread: they lie before the head that their slice was cut from.
  Atomics.load(new Int32Array(sab), headWord)
  walk(from | 0, to | 0, capacityUnitsOf(sab), (offset, units) => {
    visit(bytes, view, offset, units << unitShift)
  })
}
