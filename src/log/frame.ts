/**
 * One frame of the log: its header, and the check that it is whole.
 *
 * ```
 *   0  magic, 4 bytes: FF 'W' 'B' 00
 *   4  version u16        6  reserved u16
 *   8  payload length u32
 *  12  entries u32
 *  16  oldestMs f64
 *  24  reserved u32
 *  28  crc32 of bytes 0 to 27 and the payload
 *  32  payload
 * ```
 *
 * Little-endian. FF and 00 stand in no UTF-8 text and in no JSON, so that a search for the magic after damage
 * finds frames alone; the checksum decides.
 */
import { crc32 } from 'node:zlib'

export const frameMagic = Buffer.from([0xff, 0x57, 0x42, 0x00])
export const frameVersion = 1
export const frameHeaderBytes = 32
/** Bounds what a reader allocates for one frame, whatever a damaged header says. */
export const maxPayloadBytes = 256 * 2 ** 20

const versionOffset = 4
const lengthOffset = 8
const entriesOffset = 12
const oldestMsOffset = 16
const crcOffset = 28

/** `entries`: how many the payload holds; `oldestMs`: Unix ms of the oldest of them. */
export type FrameInfo = { entries: number; oldestMs: number }
export type FrameHeader = FrameInfo & { payloadBytes: number; crc: number }

/** Fills a header of `frameHeaderBytes` for the payload. */
export function writeFrameHeader(header: Buffer, payload: Uint8Array, info: FrameInfo): void {
  header.fill(0)
  frameMagic.copy(header)
  header.writeUInt16LE(frameVersion, versionOffset)
  header.writeUInt32LE(payload.byteLength, lengthOffset)
  header.writeUInt32LE(info.entries, entriesOffset)
  header.writeDoubleLE(info.oldestMs, oldestMsOffset)
  header.writeUInt32LE(crc32(payload, crc32(header.subarray(0, crcOffset))), crcOffset)
}

/** The header at `at`, or null when there is none or it says what cannot be; its checksum is not checked. */
export function readFrameHeader(bytes: Buffer, at: number): FrameHeader | null {
  if (at + frameHeaderBytes > bytes.length) return null
  if (bytes.compare(frameMagic, 0, frameMagic.length, at, at + frameMagic.length) !== 0) return null
  if (bytes.readUInt16LE(at + versionOffset) !== frameVersion) return null
  const payloadBytes = bytes.readUInt32LE(at + lengthOffset)
  if (payloadBytes > maxPayloadBytes) return null
  return {
    payloadBytes,
    entries: bytes.readUInt32LE(at + entriesOffset),
    oldestMs: bytes.readDoubleLE(at + oldestMsOffset),
    crc: bytes.readUInt32LE(at + crcOffset),
  }
}

/** Whether the frame at `at`, wholly in `bytes`, is as it was written. */
export function frameIsWhole(bytes: Buffer, at: number, header: FrameHeader): boolean {
  const payloadAt = at + frameHeaderBytes
  const sum = crc32(bytes.subarray(at, at + crcOffset))
  return crc32(bytes.subarray(payloadAt, payloadAt + header.payloadBytes), sum) === header.crc
}
