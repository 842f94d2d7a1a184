/** How much of a stream one target has not got yet, and since when. */
import type { LogFrame } from '../log/reader.ts'
import { comparePositions, type LogPosition } from '../log/segments.ts'

type Waiting = Omit<LogFrame, 'payload'>

/** Beyond it neighbours are counted as one: a target that is down for hours must not fill the memory. */
const maxCounted = 4096

function joinNeighbours(list: Waiting[]): Waiting[] {
  const joined: Waiting[] = []
  for (let i = 0; i < list.length; i += 2) {
    const a = list[i]!
    const b = list[i + 1] ?? { entries: 0, oldestMs: a.oldestMs, end: a.end }
    joined.push({
      entries: a.entries + b.entries,
      oldestMs: Math.min(a.oldestMs, b.oldestMs),
      end: b.end,
    })
  }
  return joined
}

function isAfter(a: LogPosition, b: LogPosition | undefined): boolean {
  return b === undefined || comparePositions(a, b) > 0
}

function dropUpTo(list: Waiting[], end: LogPosition) {
  const index = list.findIndex((one) => isAfter(one.end, end))
  list.splice(0, index < 0 ? list.length : index)
}

export function createDeliveryBacklog() {
  /** Both in the order of the stream; all that was found lies before the first that was appended. */
  const found: Waiting[] = []
  let appended: Waiting[] = []
  let firstAppended: LogPosition | undefined

  return {
    /** A frame that was just appended. */
    append({ entries, oldestMs, end }: Waiting) {
      firstAppended ??= end
      if (!isAfter(end, found.at(-1)?.end)) return
      appended.push({ entries, oldestMs, end })
      if (appended.length > maxCounted) appended = joinNeighbours(appended)
    },
    /** A frame that was read; it is new to us when it was there before the first append, or nobody told. */
    find({ entries, oldestMs, end }: Waiting) {
      const known = firstAppended !== undefined && !isAfter(firstAppended, end)
      if (!known && isAfter(end, found.at(-1)?.end)) found.push({ entries, oldestMs, end })
    },
    /** All frames up to `end` have arrived. */
    delivered(end: LogPosition) {
      dropUpTo(found, end)
      dropUpTo(appended, end)
    },
    entries: () => [...found, ...appended].reduce((sum, one) => sum + one.entries, 0),
    /** Infinity without any. */
    oldestMs: () =>
      [...found, ...appended].reduce(
        (oldest, one) => Math.min(oldest, one.oldestMs),
        Number.POSITIVE_INFINITY,
      ),
  }
}
