/** Turns an address into keyed pseudonyms: after the key's time is over nobody can compute them again. */
import { hash } from 'node:crypto'
import { isMappedIpv4 } from '../geo/address.ts'
import type { KeyCarry } from './key-carry.ts'

export type Pseudonyms = {
  /** Of the address alone. */
  endpointId: string
  /** Of the address and the family of the tool. */
  clientId: string
  /** Which key was used: `EpochKey` of key-reader.ts. */
  epoch: string
  scope: 'node' | 'shared'
}

type NamedKey = { key: Uint8Array; epoch: string; scope: 'node' | 'shared' }

export type PseudonymKeys = {
  keyFor(timeMs: number): NamedKey
  keyBefore(timeMs: number): NamedKey | null
  epochEndsInMs(timeMs: number): number
}

// Fixed binary layout, so that no two inputs share an encoding: version, purpose, address, then the family's hash.
const layoutVersion = 1
const purposes = { endpoint: 1, client: 2 } as const
const addressStart = 2
const familyStart = addressStart + 16
const familyBytes = 32

/** 128 bits: ten million ids a day collide with probability 1.5e-25. */
const idDigits = 32

/** SLAAC privacy addresses change below /64 (RFC 8981): the prefix is the customer. */
const ipv6PrefixBytes = 8

/** Of SHA-256; the key, not longer than that, is padded to it (RFC 2104 2). */
const blockBytes = 64
const hashBytes = 32
const innerPad = 0x36
const outerPad = 0x5c

export type Pseudonymizer = {
  /**
   * `address`: 16 bytes, IPv4 mapped; it is only read, and no copy of it remains. The key is that of `timeMs`,
   * the time of enrichment.
   */
  (address: Uint8Array, family: string, timeMs: number): Pseudonyms
  /**
   * What decides about the pseudonyms of that time: the same object as long as each client whose epoch is this one's
   * keeps them. null shortly before the turn, when each batch has to say who was seen.
   */
  periodOf(timeMs: number): { readonly epoch: string } | null
  /** Zeroes its copy of the key; to be called after each batch, so that the key lives no longer than the keyring. */
  forget(): void
}

/** `carry`: who goes on under the key before, so that no session is cut in two at the turn; null: nobody. */
export function createPseudonymizer(keys: PseudonymKeys, carry: KeyCarry | null = null): Pseudonymizer {
  // HMAC (RFC 2104) in two one-shot hashes: a third of the time that an Hmac object takes for so short an input.
  const endpointBlocks = Buffer.alloc(blockBytes + familyStart)
  const clientBlocks = Buffer.alloc(blockBytes + familyStart + familyBytes)
  const outerBlocks = Buffer.alloc(blockBytes + hashBytes)
  const endpoint = endpointBlocks.subarray(blockBytes)
  const client = clientBlocks.subarray(blockBytes)
  endpoint[0] = client[0] = layoutVersion
  endpoint[1] = purposes.endpoint
  client[1] = purposes.client
  let loaded: Uint8Array | null = null
  /** Whose hash is in the client's block. */
  let clientFamily: string | null = null
  const familyHashes = new Map<string, Buffer>()

  // As many as there are families in the table of User-Agents.
  function familyHash(family: string): Buffer {
    let digest = familyHashes.get(family)
    if (digest === undefined) {
      digest = hash('sha256', family, 'buffer')
      familyHashes.set(family, digest)
    }
    return digest
  }

  function putFamily(family: string) {
    if (family === clientFamily) return
    familyHash(family).copy(client, familyStart)
    clientFamily = family
  }

  function load(key: Uint8Array) {
    if (key.length > blockBytes) throw new RangeError('a key longer than a block of its hash')
    for (let i = 0; i < blockBytes; i++) {
      const byte = key[i] ?? 0
      endpointBlocks[i] = clientBlocks[i] = byte ^ innerPad
      outerBlocks[i] = byte ^ outerPad
    }
    loaded = key
  }

  function forget() {
    for (const blocks of [endpointBlocks, clientBlocks]) blocks.fill(0, 0, blockBytes)
    outerBlocks.fill(0)
    loaded = null
  }

  function mac(innerBlocks: Buffer): string {
    // Through a string of one byte a character: Node makes those fastest.
    outerBlocks.write(hash('sha256', innerBlocks, 'binary'), blockBytes, 'binary')
    return hash('sha256', outerBlocks, 'hex').slice(0, idDigits)
  }

  function macsUnder({ key, epoch, scope }: NamedKey): Pseudonyms {
    if (key !== loaded) load(key)
    return { endpointId: mac(endpointBlocks), clientId: mac(clientBlocks), epoch, scope }
  }

  function pseudonymize(address: Uint8Array, family: string, timeMs: number): Pseudonyms {
    const significant = isMappedIpv4(address) ? 16 : ipv6PrefixBytes
    putFamily(family)
    try {
      for (let i = 0; i < significant; i++) {
        endpoint[addressStart + i] = client[addressStart + i] = address[i] ?? 0
      }
      const before = carry === null ? null : keys.keyBefore(timeMs)
      if (carry !== null && before !== null) {
        const pseudonyms = macsUnder(before)
        if (carry.goesOn(pseudonyms.clientId, timeMs)) return pseudonyms
      }
      const pseudonyms = macsUnder(keys.keyFor(timeMs))
      if (carry !== null && keys.epochEndsInMs(timeMs) <= carry.idleMs) carry.see(pseudonyms.clientId, timeMs)
      return pseudonyms
    } finally {
      // In a loop: for so few bytes `fill` takes ten times as long.
      for (let i = addressStart; i < familyStart; i++) endpoint[i] = client[i] = 0
    }
  }

  function periodOf(timeMs: number): NamedKey | null {
    return carry !== null && keys.epochEndsInMs(timeMs) <= carry.idleMs ? null : keys.keyFor(timeMs)
  }

  return Object.assign(pseudonymize, { periodOf, forget })
}
