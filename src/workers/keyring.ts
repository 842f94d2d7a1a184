/**
 * The keys of the pseudonyms: one random key for each epoch, got in the main thread, seen by the workers through
 * shared memory, never written anywhere in the clear and zeroed when its time is over.
 */
import { randomFillSync } from 'node:crypto'
import type { KeyShare } from './key-share.ts'
import {
  carryStart,
  dayMs,
  epochName,
  epochOf,
  epochStartMs,
  epochWord,
  graceWord,
  type KeyringMemory,
  type KeyScope,
  keyWord,
  keyWords,
  memoryBytes,
  offsetWord,
  rotationWord,
  scopes,
  scopeWord,
  slotCount,
  slotStart,
  versionWord,
} from './keyring-layout.ts'

export type Keyring = {
  /** For `createKeyReader` in the workers. */
  memory: KeyringMemory
  /** Gets the keys that are due and destroys those whose time is over; the timer calls it once a minute. */
  tick(): Promise<void>
  /** When each key there is will be destroyed, for people: no part of a key. */
  describe(): { epoch: string; scope: KeyScope; destroyed_at: string }[]
  /** Stops the timer and destroys all keys. */
  close(): void
}

export type KeyringOptions = {
  /** `Config.privacy.rotationMs`: 1 h, 24 h or 7 d. */
  rotationMs?: number
  /** Unix ms. */
  now?: () => number
  /** How long a key outlives its epoch, so that sessions end under it: at most an epoch, and at most 24 h. */
  graceMs?: number
  /** Where nodes find each other's keys; null: each has its own. */
  share?: KeyShare | null
  /** Called when an epoch begins with a key that only this node has, though there is a share. */
  onAlone?: (epoch: string) => void
}

export const defaultGraceMs = 30 * 60_000

/** With a tick each minute the next key is there more than ten minutes before its epoch. */
const leadMs = 15 * 60_000
/** A share that does not answer is asked until so little time is left. */
const lastMs = 2 * 60_000
const tickMs = 60_000

/** Resolved once the key of the present epoch is there. */
export async function createKeyring(options: KeyringOptions = {}): Promise<Keyring> {
  const { rotationMs = dayMs, now = Date.now, share = null } = options
  const memory = new SharedArrayBuffer(memoryBytes)
  const words = new Int32Array(memory)
  const keepMs = Math.min(options.graceMs ?? defaultGraceMs, dayMs, rotationMs)
  // Before any other thread has the memory.
  words[rotationWord] = rotationMs / 1000
  words[graceWord] = Math.floor(keepMs / 1000)
  let closed = false

  function write(place: number, epoch: number, scope: KeyScope, key: Int32Array) {
    // An odd version tells readers that the slot is being changed: what they copy meanwhile does not count.
    Atomics.add(words, place + versionWord, 1)
    Atomics.store(words, place + epochWord, epoch)
    Atomics.store(words, place + scopeWord, scopes.indexOf(scope))
    // Atomic stores are ordered between the two versions; plain ones might be seen after the second.
    for (let i = 0; i < keyWords; i++) Atomics.store(words, place + keyWord + i, key[i] ?? 0)
    // An even one publishes the slot as it now is.
    Atomics.add(words, place + versionWord, 1)
  }

  // Loads need no order here: this thread is the only writer.
  const has = (epoch: number) => Atomics.load(words, slotStart(epoch) + epochWord) === epoch

  async function obtain(epoch: number, mayWait: boolean): Promise<void> {
    if (has(epoch)) return
    // Not `new Int32Array(keyWords)`: so few bytes lie in the heap, where the collector leaves copies of them.
    const key = randomFillSync(new Int32Array(new ArrayBuffer(keyWords * Int32Array.BYTES_PER_ELEMENT)))
    let scope: KeyScope = 'node'
    if (share !== null) {
      const bytes = Buffer.from(key.buffer)
      const endsMs = epochStartMs(epoch + 1, rotationMs) + keepMs
      const found = await share.obtain(epochName(epoch, rotationMs), rotationMs, bytes, endsMs)
      if (found !== null) {
        bytes.set(found)
        found.fill(0)
        scope = 'shared'
      } else if (mayWait) {
        key.fill(0)
        return
      } else options.onAlone?.(epochName(epoch, rotationMs))
    }
    if (!closed && !has(epoch)) write(slotStart(epoch), epoch, scope, key)
    key.fill(0)
  }

  /** Parts of pseudonyms under a key that is gone. */
  function forgetClients() {
    words.fill(0, carryStart)
  }

  function destroyOld(time: number) {
    const empty = new Int32Array(keyWords)
    for (let slot = 0; slot < slotCount; slot++) {
      // Again this thread's own value.
      const epoch = Atomics.load(words, slotStart(slot) + epochWord)
      if (epoch === 0) continue
      const over = epochStartMs(epoch + 1, rotationMs) + keepMs <= time
      // A key of a far epoch is left by a clock that was wrong.
      if (!over && epoch <= epochOf(time, rotationMs) + 1) continue
      write(slotStart(slot), 0, 'node', empty)
      forgetClients()
    }
  }

  async function tick() {
    const aheadMs = (await share?.clockAheadMs()) ?? null
    // Publishes nothing else: readers may take the one or the other.
    if (aheadMs !== null)
      Atomics.store(words, offsetWord, Math.max(-dayMs, Math.min(dayMs, Math.round(aheadMs))))
    const time = now() + Atomics.load(words, offsetWord)
    destroyOld(time)
    const epoch = epochOf(time, rotationMs)
    await obtain(epoch, false)
    const leftMs = epochStartMs(epoch + 1, rotationMs) - time
    if (leftMs <= Math.min(leadMs, rotationMs / 4)) await obtain(epoch + 1, leftMs > lastMs)
  }

  await tick()
  const timer = setInterval(() => void tick(), tickMs)
  timer.unref()

  return {
    memory,
    tick,
    describe() {
      const found = []
      for (let slot = 0; slot < slotCount; slot++) {
        const epoch = Atomics.load(words, slotStart(slot) + epochWord)
        if (epoch === 0) continue
        found.push({
          epoch: epochName(epoch, rotationMs),
          scope: scopes[Atomics.load(words, slotStart(slot) + scopeWord)] ?? 'node',
          destroyed_at: new Date(epochStartMs(epoch + 1, rotationMs) + keepMs).toISOString(),
        })
      }
      return found.sort((a, b) => (a.epoch < b.epoch ? -1 : 1))
    },
    close() {
      closed = true
      clearInterval(timer)
      const empty = new Int32Array(keyWords)
      for (let slot = 0; slot < slotCount; slot++) write(slotStart(slot), 0, 'node', empty)
      forgetClients()
    },
  }
}
