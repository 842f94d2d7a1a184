/**
 * Where a stream's files lie: `<directory>/<stream>/<8-digit number>.seg`, and positions in them.
 */
import fs from 'node:fs'
import path from 'node:path'

/** A place in a stream: between two frames. Segment numbers begin at 1 and never go back. */
export type LogPosition = { segment: number; offset: number }

/** Before the first frame of whatever the stream holds. */
export const streamStart: LogPosition = { segment: 0, offset: 0 }

const segmentPattern = /^(\d{8})\.seg$/
/** No dot first and no separator: a stream's name can never lead out of its folder. */
const streamPattern = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/

export function streamFolder(directory: string, stream: string): string {
  if (!streamPattern.test(stream)) throw new Error(`not a stream's name: ${stream}`)
  return path.join(directory, stream)
}

export function segmentFile(directory: string, stream: string, segment: number): string {
  return path.join(streamFolder(directory, stream), `${String(segment).padStart(8, '0')}.seg`)
}

/** Numbers of the segments that exist, ascending; none for a folder that is not there. */
export function listSegments(directory: string, stream: string): number[] {
  return namesIn(streamFolder(directory, stream))
    .map((name) => segmentPattern.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map(Number)
    .sort((a, b) => a - b)
}

/** Names of the streams that have a folder. */
export function listStreams(directory: string): string[] {
  return namesIn(directory).filter(
    (name) =>
      streamPattern.test(name) &&
      fs.statSync(path.join(directory, name), { throwIfNoEntry: false })?.isDirectory(),
  )
}

/** Negative when `a` lies before `b`. */
export function comparePositions(a: LogPosition, b: LogPosition): number {
  return a.segment - b.segment || a.offset - b.offset
}

function namesIn(folder: string): string[] {
  try {
    return fs.readdirSync(folder)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

/** Whether a system error says that a file or folder is not there. */
export function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
}
