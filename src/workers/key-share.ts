/**
 * Shares the keys of the pseudonyms between nodes through a store that never sees them: they lie there wrapped
 * with keys from a file of the operator's, and expire there when their time is over.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

/** What is needed of a Redis client; each call rejects within its own timeout. */
export type KeyStore = {
  /** SET with NX and PXAT: the value that is there in the end. */
  setIfAbsent(key: string, value: string, expiresAtMs: number): Promise<string>
  /** TIME, as Unix ms. */
  time(): Promise<number>
}

export type KeyShare = {
  /**
   * The key that all nodes have for that epoch: the proposed one, or that of the node that came first. null: the
   * store did not answer, or holds what these wrapping keys cannot read.
   */
  obtain(epoch: string, rotationMs: number, proposed: Uint8Array, destroyAtMs: number): Promise<Buffer | null>
  /** By how much the store's clock is ahead of this one; null: unknown. */
  clockAheadMs(): Promise<number | null>
}

const version = 'wbk1'
/** NIST SP 800-38D: 96 bits for the nonce, 128 for the tag. */
const nonceBytes = 12
const tagBytes = 16
const algorithm = 'aes-256-gcm'

export function storeKeyOf(epoch: string, rotationMs: number): string {
  return `waybill:pseudonym-key:${rotationMs / 3_600_000}h:${epoch}`
}

/** The place is part of what is authenticated: a wrapped key cannot be put in the place of another. */
export function wrapKey(key: Uint8Array, wrappingKey: Uint8Array, place: string): string {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv(algorithm, wrappingKey, nonce)
  cipher.setAAD(Buffer.from(`${version} ${place}`))
  const sealed = Buffer.concat([cipher.update(key), cipher.final()])
  return `${version}.${Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString('base64url')}`
}

export function unwrapKey(text: string, wrappingKey: Uint8Array, place: string): Buffer | null {
  const [mark, body = ''] = text.split('.')
  const bytes = Buffer.from(body, 'base64url')
  if (mark !== version || bytes.length <= nonceBytes + tagBytes) return null
  let opened: Buffer | null = null
  try {
    const decipher = createDecipheriv(algorithm, wrappingKey, bytes.subarray(0, nonceBytes))
    decipher.setAAD(Buffer.from(`${version} ${place}`))
    decipher.setAuthTag(bytes.subarray(-tagBytes))
    opened = decipher.update(bytes.subarray(nonceBytes, -tagBytes))
    return Buffer.concat([opened, decipher.final()])
  } catch {
    return null
  } finally {
    opened?.fill(0)
  }
}

/** Keys of 32 bytes as 64 hex digits, one on each line: the first wraps, all unwrap. null: the text holds none. */
export function parseWrappingKeys(text: string): Buffer[] | null {
  const lines = text.split(/\r?\n/).map((line) => line.trim())
  const keys = lines.filter((line) => line !== '' && !line.startsWith('#'))
  if (keys.length === 0 || !keys.every((key) => /^[0-9a-f]{64}$/i.test(key))) return null
  return keys.map((key) => Buffer.from(key, 'hex'))
}

export function createKeyShare(options: {
  store: KeyStore
  wrappingKeys: readonly Uint8Array[]
  warn(error: unknown): void
  now?: () => number
}): KeyShare {
  const { store, wrappingKeys, warn, now = Date.now } = options
  return {
    async obtain(epoch, rotationMs, proposed, destroyAtMs) {
      const place = storeKeyOf(epoch, rotationMs)
      try {
        const wrapped = wrapKey(proposed, wrappingKeys[0]!, place)
        const kept = await store.setIfAbsent(place, wrapped, destroyAtMs)
        for (const wrappingKey of wrappingKeys) {
          const key = unwrapKey(kept, wrappingKey, place)
          if (key?.length === proposed.length) return key
        }
        throw new Error(`${place}: no key of privacy.keyFile opens what another node has put there`)
      } catch (error) {
        warn(error)
        return null
      }
    },
    async clockAheadMs() {
      try {
        const before = now()
        const time = await store.time()
        // Between question and answer: half of the way back.
        return time - (before + now()) / 2
      } catch {
        // The key that is asked for next says why.
        return null
      }
    },
  }
}
