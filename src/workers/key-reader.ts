/** The workers' side of the keyring: finds the key of a time and forgets it as soon as it is destroyed. */
import {
  epochName,
  epochOf,
  epochStartMs,
  epochWord,
  graceWord,
  headerWords,
  type KeyringMemory,
  type KeyScope,
  keyWord,
  keyWords,
  offsetWord,
  rotationWord,
  scopes,
  scopeWord,
  slotCount,
  slotStart,
  slotWords,
  versionWord,
} from './keyring-layout.ts'

export type EpochKey = {
  /** Zeroed once it is destroyed. Not a KeyObject: what that holds stays until a garbage collection that may never come. */
  key: Uint8Array
  /** When the key's epoch began: `YYYY-MM-DD`, with `THH` where epochs are hours. */
  epoch: string
  /** Whether other nodes make the same pseudonyms. */
  scope: KeyScope
}

export type KeyReader = {
  /**
   * The key of that time. When the clock leapt and the main thread has not made it yet, the newest key there is;
   * its epoch says so. Throws when there is none at all.
   */
  keyFor(timeMs: number): EpochKey
  /** The key before it, for as long as sessions may go on under it; else null. */
  keyBefore(timeMs: number): EpochKey | null
  /** How long the epoch of that time still lasts. */
  epochEndsInMs(timeMs: number): number
  /** Forgets destroyed keys; the timer calls it once a minute, so that an idle worker forgets too. */
  sweep(): void
  close(): void
}

type Held = EpochKey & { number: number; version: number }

/** The writer needs well under a microsecond; so many failures mean that it died half way. */
const maxReadAttempts = 1000
const sweepMs = 60_000

export function createKeyReader(memory: KeyringMemory): KeyReader {
  const words = new Int32Array(memory)
  const held: (Held | null)[] = new Array(slotCount).fill(null)
  // Written before any thread had the memory, and never again.
  const rotationMs = words[rotationWord]! * 1000
  const graceMs = words[graceWord]! * 1000

  function isCurrent(slot: number, version: number): boolean {
    // Acquires the slot's state: any change since, destruction too, has moved the version.
    return Atomics.load(words, headerWords + slot * slotWords + versionWord) === version
  }

  function copy(slot: number): Held | null {
    // Not `new Int32Array(keyWords)`: so few bytes lie in the heap, where the collector leaves copies of them.
    const key = new Int32Array(new ArrayBuffer(keyWords * Int32Array.BYTES_PER_ELEMENT))
    const copied = copyInto(key, slot)
    // What was torn or is destroyed by now is a key, or a part of one, all the same.
    if (copied === null) key.fill(0)
    return copied
  }

  function copyInto(key: Int32Array<ArrayBuffer>, slot: number): Held | null {
    const start = headerWords + slot * slotWords
    for (let attempt = 0; attempt < maxReadAttempts; attempt++) {
      // Acquires what was published with this version; an odd one is a change under way.
      const version = Atomics.load(words, start + versionWord)
      if ((version & 1) === 1) continue
      // Atomic loads, so that none of them moves behind the check below.
      const number = Atomics.load(words, start + epochWord)
      const scope = scopes[Atomics.load(words, start + scopeWord)] ?? 'node'
      for (let i = 0; i < keyWords; i++) key[i] = Atomics.load(words, start + keyWord + i)
      if (!isCurrent(slot, version)) continue
      if (number === 0) return null
      return {
        key: new Uint8Array(key.buffer),
        ...{ number, version, scope, epoch: epochName(number, rotationMs) },
      }
    }
    return null
  }

  function forget(slot: number) {
    held[slot]?.key.fill(0)
    held[slot] = null
  }

  function slotKey(slot: number): Held | null {
    const known = held[slot]
    if (known && isCurrent(slot, known.version)) return known
    forget(slot)
    held[slot] = copy(slot)
    return held[slot]
  }

  function keyOf(number: number): Held | null {
    const found = slotKey((slotStart(number) - headerWords) / slotWords)
    return found?.number === number ? found : null
  }

  function newest(): Held | null {
    let best: Held | null = null
    for (let slot = 0; slot < slotCount; slot++) {
      const candidate = slotKey(slot)
      if (candidate !== null && (best === null || candidate.number > best.number)) best = candidate
    }
    return best
  }

  /** By the clock that all nodes share; a plain load would do, as a late change of some ms changes nothing. */
  const sharedTime = (timeMs: number): number => timeMs + Atomics.load(words, offsetWord)

  function sweep() {
    for (let slot = 0; slot < slotCount; slot++) {
      const known = held[slot]
      if (known && !isCurrent(slot, known.version)) forget(slot)
    }
  }

  const timer = setInterval(sweep, sweepMs)
  timer.unref()

  return {
    keyFor(timeMs) {
      const found = keyOf(epochOf(sharedTime(timeMs), rotationMs)) ?? newest()
      if (found === null) throw new Error('the keyring is closed')
      return found
    },
    keyBefore(timeMs) {
      const time = sharedTime(timeMs)
      const number = epochOf(time, rotationMs)
      return time < epochStartMs(number, rotationMs) + graceMs ? keyOf(number - 1) : null
    },
    epochEndsInMs(timeMs) {
      const time = sharedTime(timeMs)
      return epochStartMs(epochOf(time, rotationMs) + 1, rotationMs) - time
    },
    sweep,
    close() {
      clearInterval(timer)
      for (let slot = 0; slot < slotCount; slot++) forget(slot)
    },
  }
}
