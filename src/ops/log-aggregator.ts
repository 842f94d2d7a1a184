/** Turns a storm of equal errors into one line at once and one count an interval. */
import { describeError } from './describe-error.ts'

type Level = 'info' | 'warn' | 'error'
type Log = Record<Level, (fields: object, message: string) => void>

export type Aggregator = {
  /**
   * `key`: bounded, of our making (`redis connect`), also the message. The first one is logged with its error
   * at once; further ones within an interval are counted and told as one line at its end.
   */
  report(key: string, error?: unknown, level?: Level): void
  /** Tells what is still counted, and stops. */
  close(): void
}

/** Beyond it keys share one line: a bound against keys that are not as bounded as they should be. */
const maxKeys = 200
const overflowKey = 'other repeated errors'

export function createAggregator(log: Log, options: { intervalMs?: number } = {}): Aggregator {
  const intervalMs = options.intervalMs ?? 60_000
  const repeats = new Map<string, { count: number; level: Level; last: string | null }>()

  const flush = (): void => {
    for (const [key, entry] of repeats) {
      // Quiet for a whole interval: the next one is news again.
      if (entry.count === 0) repeats.delete(key)
      else {
        log[entry.level]({ ...lastOf(entry.last), repeats: entry.count, interval_ms: intervalMs }, key)
        entry.count = 0
      }
    }
  }
  const timer = setInterval(flush, intervalMs)
  // Never the reason that the process stays alive.
  timer.unref()

  return {
    report(key, error, level = 'warn') {
      const description = error === undefined ? null : describeError(error)
      const known = repeats.has(key)
      const place = known || repeats.size < maxKeys ? key : overflowKey
      const entry = repeats.get(place)
      if (entry === undefined) {
        repeats.set(place, { count: 0, level, last: description })
        log[level](lastOf(description), place)
        return
      }
      entry.count += 1
      entry.level = level
      entry.last = description
    },
    close() {
      clearInterval(timer)
      flush()
      repeats.clear()
    },
  }
}

function lastOf(description: string | null): { err?: string } {
  return description === null ? {} : { err: description }
}
