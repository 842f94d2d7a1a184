/**
 * Looks in a segment for frames: the next whole one after damage, and one at a given place.
 */
import type { FileHandle } from 'node:fs/promises'
import { type FrameHeader, frameHeaderBytes, frameIsWhole, frameMagic, readFrameHeader } from './frame.ts'

const windowBytes = 1 << 20

/** `length` bytes from `at`, or what there is of them. */
export async function readBytes(handle: FileHandle, at: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, at + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return bytes.subarray(0, done)
}

/** The header at `at` if the whole frame lies before `size`; its checksum is not checked. */
export async function readHeaderAt(
  handle: FileHandle,
  at: number,
  size: number,
): Promise<FrameHeader | null> {
  if (at + frameHeaderBytes > size) return null
  const header = readFrameHeader(await readBytes(handle, at, frameHeaderBytes), 0)
  return header !== null && at + frameHeaderBytes + header.payloadBytes <= size ? header : null
}

/** Whether a whole frame with a right checksum stands at `at`. */
export async function frameStandsAt(handle: FileHandle, at: number, size: number): Promise<boolean> {
  const header = await readHeaderAt(handle, at, size)
  if (header === null) return false
  const length = frameHeaderBytes + header.payloadBytes
  const bytes = await readBytes(handle, at, length)
  // Read again with the payload: the writer may have been at work between the two.
  const again = readFrameHeader(bytes, 0)
  return (
    again !== null && frameHeaderBytes + again.payloadBytes <= bytes.length && frameIsWhole(bytes, 0, again)
  )
}

/** Offset of the first whole frame at or after `from`, or -1. Reads no further than `size`. */
export async function findFrame(handle: FileHandle, from: number, size: number): Promise<number> {
  let at = from
  while (at + frameHeaderBytes <= size) {
    const window = await readBytes(handle, at, Math.min(windowBytes, size - at))
    for (let hit = window.indexOf(frameMagic); hit >= 0; hit = window.indexOf(frameMagic, hit + 1)) {
      if (await frameStandsAt(handle, at + hit, size)) return at + hit
    }
    if (window.length < frameMagic.length) return -1
    // Windows overlap, for a magic that lies across their edge.
    at += window.length - (frameMagic.length - 1)
  }
  return -1
}
