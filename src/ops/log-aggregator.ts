/** Bounds what one message can write into the log: a few lines an interval, and one that counts the rest. */

export type Aggregator = {
  /** Whether to write this line; false: it is counted, and told of at the end of the interval. */
  tryPass(level: number, message: string): boolean
  /** Tells what is still counted, and stops. */
  close(): void
}

/** A fault that is told by several parts or threads, each in its own words of one message, stays whole. */
const linesEach = 10
/** Beyond it messages share one count: a bound against messages that are not as bounded as they should be. */
const maxMessages = 200
export const overflowMessage = 'other repeated messages'

type Entry = { level: number; lines: number; repeats: number }

export function createAggregator(options: {
  intervalMs?: number
  tell(level: number, message: string, fields: { repeats: number; interval_ms: number }): void
}): Aggregator {
  const intervalMs = options.intervalMs ?? 60_000
  const entries = new Map<string, Entry>()
  let timer: NodeJS.Timeout | null = null

  const flush = (): void => {
    timer = null
    for (const [message, { level, repeats }] of entries) {
      if (repeats > 0) options.tell(level, message, { repeats, interval_ms: intervalMs })
    }
    entries.clear()
  }

  return {
    tryPass(level, message) {
      if (timer === null) {
        timer = setTimeout(flush, intervalMs)
        // Never the reason that the process stays alive.
        timer.unref()
      }
      const key = entries.has(message) || entries.size < maxMessages ? message : overflowMessage
      const entry = entries.get(key) ?? { level, lines: 0, repeats: 0 }
      entries.set(key, entry)
      entry.level = Math.max(entry.level, level)
      if (entry.lines < linesEach) {
        entry.lines += 1
        return true
      }
      entry.repeats += 1
      return false
    },
    close() {
      if (timer !== null) clearTimeout(timer)
      flush()
    },
  }
}
