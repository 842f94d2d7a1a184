/**
 * The keys of the pseudonyms: one random key for each UTC day, made in the main thread, seen by the workers
 * through shared memory, never written anywhere and zeroed when its time is over.
 */
import { randomFillSync } from 'node:crypto'
import {
  dayMs,
  dayOf,
  dayWord,
  type KeyringMemory,
  keyWord,
  keyWords,
  slotCount,
  slotOf,
  slotWords,
  versionWord,
} from './keyring-layout.ts'

export type Keyring = {
  /** For `createKeyReader` in the workers. */
  memory: KeyringMemory
  /** Makes the keys that are due and destroys those whose time is over; the timer calls it once a minute. */
  tick(): void
  /** Stops the timer and destroys all keys. */
  close(): void
}

export type KeyringOptions = {
  /** Unix ms. */
  now?: () => number
  /** How long a key outlives its day, for records enriched by a clock that was set back: at most 24 h. */
  graceMs?: number
}

/** With a tick each minute the next day's key is there more than ten minutes before the day. */
const leadMs = 15 * 60_000
const tickMs = 60_000

export function createKeyring({ now = Date.now, graceMs = 30 * 60_000 }: KeyringOptions = {}): Keyring {
  const memory = new SharedArrayBuffer(slotCount * slotWords * 4)
  const words = new Int32Array(memory)
  const keepMs = Math.min(graceMs, dayMs)

  function write(slot: number, day: number, key: Int32Array) {
    const start = slot * slotWords
    // An odd version tells readers that the slot is being changed: what they copy meanwhile does not count.
    Atomics.add(words, start + versionWord, 1)
    Atomics.store(words, start + dayWord, day)
    // Atomic stores are ordered between the two versions; plain ones might be seen after the second.
    for (let i = 0; i < keyWords; i++) Atomics.store(words, start + keyWord + i, key[i] ?? 0)
    // An even one publishes the slot as it now is.
    Atomics.add(words, start + versionWord, 1)
  }

  function make(day: number) {
    // Loads need no order here: this thread is the only writer.
    if (Atomics.load(words, slotOf(day) * slotWords + dayWord) === day) return
    const key = randomFillSync(new Int32Array(keyWords))
    write(slotOf(day), day, key)
    key.fill(0)
  }

  function destroyOld(time: number) {
    const empty = new Int32Array(keyWords)
    for (let slot = 0; slot < slotCount; slot++) {
      // Again this thread's own value.
      const day = Atomics.load(words, slot * slotWords + dayWord)
      if (day === 0) continue
      const over = (day + 1) * dayMs + keepMs <= time
      // A key of a far day is left by a clock that was wrong.
      if (over || day > dayOf(time) + 1) write(slot, 0, empty)
    }
  }

  function tick() {
    const time = now()
    destroyOld(time)
    make(dayOf(time))
    make(dayOf(time + leadMs))
  }

  tick()
  const timer = setInterval(tick, tickMs)
  timer.unref()

  return {
    memory,
    tick,
    close() {
      clearInterval(timer)
      const empty = new Int32Array(keyWords)
      for (let slot = 0; slot < slotCount; slot++) write(slot, 0, empty)
    },
  }
}
