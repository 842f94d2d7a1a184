/**
 * SipHash-2-4 (Aumasson and Bernstein, 2012) of 20 bytes: the MAC that hash tables use, in a seventh of the time that a
 * call into OpenSSL takes. For keys of a table in memory; what leaves the process is HMAC-SHA-256 (pseudonym.ts).
 */

/** 128 bits. */
export const sipKeyWords = 4
export const sipMessageWords = 5

/** In the highest byte of the last word: how many bytes the message has, modulo 256. */
const lengthWord = (4 * sipMessageWords) << 24

const isBelow = (left: number, right: number): number => (left >>> 0 < right >>> 0 ? 1 : 0)

/** `key` and `message`: little-endian words. Puts the 64 bits of the MAC into `into`, the lower half first. */
export function sipHash(key: Int32Array, message: Int32Array, into: Int32Array): void {
  // Each of the four numbers of 64 bits in two halves; "somepseudorandomlygeneratedbytes".
  let v0 = key[0]! ^ 0x70736575
  let v0h = key[1]! ^ 0x736f6d65
  let v1 = key[2]! ^ 0x6e646f6d
  let v1h = key[3]! ^ 0x646f7261
  let v2 = key[0]! ^ 0x6e657261
  let v2h = key[1]! ^ 0x6c796765
  let v3 = key[2]! ^ 0x79746573
  let v3h = key[3]! ^ 0x74656462
  let sum = 0

  // Two rounds for each of three blocks, and four at the end.
  for (let round = 0; round < 10; round++) {
    if ((round & 1) === 0) {
      if (round > 0 && round <= 6) {
        v0 ^= message[round - 2]!
        v0h ^= round === 6 ? lengthWord : message[round - 1]!
      }
      if (round <= 4) {
        v3 ^= message[round]!
        v3h ^= round === 4 ? lengthWord : message[round + 1]!
      }
      if (round === 6) v2 ^= 0xff
    }

    sum = (v0 + v1) | 0
    v0h = (v0h + v1h + isBelow(sum, v0)) | 0
    v0 = sum
    sum = (v2 + v3) | 0
    v2h = (v2h + v3h + isBelow(sum, v2)) | 0
    v2 = sum
    sum = (v1 << 13) | (v1h >>> 19)
    v1h = ((v1h << 13) | (v1 >>> 19)) ^ v0h
    v1 = sum ^ v0
    sum = (v3 << 16) | (v3h >>> 16)
    v3h = ((v3h << 16) | (v3 >>> 16)) ^ v2h
    v3 = sum ^ v2
    // Turned by 32 bits: the halves change places.
    sum = v0
    v0 = v0h
    v0h = sum

    sum = (v2 + v1) | 0
    v2h = (v2h + v1h + isBelow(sum, v2)) | 0
    v2 = sum
    sum = (v0 + v3) | 0
    v0h = (v0h + v3h + isBelow(sum, v0)) | 0
    v0 = sum
    sum = (v1 << 17) | (v1h >>> 15)
    v1h = ((v1h << 17) | (v1 >>> 15)) ^ v2h
    v1 = sum ^ v2
    sum = (v3 << 21) | (v3h >>> 11)
    v3h = ((v3h << 21) | (v3 >>> 11)) ^ v0h
    v3 = sum ^ v0
    sum = v2
    v2 = v2h
    v2h = sum
  }
  into[0] = v0 ^ v1 ^ v2 ^ v3
  into[1] = v0h ^ v1h ^ v2h ^ v3h
}
