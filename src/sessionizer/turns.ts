/** Lets others have the thread from time to time: calls from workers are answered between two sessions. */
import { performance } from 'node:perf_hooks'
import { setImmediate } from 'node:timers/promises'

/** What a caller may wait more: it is asked again and again, so it adds up to little. */
const sliceMs = 5

export type Turns = {
  /** Resolves at once, or when others had their turn. Never in a transaction. */
  next(): Promise<void>
}

export function createTurns(): Turns {
  let beganMs = performance.now()
  return {
    async next() {
      if (performance.now() - beganMs < sliceMs) return
      await setImmediate()
      beganMs = performance.now()
    },
  }
}
