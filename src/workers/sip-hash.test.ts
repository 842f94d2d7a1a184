import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sipHash } from './sip-hash.ts'

function hashOf(key: Uint8Array, message: Uint8Array): bigint {
  const words = (bytes: Uint8Array) => new Int32Array(Uint8Array.from(bytes).buffer)
  const mac = new Int32Array(2)
  sipHash(words(key), words(message), mac)
  return new BigUint64Array(mac.buffer)[0]!
}

const bits = (1n << 64n) - 1n
const turn = (value: bigint, by: bigint) => ((value << by) | (value >> (64n - by))) & bits

/** As the paper has it, 2.1 to 2.4. */
function twin(key: Uint8Array, message: Uint8Array): bigint {
  const [k0 = 0n, k1 = 0n] = new BigUint64Array(Uint8Array.from(key).buffer)
  const v = [
    k0 ^ 0x736f6d6570736575n,
    k1 ^ 0x646f72616e646f6dn,
    k0 ^ 0x6c7967656e657261n,
    k1 ^ 0x7465646279746573n,
  ] as [bigint, bigint, bigint, bigint]
  const round = () => {
    v[0] = (v[0] + v[1]) & bits
    v[2] = (v[2] + v[3]) & bits
    v[1] = turn(v[1], 13n) ^ v[0]
    v[3] = turn(v[3], 16n) ^ v[2]
    v[0] = turn(v[0], 32n)
    v[2] = (v[2] + v[1]) & bits
    v[0] = (v[0] + v[3]) & bits
    v[1] = turn(v[1], 17n) ^ v[2]
    v[3] = turn(v[3], 21n) ^ v[0]
    v[2] = turn(v[2], 32n)
  }
  const padded = new Uint8Array(24)
  padded.set(message)
  padded[23] = message.length
  for (const block of new BigUint64Array(padded.buffer)) {
    v[3] ^= block
    round()
    round()
    v[0] ^= block
  }
  v[2] ^= 0xffn
  for (let i = 0; i < 4; i++) round()
  return v[0] ^ v[1] ^ v[2] ^ v[3]
}

test('the MAC that the reference implementation lists for 20 bytes', () => {
  const count = (length: number) => Uint8Array.from({ length }, (_, i) => i)
  expect(hashOf(count(16), count(20))).toBe(0xbed65cf21aa2ee98n)
})

test('any key and message: the MAC by the words of the paper', () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
  fc.assert(fc.property(bytes(16), bytes(20), (key, text) => hashOf(key, text) === twin(key, text)))
})
