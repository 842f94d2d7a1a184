/**
 * Reads a stream's frames in order while another thread or process appends, and gets past any damage.
 */
import fs from 'node:fs/promises'
import { frameHeaderBytes, frameIsWhole, readFrameHeader } from './frame.ts'
import { findFrame, frameStandsAt, readBytes, readHeaderAt } from './search.ts'
import { isMissing, type LogPosition, listSegments, segmentFile } from './segments.ts'

/** `end`: the position after the frame, which is what its delivery advances a cursor to. */
export type LogFrame = { payload: Buffer; entries: number; oldestMs: number; end: LogPosition }

export const corruptReasons = ['corrupt', 'torn', 'missing'] as const
/**
 * `corrupt`: damage between whole frames; `torn`: nothing whole up to the segment's end, as a crash leaves it;
 * `missing`: the segment was deleted before it was read.
 */
export type CorruptReason = (typeof corruptReasons)[number]
/** `bytes` were skipped from `offset` of `segment`; 0 for a missing segment. */
export type Corruption = LogPosition & { stream: string; reason: CorruptReason; bytes: number }

export type LogReaderOptions = {
  directory: string
  stream: string
  from: LogPosition
  /** Whether a writer may still append (default). Without one, the end of the newest segment is final too. */
  live?: boolean
  /** Called once for each stretch that is skipped. */
  onCorrupt?: (corruption: Corruption) => void
}

export type LogReader = {
  /**
   * What has been written and not been read, up to `maxBytes` but at least one frame; empty when
   * there is nothing yet. One call at a time. Rejects with system errors; the next call tries again.
   */
  read(maxBytes: number): Promise<LogFrame[]>
  /** After the last frame read, and after anything skipped: where a cursor belongs once all frames are delivered. */
  position(): LogPosition
  close(): Promise<void>
}

/** Many small frames are read in one go. */
const chunkBytes = 256 * 1024

export function createLogReader(options: LogReaderOptions): LogReader {
  const { directory, stream, live = true } = options
  let { segment, offset } = options.from
  let handle: fs.FileHandle | null = null
  let reading = false
  /** A tail that was searched in vain at this size is not searched again until it grows. */
  let searched = { segment: -1, offset: -1, size: -1 }

  const report = (reason: CorruptReason, bytes: number) =>
    options.onCorrupt?.({ stream, segment, offset, reason, bytes })
  const nextExisting = () => listSegments(directory, stream).find((number) => number > segment)

  async function read(maxBytes: number): Promise<LogFrame[]> {
    if (reading) throw new Error(`stream ${stream} is being read already`)
    reading = true
    try {
      const frames: LogFrame[] = []
      let room = maxBytes
      for (;;) {
        handle ??= await open()
        if (handle === null) return frames
        const { size } = await handle.stat()
        const got = await readFrames(handle, size, room, frames)
        room -= got.bytes
        if (got.full || (frames.length > 0 && room <= 0)) return frames
        if (got.bytes === 0 && !(await passEnd(handle, size))) return frames
      }
    } finally {
      reading = false
    }
  }

  /** The segment at the position, or the next that exists; null: none yet. */
  async function open(): Promise<fs.FileHandle | null> {
    for (;;) {
      try {
        return await fs.open(segmentFile(directory, stream, segment))
      } catch (error) {
        if (!isMissing(error)) throw error
      }
      const next = nextExisting()
      if (next === undefined) return null
      await moveTo(next, segment > 0)
    }
  }

  /** Whole frames of one chunk from the position on; `bytes` 0: none stands there. */
  async function readFrames(
    file: fs.FileHandle,
    size: number,
    room: number,
    frames: LogFrame[],
  ): Promise<{ bytes: number; full: boolean }> {
    const first = await readHeaderAt(file, offset, size)
    if (first === null) return { bytes: 0, full: false }
    const whole = frameHeaderBytes + first.payloadBytes
    if (frames.length > 0 && whole > room) return { bytes: 0, full: true }
    const wanted = Math.max(whole, Math.min(room, chunkBytes))
    const chunk = await readBytes(file, offset, Math.min(size - offset, wanted))
    let at = 0
    for (;;) {
      const header = readFrameHeader(chunk, at)
      if (header === null) break
      const payloadAt = at + frameHeaderBytes
      const endAt = payloadAt + header.payloadBytes
      if (endAt > chunk.length) break
      if (frames.length > 0 && endAt > room) return { bytes: at, full: true }
      if (!frameIsWhole(chunk, at, header)) break
      offset += endAt - at
      at = endAt
      const payload = chunk.subarray(payloadAt, endAt)
      frames.push({ payload, entries: header.entries, oldestMs: header.oldestMs, end: { segment, offset } })
    }
    return { bytes: at, full: false }
  }

  /** No whole frame stands at the position: true when there may be one now, false when there is nothing yet. */
  async function passEnd(file: fs.FileHandle, size: number): Promise<boolean> {
    // First of all: a writer finishes a segment before it makes the next, so what is read after this is final.
    const next = nextExisting()
    const final = next !== undefined || !live
    if (offset < size) {
      const known = searched.segment === segment && searched.offset === offset && searched.size === size
      if (known && !final) return false
      const found = await findFrame(file, offset + 1, size)
      // The writer may have completed this frame, and more, since it was read.
      if (await frameStandsAt(file, offset, (await file.stat()).size)) return true
      if (found >= 0) {
        report('corrupt', found - offset)
        offset = found
        return true
      }
      searched = { segment, offset, size }
      if (!final) return false
    }
    const finalSize = (await file.stat()).size
    if (finalSize !== size) return true
    if (offset < size) report('torn', size - offset)
    offset = Math.max(offset, size)
    if (next === undefined) return false
    await moveTo(next, false)
    return true
  }

  async function moveTo(next: number, missing: boolean): Promise<void> {
    await handle?.close()
    handle = null
    if (missing) report('missing', 0)
    else if (segment > 0 && next > segment + 1) {
      segment += 1
      offset = 0
      report('missing', 0)
    }
    segment = next
    offset = 0
  }

  async function close(): Promise<void> {
    await handle?.close()
    handle = null
  }

  return { read, position: () => ({ segment, offset }), close }
}
