/** Where the keyring keeps what in its shared memory. All words are Int32. */

/** Slots of 16 words: version, day (days since 1970, 0: empty), then the key. */
export type KeyringMemory = SharedArrayBuffer

export const dayMs = 86_400_000

/** Previous, current and next day, and one to spare: a slot is never written while its neighbours are in use. */
export const slotCount = 4

/** 64 bytes, a cache line. */
export const slotWords = 16
export const versionWord = 0
export const dayWord = 1
export const keyWord = 2

/** 32 bytes: the output length of SHA-256, what RFC 2104 section 3 asks of an HMAC key. */
export const keyWords = 8

export function dayOf(timeMs: number): number {
  return Math.floor(timeMs / dayMs)
}

export function slotOf(day: number): number {
  return day % slotCount
}
