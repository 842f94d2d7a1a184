/**
 * A log folder for a test: made in the temporary folder, removed after it.
 */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { onTestFinished } from 'vitest'
import { type Corruption, createLogReader, type LogFrame, type LogReader } from './reader.ts'
import { type LogPosition, segmentFile, streamStart } from './segments.ts'

export const stream = 'worker-1'
export const info = { entries: 1, oldestMs: 1000 }

export function createFolder(): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'waybill-log-'))
  onTestFinished(() => fs.rmSync(directory, { recursive: true, force: true }))
  return directory
}

export function payloadOf(text: string): Buffer {
  return Buffer.from(text)
}

export function textsOf(frames: LogFrame[]): string[] {
  return frames.map((frame) => frame.payload.toString())
}

/** A reader that keeps what it is told of damage. */
export function openReader(directory: string, from: LogPosition = streamStart, live = true) {
  const corruptions: Corruption[] = []
  const reader = createLogReader({ directory, stream, from, live, onCorrupt: (one) => corruptions.push(one) })
  onTestFinished(() => reader.close())
  return { reader, corruptions }
}

export async function readAll(reader: LogReader, maxBytes = 1000): Promise<LogFrame[]> {
  const frames: LogFrame[] = []
  for (;;) {
    const got = await reader.read(maxBytes)
    if (got.length === 0) return frames
    frames.push(...got)
  }
}

export function flipByte(directory: string, segment: number, offset: number, name = stream): void {
  const file = segmentFile(directory, name, segment)
  const bytes = fs.readFileSync(file)
  bytes[offset]! ^= 0x10
  fs.writeFileSync(file, bytes)
}
