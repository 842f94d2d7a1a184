/** Turns an address into keyed pseudonyms: after the key's day is over nobody can compute them again. */
import { createHmac, hash, type KeyObject } from 'node:crypto'
import { isMappedIpv4 } from './address.ts'

export type Pseudonyms = {
  /** Of the address alone. */
  endpointId: string
  /** Of the address and the family of the tool. */
  clientId: string
  /** The UTC day whose key was used, `YYYY-MM-DD`. */
  epoch: string
}

export type PseudonymKeys = { keyFor(timeMs: number): { key: KeyObject; epoch: string } }

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

/**
 * `address`: 16 bytes, IPv4 mapped; it is only read, and no copy of it remains. The key is that of `timeMs`,
 * the time of enrichment.
 */
export function createPseudonymizer(keys: PseudonymKeys) {
  const endpoint = Buffer.alloc(familyStart)
  const client = Buffer.alloc(familyStart + familyBytes)
  endpoint[0] = client[0] = layoutVersion
  endpoint[1] = purposes.endpoint
  client[1] = purposes.client
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

  function mac(key: KeyObject, input: Buffer): string {
    // A KeyObject and a string as output: with Buffers it takes several times as long.
    return createHmac('sha256', key).update(input).digest('hex').slice(0, idDigits)
  }

  return function pseudonymize(address: Uint8Array, family: string, timeMs: number): Pseudonyms {
    const { key, epoch } = keys.keyFor(timeMs)
    const significant = isMappedIpv4(address) ? 16 : ipv6PrefixBytes
    for (let i = 0; i < significant; i++) {
      endpoint[addressStart + i] = client[addressStart + i] = address[i] ?? 0
    }
    familyHash(family).copy(client, familyStart)
    try {
      return { endpointId: mac(key, endpoint), clientId: mac(key, client), epoch }
    } finally {
      endpoint.fill(0, addressStart)
      client.fill(0, addressStart)
    }
  }
}
