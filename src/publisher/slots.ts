/**
 * A bound on what runs at once and on what waits for its turn.
 */

export type Slots = {
  /** Runs it when a slot is free, in the order of arrival; null at once when too many wait already. */
  tryRun<T>(run: () => Promise<T>): Promise<T> | null
}

export function createSlots(options: { running: number; waiting: number }): Slots {
  let running = 0
  const waiting: (() => void)[] = []

  async function start<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } finally {
      const next = waiting.shift()
      if (next === undefined) running--
      // The slot goes straight to the next in line, so nobody who comes now overtakes it.
      else next()
    }
  }

  return {
    tryRun(run) {
      if (running < options.running) {
        running++
        return start(run)
      }
      if (waiting.length >= options.waiting) return null
      return new Promise<void>((resolve) => waiting.push(resolve)).then(() => start(run))
    },
  }
}
