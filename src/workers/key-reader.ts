/** The workers' side of the keyring: finds the key of a time and forgets it as soon as it is destroyed. */
import { createSecretKey, type KeyObject } from 'node:crypto'
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

export type EpochKey = {
  key: KeyObject
  /** The UTC day of the key, `YYYY-MM-DD`. */
  epoch: string
}

export type KeyReader = {
  /**
   * The key of that UTC day. When the clock leapt and the main thread has not made it yet, the newest key
   * there is; its epoch says so. Throws when there is none at all.
   */
  keyFor(timeMs: number): EpochKey
  /** Forgets destroyed keys; the timer calls it once a minute, so that an idle worker forgets too. */
  sweep(): void
  close(): void
}

type Held = EpochKey & { day: number; version: number }

/** The writer needs well under a microsecond; so many failures mean that it died half way. */
const maxReadAttempts = 1000
const sweepMs = 60_000

export function createKeyReader(memory: KeyringMemory): KeyReader {
  const words = new Int32Array(memory)
  const held: (Held | null)[] = new Array(slotCount).fill(null)

  function isCurrent(slot: number, version: number): boolean {
    // Acquires the slot's state: any change since, destruction too, has moved the version.
    return Atomics.load(words, slot * slotWords + versionWord) === version
  }

  function copy(slot: number): Held | null {
    const start = slot * slotWords
    const key = new Int32Array(keyWords)
    for (let attempt = 0; attempt < maxReadAttempts; attempt++) {
      // Acquires what was published with this version; an odd one is a change under way.
      const version = Atomics.load(words, start + versionWord)
      if ((version & 1) === 1) continue
      // Atomic loads, so that none of them moves behind the check below.
      const day = Atomics.load(words, start + dayWord)
      for (let i = 0; i < keyWords; i++) key[i] = Atomics.load(words, start + keyWord + i)
      if (!isCurrent(slot, version)) continue
      if (day === 0) return null
      const secret = createSecretKey(Buffer.from(key.buffer))
      key.fill(0)
      return { key: secret, day, version, epoch: new Date(day * dayMs).toISOString().slice(0, 10) }
    }
    return null
  }

  function slotKey(slot: number): Held | null {
    const known = held[slot]
    if (known && isCurrent(slot, known.version)) return known
    held[slot] = copy(slot)
    return held[slot]
  }

  function newest(): Held | null {
    let best: Held | null = null
    for (let slot = 0; slot < slotCount; slot++) {
      const candidate = slotKey(slot)
      if (candidate !== null && (best === null || candidate.day > best.day)) best = candidate
    }
    return best
  }

  function sweep() {
    for (let slot = 0; slot < slotCount; slot++) {
      const known = held[slot]
      if (known && !isCurrent(slot, known.version)) held[slot] = null
    }
  }

  const timer = setInterval(sweep, sweepMs)
  timer.unref()

  return {
    keyFor(timeMs) {
      const day = dayOf(timeMs)
      const exact = slotKey(slotOf(day))
      const found = exact?.day === day ? exact : newest()
      if (found === null) throw new Error('the keyring is closed')
      return found
    },
    sweep,
    close() {
      clearInterval(timer)
      held.fill(null)
    },
  }
}
