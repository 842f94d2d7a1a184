/**
 * How far each target has been delivered: `<directory>/<stream>/cursors`, two slots written by turns.
 *
 * A slot is 512 bytes: crc32 u32 of all that follows, length u16 of the JSON, JSON
 * `{"generation": n, "positions": {"<target>": [segment, offset]}}`, zeroes. The newest slot that is whole
 * counts, so a crash in the middle of a write costs one interval of repeats; without a whole slot delivery
 * begins at the start of the stream. Repeats are harmless, therefore nothing here is synced.
 */
import fs from 'node:fs'
import path from 'node:path'
import { crc32 } from 'node:zlib'
import { comparePositions, type LogPosition, streamFolder, streamStart } from './segments.ts'

export type CursorFileOptions<Target extends string> = {
  directory: string
  stream: string
  targets: readonly Target[]
  /** Shortest time between two writes. */
  intervalMs?: number
  /** A write that failed; it is tried again at the next advance. */
  onError?: (error: Error) => void
}

export type CursorFile<Target extends string> = {
  /** By target; all that lies before has been delivered. */
  readonly positions: Readonly<Record<Target, LogPosition>>
  /** Never goes back: an earlier position is ignored. */
  advance(target: Target, position: LogPosition): void
  /** Writes what is not written yet. */
  close(): void
}

const slotBytes = 512
const jsonOffset = 6

type Slot = { generation: number; positions: Map<string, LogPosition> }

export function createCursorFile<const Target extends string>(
  options: CursorFileOptions<Target>,
): CursorFile<Target> {
  const { directory, stream, targets, intervalMs = 250 } = options
  const folder = streamFolder(directory, stream)
  fs.mkdirSync(folder, { recursive: true })
  const file = path.join(folder, 'cursors')
  const stored = readNewest(file)
  const positions = Object.fromEntries(
    targets.map((target) => [target, stored?.positions.get(target) ?? streamStart]),
  ) as Record<Target, LogPosition>
  let generation = stored?.generation ?? 0
  let dirty = false
  let timer: NodeJS.Timeout | null = null
  let closed = false
  const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT)
  // At once: what is not named here yet would look as if it had nothing to be delivered.
  write()

  function write(): void {
    dirty = false
    try {
      generation += 1
      const slot = encodeSlot({ generation, positions: new Map(Object.entries<LogPosition>(positions)) })
      fs.writeSync(fd, slot, 0, slotBytes, (generation % 2) * slotBytes)
    } catch (error) {
      dirty = true
      options.onError?.(error as Error)
    }
  }

  function advance(target: Target, position: LogPosition): void {
    const known: LogPosition | undefined = positions[target]
    if (closed || known === undefined) throw new Error(`no cursor ${target} in stream ${stream}`)
    if (comparePositions(position, known) <= 0) return
    positions[target] = { segment: position.segment, offset: position.offset }
    dirty = true
    timer ??= setTimeout(() => {
      timer = null
      write()
    }, intervalMs).unref()
  }

  function close(): void {
    if (closed) return
    closed = true
    if (timer !== null) clearTimeout(timer)
    if (dirty) write()
    fs.closeSync(fd)
  }

  return { positions, advance, close }
}

/** The stored cursors of a stream by target; none when there is no file or no slot of it is whole. */
export function loadCursors(directory: string, stream: string): ReadonlyMap<string, LogPosition> {
  return readNewest(path.join(streamFolder(directory, stream), 'cursors'))?.positions ?? new Map()
}

function readNewest(file: string): Slot | null {
  let bytes: Buffer
  try {
    bytes = fs.readFileSync(file)
  } catch {
    // Not there or not readable: both mean the start of the stream.
    return null
  }
  const slots = [0, 1].map((index) => decodeSlot(bytes.subarray(index * slotBytes, (index + 1) * slotBytes)))
  return slots.reduce((newest, slot) => {
    if (newest === null || slot === null) return newest ?? slot
    return slot.generation > newest.generation ? slot : newest
  }, null)
}

function encodeSlot(slot: Slot): Buffer {
  const pairs = [...slot.positions].map(([name, { segment, offset }]) => [name, [segment, offset]])
  const json = JSON.stringify({ generation: slot.generation, positions: Object.fromEntries(pairs) })
  const bytes = Buffer.alloc(slotBytes)
  const length = bytes.write(json, jsonOffset)
  if (length < Buffer.byteLength(json))
    throw new Error(`cursors of ${pairs.length} targets do not fit their slot`)
  bytes.writeUInt16LE(length, 4)
  bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0)
  return bytes
}

function decodeSlot(bytes: Buffer): Slot | null {
  if (bytes.length < slotBytes || crc32(bytes.subarray(4)) !== bytes.readUInt32LE(0)) return null
  const text = bytes.toString('utf8', jsonOffset, jsonOffset + bytes.readUInt16LE(4))
  const { generation, positions } = JSON.parse(text) as {
    generation: number
    positions: Record<string, [number, number]>
  }
  const pairs = Object.entries(positions).map(
    ([name, [segment, offset]]) => [name, { segment, offset }] as const,
  )
  return { generation, positions: new Map(pairs) }
}
