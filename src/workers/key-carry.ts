/**
 * Remembers which clients were active when the key of the pseudonyms changed, for all workers of the node: such a
 * client keeps its old ids until it falls idle, so that a pull over the turn is one session and one pull.
 */
import { carryEntries, carryStart, carryWords, type KeyringMemory } from './keyring-layout.ts'

export type KeyCarry = {
  /** Clients seen so shortly before the turn go on. */
  idleMs: number
  /** The client was seen under the key that soon ends. */
  see(clientId: string, timeMs: number): void
  /** Whether the client was seen under that key within the idle time; if so, it counts as seen again. */
  goesOn(clientId: string, timeMs: number): boolean
}

/** So many neighbours are looked at before the oldest of them is overwritten. */
const ways = 4
const mask = carryEntries - 1

export function createKeyCarry(memory: KeyringMemory, idleMs: number): KeyCarry {
  const words = new Int32Array(memory)
  const idleSeconds = Math.ceil(idleMs / 1000)

  const placeOf = (clientId: string, way: number): number =>
    carryStart + ((Number.parseInt(clientId.slice(0, 8), 16) + way) & mask) * carryWords
  // Never 0, which is an empty entry.
  const tagOf = (clientId: string): number => Number.parseInt(clientId.slice(8, 16), 16) | 1

  function find(clientId: string): number {
    const tag = tagOf(clientId)
    for (let way = 0; way < ways; way++) {
      const place = placeOf(clientId, way)
      // Acquires what a worker has stored; its time may be a moment older than the tag, which changes nothing.
      if (Atomics.load(words, place) === tag) return place
    }
    return -1
  }

  return {
    idleMs,
    see(clientId, timeMs) {
      let place = find(clientId)
      if (place < 0) {
        place = placeOf(clientId, 0)
        for (let way = 1; way < ways; way++) {
          const other = placeOf(clientId, way)
          // Acquires the times of all workers: the one seen longest ago makes room.
          if (Atomics.load(words, other + 1) < Atomics.load(words, place + 1)) place = other
        }
      }
      // Publishes the entry; two workers that take one place at once cost one of them its client.
      Atomics.store(words, place + 1, Math.floor(timeMs / 1000))
      Atomics.store(words, place, tagOf(clientId))
    },
    goesOn(clientId, timeMs) {
      const place = find(clientId)
      if (place < 0) return false
      const now = Math.floor(timeMs / 1000)
      // Acquires the time another worker stored last.
      if (now - Atomics.load(words, place + 1) > idleSeconds) return false
      Atomics.store(words, place + 1, now)
      return true
    },
  }
}
