/**
 * How much one client may have at once, without keeping who it is: counts in cells that a keyed hash of the
 * address chooses, the key being this process's own and never written anywhere.
 */
import { randomFillSync } from 'node:crypto'
import type { Address } from './client-address.ts'

export type Admission = {
  /** A ticket for `leave`; -1: the client has as many as it may have. Allocates nothing. */
  tryEnter(address: Address): number
  leave(ticket: number): void
}

// Two rows of 2^16 cells (a count-min sketch): two clients share a count only where both halves of their
// hashes meet, and what a client has is never counted short.
const cells = 2 ** 16
const key = randomFillSync(new Uint32Array(2))

export function createAdmission(limit: number): Admission {
  const first = new Uint32Array(cells)
  const second = new Uint32Array(cells)
  return {
    tryEnter(address) {
      const ticket = hashAddress(address)
      const high = ticket >>> 16
      const low = ticket & 0xffff
      if (Math.min(first[high] as number, second[low] as number) >= limit) return -1
      first[high]! += 1
      second[low]! += 1
      return ticket
    },
    leave(ticket) {
      first[ticket >>> 16]! -= 1
      second[ticket & 0xffff]! -= 1
    },
  }
}

export type OpenRate = {
  /** Whether the client has opened more than `limit` connections in this window and the one before. */
  exceeds(address: Address, nowMs: number): boolean
}

/** Counts connections as they are opened, by the same hash; for where nobody tells whose connection has closed. */
export function createOpenRate(limit: number, windowMs: number): OpenRate {
  let [first, second, firstBefore, secondBefore] = Array.from(
    { length: 4 },
    () => new Uint32Array(cells),
  ) as [Uint32Array, Uint32Array, Uint32Array, Uint32Array]
  let startedMs = Number.NEGATIVE_INFINITY
  const turn = (nowMs: number): void => {
    if (nowMs - startedMs < windowMs) return
    // What is older than the window before counts no more.
    if (nowMs - startedMs >= 2 * windowMs) for (const row of [first, second]) row.fill(0)
    for (const row of [firstBefore, secondBefore]) row.fill(0)
    ;[first, firstBefore] = [firstBefore, first]
    ;[second, secondBefore] = [secondBefore, second]
    startedMs = nowMs
  }
  return {
    exceeds(address, nowMs) {
      turn(nowMs)
      const ticket = hashAddress(address)
      const high = ticket >>> 16
      const low = ticket & 0xffff
      first[high]! += 1
      second[low]! += 1
      const byHigh = (first[high] as number) + (firstBefore[high] as number)
      const byLow = (second[low] as number) + (secondBefore[low] as number)
      return Math.min(byHigh, byLow) > limit
    },
  }
}

let v0 = 0
let v1 = 0
let v2 = 0
let v3 = 0

function round(): void {
  v0 = (v0 + v1) | 0
  v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
  v0 = (v0 << 16) | (v0 >>> 16)
  v2 = (v2 + v3) | 0
  v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
  v0 = (v0 + v3) | 0
  v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
  v2 = (v2 + v1) | 0
  v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
  v2 = (v2 << 16) | (v2 >>> 16)
}

/** HalfSipHash-2-4 (the SipHash authors' variant for 32-bit words): clients cannot choose whom they collide with. */
function hashAddress(address: Address): number {
  v0 = key[0] as number
  v1 = key[1] as number
  v2 = 0x6c796765 ^ (key[0] as number)
  v3 = 0x74656462 ^ (key[1] as number)
  for (let at = 0; at < 16; at += 4) {
    const word =
      (address[at] as number) |
      ((address[at + 1] as number) << 8) |
      ((address[at + 2] as number) << 16) |
      ((address[at + 3] as number) << 24)
    v3 ^= word
    round()
    round()
    v0 ^= word
  }
  // The length of an address is always 16.
  const last = 16 << 24
  v3 ^= last
  round()
  round()
  v0 ^= last
  v2 ^= 0xff
  for (let turn = 0; turn < 4; turn++) round()
  return (v1 ^ v3) >>> 0
}
