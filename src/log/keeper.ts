/**
 * Looks after the whole log folder: what each stream holds, what may be deleted, and what must be.
 */
import fs from 'node:fs'
import { loadCursors } from './cursors.ts'
import { createSegmentIndex, type SegmentIndex } from './segment-index.ts'
import {
  type LogPosition,
  listSegments,
  listStreams,
  segmentFile,
  streamFolder,
  streamStart,
} from './segments.ts'

export type TargetInfo = {
  cursor: LogPosition
  /** Entries that are not delivered; to within 1/1024 of a segment. */
  undelivered: number
  /** Unix ms of the oldest of them; null when all is delivered. */
  oldestMs: number | null
}

export type StreamInfo<Target extends string> = {
  stream: string
  segments: number
  bytes: number
  /** Unix ms of the last write; null when nothing was written. */
  modifiedMs: number | null
  targets: Record<Target, TargetInfo>
}

export const lossReasons = ['log_full', 'log_expired'] as const
export type LossReason = (typeof lossReasons)[number]

export type Bounds = {
  maxBytes: number
  maxAgeMs: number
  /** Unix ms. */
  now: number
  /** Streams that have a writer, or are about to get one: their newest segment and their folder stay. */
  liveStreams: Pick<ReadonlySet<string>, 'has'>
}

export type BoundsResult = {
  deletedSegments: number
  removedStreams: string[]
  /** Bytes of all segments that remain. */
  bytes: number
  /** Entries deleted before they were delivered to every target. */
  lost: Record<LossReason, number>
}

export type LogKeeper<Target extends string> = {
  /** One call of either method at a time. */
  inventory(): Promise<StreamInfo<Target>[]>
  enforceBounds(bounds: Bounds): Promise<BoundsResult>
}

type Segment = { stream: string; number: number; index: SegmentIndex }
type Stream = { stream: string; segments: Segment[]; cursors: Record<string, LogPosition> }

export function createLogKeeper<const Target extends string>(options: {
  directory: string
  targets: readonly Target[]
}): LogKeeper<Target> {
  const { directory, targets } = options
  const indexes = new Map<string, SegmentIndex>()

  async function scan(): Promise<Stream[]> {
    const streams: Stream[] = []
    const present = new Set<string>()
    for (const stream of listStreams(directory)) {
      const segments: Segment[] = []
      for (const number of listSegments(directory, stream)) {
        const file = segmentFile(directory, stream, number)
        const index = indexes.get(file) ?? createSegmentIndex(file)
        if (!(await index.refresh())) continue
        indexes.set(file, index)
        present.add(file)
        segments.push({ stream, number, index })
      }
      // After the segments: a cursor that moved since only makes less undelivered, never more delivered than is.
      const stored = loadCursors(directory, stream)
      const cursors = Object.fromEntries(targets.map((target) => [target, stored.get(target) ?? streamStart]))
      for (const { number, index } of segments)
        index.forget(Math.min(...Object.values(cursors).map(offsetIn(number))))
      streams.push({ stream, segments, cursors })
    }
    for (const file of indexes.keys()) if (!present.has(file)) indexes.delete(file)
    return streams
  }

  async function inventory(): Promise<StreamInfo<Target>[]> {
    return (await scan()).map(({ stream, segments, cursors }) => ({
      stream,
      segments: segments.length,
      bytes: sum(segments, bytesOf),
      modifiedMs: segments.length === 0 ? null : Math.max(...segments.map(({ index }) => index.modifiedMs)),
      targets: Object.fromEntries(
        targets.map((target) => [target, describe(segments, cursors[target]!)]),
      ) as Record<Target, TargetInfo>,
    }))
  }

  async function enforceBounds(bounds: Bounds): Promise<BoundsResult> {
    const streams = await scan()
    const result: BoundsResult = {
      deletedSegments: 0,
      removedStreams: [],
      bytes: sum(streams, ({ segments }) => sum(segments, bytesOf)),
      lost: { log_full: 0, log_expired: 0 },
    }
    const remove = (segment: Segment) => {
      fs.rmSync(segmentFile(directory, segment.stream, segment.number), { force: true })
      result.deletedSegments += 1
      result.bytes -= segment.index.sizeBytes
    }

    const deletable: (Segment & { lost: number })[] = []
    for (const { stream, segments, cursors } of streams) {
      const live = bounds.liveStreams.has(stream)
      const undelivered = (segment: Segment) =>
        Math.max(
          0,
          ...Object.values(cursors).map(
            (cursor) => segment.index.after(offsetIn(segment.number)(cursor)).entries,
          ),
        )
      const allDelivered = segments.every((segment) => undelivered(segment) === 0)
      const passed = (segment: Segment) =>
        Object.values(cursors).every((cursor) => cursor.segment > segment.number)
      for (const segment of live ? segments.slice(0, -1) : segments) {
        if (passed(segment) || (allDelivered && !live)) remove(segment)
        else deletable.push({ ...segment, lost: undelivered(segment) })
      }
      if (allDelivered && !live) {
        fs.rmSync(streamFolder(directory, stream), { recursive: true, force: true })
        result.removedStreams.push(stream)
      }
    }

    deletable.sort((a, b) => a.index.modifiedMs - b.index.modifiedMs || a.number - b.number)
    for (const segment of deletable) {
      const expired = segment.index.modifiedMs < bounds.now - bounds.maxAgeMs
      if (!expired && result.bytes <= bounds.maxBytes) break
      remove(segment)
      result.lost[expired ? 'log_expired' : 'log_full'] += segment.lost
    }
    return result
  }

  return { inventory, enforceBounds }
}

function describe(segments: Segment[], cursor: LogPosition): TargetInfo {
  const parts = segments.map(({ number, index }) => index.after(offsetIn(number)(cursor)))
  const times = parts.map((part) => part.oldestMs).filter((time) => time !== null)
  return {
    cursor,
    undelivered: sum(parts, (part) => part.entries),
    oldestMs: times.length === 0 ? null : Math.min(...times),
  }
}

/** Up to where a cursor has passed a segment. */
function offsetIn(number: number): (cursor: LogPosition) => number {
  return ({ segment, offset }) =>
    segment > number ? Number.POSITIVE_INFINITY : segment === number ? offset : 0
}

function bytesOf({ index }: Segment): number {
  return index.sizeBytes
}

function sum<Item>(items: Item[], value: (item: Item) => number): number {
  return items.reduce((total, item) => total + value(item), 0)
}
