/**
 * Appends frames to a stream: written at once, on disk within the sync interval.
 */
import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { loadCursors } from './cursors.ts'
import { type FrameInfo, frameHeaderBytes, maxPayloadBytes, writeFrameHeader } from './frame.ts'
import { type LogPosition, listSegments, segmentFile, streamFolder } from './segments.ts'

export type LogWriterOptions = {
  directory: string
  stream: string
  /** A new segment begins before one would grow over this. */
  segmentBytes?: number
  /** A segment with frames is closed at this age, so that old data never waits for a quiet stream to fill one. */
  segmentAgeMs?: number
  /** What is appended is on disk within this time on a disk that syncs in half of it. */
  syncIntervalMs?: number
  /** A sync that failed: what was appended lately may not survive a power cut. */
  onError?: (error: Error) => void
}

export type LogWriter = {
  /**
   * Writes one frame and returns the position after it. Throws the system error (ENOSPC, EIO …) with the
   * segment as it was before, so that the next append can succeed.
   */
  append(payload: Uint8Array, info: FrameInfo): LogPosition
  /** After the last frame. */
  position(): LogPosition
  /** Syncs and closes; the stream stays for its readers. */
  close(): Promise<void>
}

const fdatasync = promisify(fs.fdatasync)
const fsync = promisify(fs.fsync)

/** Opens no file before the first append. A stream that exists is continued in a new segment. */
export function createLogWriter(options: LogWriterOptions): LogWriter {
  const {
    directory,
    stream,
    segmentBytes = 64 * 2 ** 20,
    segmentAgeMs = 3_600_000,
    syncIntervalMs = 500,
  } = options
  const onError = options.onError ?? (() => {})
  const folder = streamFolder(directory, stream)
  const header = Buffer.alloc(frameHeaderBytes)
  /** Full segments that are not synced yet; closed after that. */
  const retired: number[] = []
  let segment = nextSegment()
  let fd: number | null = null
  let end = 0
  let dirty = false
  let created = false
  let closed = false
  let syncTimer: NodeJS.Timeout | null = null
  let ageTimer: NodeJS.Timeout | null = null
  let syncing: Promise<void> = Promise.resolve()

  /** Never a number used before, even if all segments are gone: cursors would lie beyond what is written. */
  function nextSegment(): number {
    fs.mkdirSync(folder, { recursive: true })
    const cursors = [...loadCursors(directory, stream).values()].map((position) => position.segment)
    return Math.max(0, ...listSegments(directory, stream), ...cursors) + 1
  }

  function open(): number {
    fs.mkdirSync(folder, { recursive: true })
    fd = fs.openSync(segmentFile(directory, stream, segment), 'ax')
    end = 0
    created = true
    return fd
  }

  function release(): void {
    if (ageTimer !== null) clearTimeout(ageTimer)
    ageTimer = null
    if (fd !== null) retired.push(fd)
    fd = null
  }

  /** What comes next goes to a new segment. */
  function retire(): void {
    release()
    segment += 1
    end = 0
    planSync()
  }

  function append(payload: Uint8Array, info: FrameInfo): LogPosition {
    if (closed) throw new Error(`stream ${stream} is closed`)
    if (payload.byteLength > maxPayloadBytes) throw new RangeError(`a payload of ${payload.byteLength} bytes`)
    const total = frameHeaderBytes + payload.byteLength
    if (end > 0 && end + total > segmentBytes) retire()
    const target = fd ?? open()
    writeFrameHeader(header, payload, info)
    try {
      writeWhole(target, payload, total)
    } catch (error) {
      cutBack(target)
      throw error
    }
    if (end === 0) ageTimer = setTimeout(rollByAge, segmentAgeMs).unref()
    end += total
    dirty = true
    planSync()
    return { segment, offset: end }
  }

  function writeWhole(target: number, payload: Uint8Array, total: number): void {
    let written = fs.writevSync(target, [header, payload])
    // A short write is how a disk that is nearly full begins to fail; the next write says why.
    while (written < total) {
      written +=
        written < frameHeaderBytes
          ? fs.writeSync(target, header, written)
          : fs.writeSync(target, payload, written - frameHeaderBytes)
    }
  }

  function cutBack(target: number): void {
    try {
      fs.ftruncateSync(target, end)
    } catch {
      // What stands after the last good frame cannot be removed: readers skip it as a torn tail once a newer
      // segment exists, which the next append begins.
      retire()
    }
  }

  /** Begins the next segment at once: the newest one is never deleted, and this one is to be. */
  function rollByAge(): void {
    retire()
    try {
      open()
    } catch (error) {
      onError(error as Error)
    }
  }

  function planSync(): void {
    // Half the interval: the other half is for the sync itself.
    syncTimer ??= setTimeout(() => {
      syncTimer = null
      syncing = syncing.then(sync)
    }, syncIntervalMs / 2).unref()
  }

  async function sync(): Promise<void> {
    const full = retired.splice(0)
    const current = dirty ? fd : null
    const folders = created ? [folder, directory, path.dirname(directory)] : []
    dirty = false
    created = false
    for (const one of full) {
      await attempt(fdatasync(one))
      await attempt(promisify(fs.close)(one))
    }
    if (current !== null) await attempt(fdatasync(current))
    // A file is only found after a power cut if the folder that names it was synced too.
    for (const one of folders) await attempt(syncFolder(one))
  }

  async function attempt(work: Promise<void>): Promise<void> {
    await work.catch(onError)
  }

  function position(): LogPosition {
    return { segment, offset: end }
  }

  async function close(): Promise<void> {
    if (!closed) {
      closed = true
      release()
      if (syncTimer !== null) clearTimeout(syncTimer)
      syncing = syncing.then(sync)
    }
    await syncing
  }

  return { append, position, close }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await fs.promises.open(folder)
  try {
    await fsync(handle.fd)
  } finally {
    await handle.close()
  }
}
