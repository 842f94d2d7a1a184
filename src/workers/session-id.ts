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

/** Each field after its length, so that no two lists of fields share an encoding. */
function hashOf(method: keyof typeof methodCodes, fields: readonly (Uint8Array | string)[]): string {
  const parts: Uint8Array[] = [Uint8Array.of(layoutVersion, methodCodes[method])]
  for (const field of fields) {
    const bytes = Buffer.from(field)
    const length = Buffer.alloc(4)
    length.writeUInt32LE(bytes.length)
    parts.push(length, bytes)
  }
  return hash('sha256', Buffer.concat(parts), 'hex').slice(0, idDigits)
}

/**
 * `token`: hash of nonce, domain and repository; `client`: of the client's id (address and family of the tool),
 * domain and repository. Both null where no session counts the request.
 */
export function sessionOf(
  record: WaybillRecord,
  domain: string | null,
  clientId: string,
): Pick<RequestEvent, 'session_id' | 'session_method'> {
  if (!isCounted(record)) return { session_id: null, session_method: null }
  const session_method = record.hasNonce ? 'token' : 'client'
  const key = record.hasNonce ? record.nonce : clientId
  return { session_id: hashOf(session_method, [key, domain ?? '', record.repository]), session_method }
}
