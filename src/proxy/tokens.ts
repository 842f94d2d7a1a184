/**
 * The front's own bearer tokens: they grant nothing that is not public, and carry the random nonce by which
 * the requests of one pull are known as one session, even behind NAT.
 *
 * Form: `wb1.<key id>.<payload>.<mac>`, base64url; the payload is expiry (u32, Unix seconds) and nonce
 * (16 bytes); the MAC is HMAC-SHA-256 over payload and host, so that a token holds for one host only.
 */
import {
  createHash,
  createHmac,
  createSecretKey,
  type KeyObject,
  randomFillSync,
  timingSafeEqual,
} from 'node:crypto'

export const tokenLifetimeSeconds = 3600

export type Verdict =
  /** `nonce` is null for a token of a key that this node does not have: served, but no session key. */
  { valid: true; nonce: Uint8Array | null } | { valid: false }

export type Tokens = {
  /** A new token for `host`. */
  sign(host: string, nowMs: number): string
  /** Other keys, or another order, from now on. */
  setKeys(keys: readonly string[]): void
  /** `authorization`: the header's value. */
  verify(authorization: string, host: string, nowMs: number): Verdict
}

const prefix = 'wb1'
const payloadBytes = 20
const maxRemembered = 8192
// Ours have 91 characters, `Bearer` included; what is remembered under such a value must not be as long as a head.
const maxValueLength = 256
const invalid: Verdict = { valid: false }
const unknownKey: Verdict = { valid: true, nonce: null }

type Remembered = { host: string; expiresMs: number; verdict: Verdict }

/** `keys`: 32 bytes each in hex, the first signs, all verify. */
export function createTokens(keys: readonly string[]): Tokens {
  let byId: ReadonlyMap<string, KeyObject>
  let signingId: string
  let signingKey: KeyObject
  const nonces = createNoncePool()
  // A client sends its token a dozen times a pull; the whole header value is the key, as it is what arrives.
  const remembered = new Map<string, Remembered>()

  const setKeys = (hexKeys: readonly string[]): void => {
    byId = new Map(hexKeys.map((hex) => [keyId(hex), createSecretKey(Buffer.from(hex, 'hex'))]))
    signingId = keyId(hexKeys[0] as string)
    signingKey = byId.get(signingId) as KeyObject
    // A token of a key that was unknown may be known now.
    remembered.clear()
  }
  setKeys(keys)

  return {
    setKeys,
    sign(host, nowMs) {
      const payload = Buffer.allocUnsafe(payloadBytes)
      payload.writeUInt32BE(Math.floor(nowMs / 1000) + tokenLifetimeSeconds, 0)
      nonces.fill(payload, 4)
      return `${prefix}.${signingId}.${payload.toString('base64url')}.${mac(signingKey, payload, host)}`
    },
    verify(authorization, host, nowMs) {
      const known = remembered.get(authorization)
      if (known && known.host === host) return known.expiresMs > nowMs ? known.verdict : invalid
      const judged = judge(authorization, host, byId)
      if (judged === null) return invalid
      if (remembered.size >= maxRemembered) remembered.clear()
      remembered.set(authorization, judged)
      return judged.expiresMs > nowMs ? judged.verdict : invalid
    },
  }
}

function judge(authorization: string, host: string, byId: ReadonlyMap<string, KeyObject>): Remembered | null {
  if (authorization.length > maxValueLength || authorization.slice(0, 7).toLowerCase() !== 'bearer ')
    return null
  const parts = authorization.slice(7).trim().split('.')
  if (parts.length !== 4 || parts[0] !== prefix) return null
  const payload = Buffer.from(parts[2] as string, 'base64url')
  if (payload.length !== payloadBytes) return null
  const expiresMs = payload.readUInt32BE(0) * 1000
  const key = byId.get(parts[1] as string)
  if (!key) return { host, expiresMs, verdict: unknownKey }
  const expected = Buffer.from(mac(key, payload, host))
  const given = Buffer.from(parts[3] as string)
  if (expected.length !== given.length || !timingSafeEqual(expected, given)) return null
  return { host, expiresMs, verdict: { valid: true, nonce: new Uint8Array(payload.subarray(4)) } }
}

function mac(key: KeyObject, payload: Buffer, host: string): string {
  return createHmac('sha256', key).update(payload).update(host).digest('base64url')
}

/** Eight hex digits that name a key without telling anything of it. */
function keyId(hex: string): string {
  return createHash('sha256')
    .update('waybill token key id')
    .update(Buffer.from(hex, 'hex'))
    .digest('hex')
    .slice(0, 8)
}

/** Random bytes are drawn by the page: one call of the generator costs more than a whole local answer. */
function createNoncePool() {
  const pool = Buffer.allocUnsafe(4096)
  let used = pool.length
  return {
    fill(into: Buffer, at: number): void {
      if (used >= pool.length) {
        randomFillSync(pool)
        used = 0
      }
      pool.copy(into, at, used, used + 16)
      used += 16
    },
  }
}
