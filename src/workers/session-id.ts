/** Names the session of a request without asking anyone: the same on every worker and every node. */
import { hash } from 'node:crypto'
import type { RequestEvent } from '../record/events.ts'
import type { RequestClass, WaybillRecord } from '../record/record.ts'

const layoutVersion = 1
const methodCodes = { token: 1, client: 2 } as const

/** 128 bits of SHA-256. */
const idDigits = 32

const sessionClasses: ReadonlySet<RequestClass> = new Set(['manifest', 'blob', 'tags', 'referrers'])

/** A challenge or a refusal by this front is no part of any pull; a 4xx or 5xx of the upstream is. */
function isCounted({ class: requestClass, method, outcome, status, repository }: WaybillRecord): boolean {
  return (
    sessionClasses.has(requestClass) &&
    (method === 'GET' || method === 'HEAD') &&
    repository !== '' &&
    outcome !== 'reject' &&
    status !== 401
  )
}

/** Three fields of at most 255 characters, which are Latin-1 or shorter than that in bytes. */
const scratch = Buffer.alloc(4096)

/** Each field after its length, so that no two lists of fields share an encoding. */
function hashOf(method: keyof typeof methodCodes, key: Uint8Array | string, ...texts: string[]): string {
  scratch[0] = layoutVersion
  scratch[1] = methodCodes[method]
  let at = 2
  if (typeof key === 'string') at = putText(key, at)
  else {
    scratch.set(key, at + 4)
    scratch.writeUInt32LE(key.length, at)
    at += 4 + key.length
  }
  for (const text of texts) at = putText(text, at)
  const digest = hash('sha256', scratch.subarray(0, at), 'hex')
  // A nonce is a secret of its session.
  scratch.fill(0, 0, at)
  return digest.slice(0, idDigits)
}

function putText(text: string, at: number): number {
  if (at + 4 + 3 * text.length > scratch.length) throw new RangeError('a field of a session is too long')
  const length = scratch.write(text, at + 4)
  scratch.writeUInt32LE(length, at)
  return at + 4 + length
}

/**
 * Tools that take a token for each step of one operation: `docker manifest inspect` for each look at the tag, cosign
 * and diun for each call of their libraries. So do caches: distribution asks for one with each blob.
 */
const tokenPerStep: ReadonlySet<string | null> = new Set(['docker-cli', 'cosign', 'diun'])

/**
 * `token`: hash of nonce, domain and repository; `client`: of the client's id (address and family of the tool),
 * domain and repository, also of those whose nonce says less than that. Both null where no session counts the request.
 */
export function sessionOf(
  record: WaybillRecord,
  domain: string | null,
  { id, tool, via }: Pick<RequestEvent['client'], 'id' | 'tool' | 'via'>,
): Pick<RequestEvent, 'session_id' | 'session_method'> {
  if (!isCounted(record)) return { session_id: null, session_method: null }
  const isPull = record.hasNonce && via === null && !tokenPerStep.has(tool)
  const session_method = isPull ? 'token' : 'client'
  const key = isPull ? record.nonce : id
  return { session_id: hashOf(session_method, key, domain ?? '', record.repository), session_method }
}
