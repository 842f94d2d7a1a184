/**
 * Steps over the frames between two positions, padding left out.
 */
import { capacityUnitsOf, frameLengthMask, ringHeaderBytes, unitShift } from './layout.ts'

export type FrameWalk = {
  /** Visits up to `maxRecords` frames and returns the position after the last one visited. */
  (from: number, to: number, maxRecords: number, visit: (offset: number, units: number) => void): number
  /** Byte offset of a position's place in memory. */
  offsetOf(position: number): number
}

export function createFrameWalk(sab: SharedArrayBuffer): FrameWalk {
  const words = new Int32Array(sab)
  const mask = capacityUnitsOf(sab) - 1

  const offsetOf = (position: number) => ringHeaderBytes + ((position & mask) << unitShift)

  const walk = (
    from: number,
    to: number,
    maxRecords: number,
    visit: (offset: number, units: number) => void,
  ): number => {
    let position = from | 0
    let records = 0
    while (position !== (to | 0) && records < maxRecords) {
      const offset = offsetOf(position)
      const word = words[offset >> 2]!
      const units = (word & frameLengthMask) >> unitShift
      // Without this a damaged length would loop for ever or run over other frames.
      if (units === 0 || units > ((to - position) | 0)) {
        throw new Error(`ring frame at byte ${offset} has the impossible length ${word & frameLengthMask}`)
      }
      if (word >= 0) {
        visit(offset, units)
        records += 1
      }
      position = (position + units) | 0
    }
    return position
  }

  return Object.assign(walk, { offsetOf })
}
