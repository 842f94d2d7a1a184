/** Where the keyring keeps what in its shared memory, and how time is cut into epochs. All words are Int32. */

/** A header of 16 words, then slots of 16 words: version, epoch (0: empty), scope, key; then recent clients. */
export type KeyringMemory = SharedArrayBuffer

export const hourMs = 3_600_000
export const dayMs = 24 * hourMs

/** Previous, current and next epoch, and one to spare: a slot is never written while its neighbours are in use. */
export const slotCount = 4

/** 64 bytes, a cache line. */
export const slotWords = 16
export const headerWords = 16
export const versionWord = 0
export const epochWord = 1
export const scopeWord = 2
export const keyWord = 3

/** Of the header: length of an epoch in seconds, grace in seconds, and by how many ms the shared clock is ahead. */
export const rotationWord = 0
export const graceWord = 1
export const offsetWord = 2

/** 32 bytes: the output length of SHA-256, what RFC 2104 section 3 asks of an HMAC key. */
export const keyWords = 8

export const scopes = ['node', 'shared'] as const
export type KeyScope = (typeof scopes)[number]

/** The Unix epoch was a Thursday: weeks begin on the Monday after. */
const weekOffsetMs = 4 * dayMs

function offsetOf(rotationMs: number): number {
  return rotationMs === 7 * dayMs ? weekOffsetMs : 0
}

/** Number of the epoch that a time lies in, from 1 on. */
export function epochOf(timeMs: number, rotationMs: number): number {
  return Math.floor((timeMs - offsetOf(rotationMs)) / rotationMs)
}

export function epochStartMs(epoch: number, rotationMs: number): number {
  return epoch * rotationMs + offsetOf(rotationMs)
}

/** As events tell it: the day an epoch begins, with its hour where epochs are shorter than a day. */
export function epochName(epoch: number, rotationMs: number): string {
  const start = new Date(epochStartMs(epoch, rotationMs)).toISOString()
  return start.slice(0, rotationMs < dayMs ? 13 : 10)
}

export function slotStart(epoch: number): number {
  return headerWords + (epoch % slotCount) * slotWords
}

/** Then two words for each client that was seen shortly before the turn (`key-carry.ts`). */
export const carryStart = headerWords + slotCount * slotWords
/** Clients of the last minute of an epoch; more than fit are only not carried over. */
export const carryEntries = 32_768
export const carryWords = 2

export const memoryBytes = (carryStart + carryEntries * carryWords) * 4
