/**
 * Compares a body with the digest it was asked by while it is sent on, and keeps its last bytes back until it is
 * known to be right.
 */
import { createHash, type Hash } from 'node:crypto'

export type BodyCheck = {
  /** Takes a chunk, which is copied, and returns the one before it, which may be sent now; null: none. */
  add(chunk: Buffer): Buffer | null
  /** The last chunk (null: there was none) if all were those of the digest; false: they were not. */
  end(): Buffer | null | false
}

/** null: the digest's algorithm is not one that can be checked. */
export function createBodyCheck(digest: string): BodyCheck | null {
  const [, algorithm, hex] = /^(sha256|sha512):([0-9a-f]+)$/.exec(digest) ?? []
  if (algorithm === undefined || hex === undefined) return null
  const hash: Hash = createHash(algorithm)
  let held: Buffer | null = null
  return {
    add(chunk) {
      hash.update(chunk)
      const before = held
      held = Buffer.from(chunk)
      return before
    },
    end: () => (hash.digest('hex') === hex ? held : false),
  }
}
