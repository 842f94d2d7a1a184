/**
 * What a segment holds: entries and their oldest times, from its frames' headers, each read once.
 */
import fs from 'node:fs/promises'
import { frameHeaderBytes, readFrameHeader } from './frame.ts'
import { findFrame, readBytes } from './search.ts'

/** A frame, or neighbours where there are too many; `end`: offset after the last. */
type Block = { end: number; entries: number; oldestMs: number }

export type SegmentIndex = {
  /** Reads what the file gained since the last call; false when it is not there any more. */
  refresh(): Promise<boolean>
  readonly sizeBytes: number
  readonly modifiedMs: number
  /** Entries after `offset` and their oldest time; of frames that became one, all count until the last is passed. */
  after(offset: number): { entries: number; oldestMs: number | null }
  /** Forgets the blocks up to `offset`, which nobody asks for again. */
  forget(offset: number): void
}

/** Bounds the memory for a log of small frames that nobody takes: beyond it neighbours become one. */
const maxBlocks = 1024
/** Small frames are read many at a time; of large ones only the headers. */
const windowBytes = 64 * 1024
const smallFrameBytes = 8 * 1024

export function createSegmentIndex(file: string): SegmentIndex {
  let blocks: Block[] = []
  let scanned = 0
  let sizeBytes = 0
  let modifiedMs = 0

  async function refresh(): Promise<boolean> {
    let handle: fs.FileHandle
    try {
      handle = await fs.open(file)
    } catch {
      return false
    }
    try {
      const { size, mtimeMs } = await handle.stat()
      sizeBytes = size
      modifiedMs = mtimeMs
      if (size > scanned) await scan(handle, size)
    } finally {
      await handle.close()
    }
    return true
  }

  async function scan(handle: fs.FileHandle, size: number): Promise<void> {
    let frameBytes = 0
    let window: Buffer = Buffer.alloc(0)
    let windowAt = scanned
    while (scanned + frameHeaderBytes <= size) {
      if (scanned + frameHeaderBytes > windowAt + window.length) {
        const wanted = frameBytes < smallFrameBytes ? windowBytes : frameHeaderBytes
        window = await readBytes(handle, scanned, Math.min(wanted, size - scanned))
        windowAt = scanned
      }
      const header = readFrameHeader(window, scanned - windowAt)
      frameBytes = header === null ? 0 : frameHeaderBytes + header.payloadBytes
      if (header === null || scanned + frameBytes > size) {
        const found = await findFrame(handle, scanned + 1, size)
        if (found < 0) break
        scanned = found
        continue
      }
      scanned += frameBytes
      blocks.push({ end: scanned, entries: header.entries, oldestMs: header.oldestMs })
      if (blocks.length > maxBlocks) blocks = mergePairs(blocks)
    }
  }

  function after(offset: number): { entries: number; oldestMs: number | null } {
    let entries = 0
    let oldestMs = Number.POSITIVE_INFINITY
    for (const block of blocks) {
      if (block.end <= offset) continue
      entries += block.entries
      oldestMs = Math.min(oldestMs, block.oldestMs)
    }
    return { entries, oldestMs: Number.isFinite(oldestMs) ? oldestMs : null }
  }

  function forget(offset: number): void {
    blocks = blocks.filter((block) => block.end > offset)
  }

  return {
    refresh,
    get sizeBytes() {
      return sizeBytes
    },
    get modifiedMs() {
      return modifiedMs
    },
    after,
    forget,
  }
}

function mergePairs(blocks: Block[]): Block[] {
  const merged: Block[] = []
  for (let index = 0; index < blocks.length; index += 2) {
    const first = blocks[index]!
    const second = blocks[index + 1] ?? { ...first, entries: 0 }
    merged.push({
      end: second.end,
      entries: first.entries + second.entries,
      oldestMs: Math.min(first.oldestMs, second.oldestMs),
    })
  }
  return merged
}
