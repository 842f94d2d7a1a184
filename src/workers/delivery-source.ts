/** The frames of one log stream in order: from memory where it still has them, else from disk. */
import { frameHeaderBytes } from '../log/frame.ts'
import type { LogFrame } from '../log/reader.ts'
import { comparePositions, type LogPosition } from '../log/segments.ts'
import type { LogEntry } from '../record/events.ts'

/** `createLogReader`. */
export type FrameReader = {
  /** The next frames, at least one if there is one; empty at the end of the stream. */
  read(maxBytes: number): Promise<LogFrame[]>
  /** After the last frame read and after damage that was skipped. */
  position(): LogPosition
  close(): Promise<void>
}

/** `parsed`: its entries, in order, where this thread has just made them; no other frame has them. */
export type DeliveryFrame = LogFrame & { parsed?: readonly LogEntry[] }

export type DeliverySourceOptions = {
  /** Where delivery goes on: the cursor as it was found. */
  from: LogPosition
  openReader(from: LogPosition): FrameReader
  /** Bound of the frames kept in memory. */
  maxTailBytes: number
}

/** A batch of 512 events is about 600 KB. */
const readBytes = 1 << 20

/** Entries as objects take up to what their JSON takes (measured: 0.6 to 1.0 of it), beside it. */
const parsedFactor = 2

function heldBytes({ payload, parsed }: DeliveryFrame): number {
  return parsed === undefined ? payload.byteLength : payload.byteLength * parsedFactor
}

function startOf({ payload, end }: LogFrame): LogPosition {
  return { segment: end.segment, offset: end.offset - payload.byteLength - frameHeaderBytes }
}

export function createDeliverySource({ from, openReader, maxTailBytes }: DeliverySourceOptions) {
  /** Everything before it was given out. */
  let next = from
  /** Frames read from disk and not given out yet. */
  let ready: LogFrame[] = []
  let reader: FrameReader | null = null
  /** Frames just appended, as far as there was room. */
  const tail: DeliveryFrame[] = []
  let tailBytes = 0
  /** Up to where the disk has nothing that was not offered; null: nobody knows. */
  let knownEnd: LogPosition | null = null
  let doubts = 0

  function moveTo(position: LogPosition) {
    next = position
    // What the disk gave is not given a second time.
    while (tail[0] !== undefined && comparePositions(tail[0].end, next) <= 0) {
      tailBytes -= heldBytes(tail.shift()!)
    }
  }

  /** A frame that takes no waiting. */
  function tryTake(): DeliveryFrame | null {
    const first = tail[0]
    // Across the end of a segment, as across a gap, the disk says what comes next.
    const follows = first !== undefined && comparePositions(startOf(first), next) === 0
    const frame = ready.shift() ?? (follows ? first : null)
    if (frame !== null) moveTo(frame.end)
    return frame
  }

  async function closeReader(): Promise<void> {
    const open = reader
    reader = null
    await open?.close()
  }

  async function take(): Promise<DeliveryFrame | null> {
    const frame = tryTake()
    if (frame !== null) return frame
    // The one writer of the stream has told of everything: the disk cannot have more.
    if (knownEnd !== null && comparePositions(next, knownEnd) >= 0) return null
    // Behind what memory gave: it would give that again.
    if (reader !== null && comparePositions(reader.position(), next) < 0) await closeReader()
    reader ??= openReader(next)
    const doubtsBefore = doubts
    ready = await reader.read(readBytes)
    if (ready.length === 0) {
      moveTo(reader.position())
      if (doubts === doubtsBefore) knownEnd ??= next
    }
    return tryTake()
  }

  return {
    tryTake,
    /** The next frame, or null at the end of the stream. One call at a time. Rejects when the disk fails. */
    take,
    /** At the end of the stream: where the cursor belongs once all frames have arrived. */
    position: () => next,
    /** A frame just appended: kept while there is room, so that it need not be read again. */
    offer(frame: DeliveryFrame) {
      knownEnd = frame.end
      const bytes = heldBytes(frame)
      if (tailBytes + bytes > maxTailBytes) return
      tail.push(frame)
      tailBytes += bytes
    },
    /** There may be more on disk than was offered: the next `take` looks. */
    doubt() {
      knownEnd = null
      doubts++
    },
    /** Goes back to that position; not while a `take` is under way. */
    async rewind(position: LogPosition) {
      next = position
      ready = []
      await closeReader()
    },
    close: closeReader,
  }
}
