/** Names the session of a request without asking anyone: the same on every worker and every node. */
import { hash } from 'node:crypto'
import type { RequestEvent } from '../record/events.ts'
import type { RequestClass, WaybillRecord } from '../record/record.ts'
import { createKeyTable } from './key-table.ts'

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

type SessionClient = Pick<RequestEvent['client'], 'id' | 'tool' | 'via'>

const noSession: Readonly<Pick<RequestEvent, 'session_id' | 'session_method'>> = Object.freeze({
  session_id: null,
  session_method: null,
})

function isOfToken({ hasNonce }: WaybillRecord, { tool, via }: SessionClient): boolean {
  return hasNonce && via === null && !tokenPerStep.has(tool)
}

/**
 * `token`: hash of nonce, domain and repository; `client`: of the client's id (address and family of the tool),
 * domain and repository, also of those whose nonce says less than that. Both null where no session counts the request.
 */
export function sessionOf(
  record: WaybillRecord,
  domain: string | null,
  client: SessionClient,
): Pick<RequestEvent, 'session_id' | 'session_method'> {
  if (!isCounted(record)) return noSession
  const isPull = isOfToken(record, client)
  const session_method = isPull ? 'token' : 'client'
  const key = isPull ? record.nonce : client.id
  return { session_id: hashOf(session_method, key, domain ?? '', record.repository), session_method }
}

type Named = {
  domain: string | null
  repository: string
  names: Pick<RequestEvent, 'session_id' | 'session_method'>
}

/** `sessionOf` for a batch, whose records are of few sessions: one hash for each, until all is forgotten. */
export function createSessionFinder(maxSessions: number): { find: typeof sessionOf; clear(): void } {
  // Of the last repository and domain under each nonce or client; nearly all have one.
  const byNonce = createKeyTable<Named>(maxSessions, createNamed)
  let byClient = new Map<string, Named>()

  function namedOf(record: WaybillRecord, client: SessionClient): Named {
    if (isOfToken(record, client)) return byNonce.find(record.nonce, record.repository)
    let named = byClient.get(client.id)
    if (named === undefined) {
      named = createNamed()
      byClient.set(client.id, named)
    }
    return named
  }

  return {
    find(record, domain, client) {
      if (!isCounted(record)) return noSession
      const named = namedOf(record, client)
      if (named.names === noSession || named.repository !== record.repository || named.domain !== domain) {
        named.names = sessionOf(record, domain, client)
        named.repository = record.repository
        named.domain = domain
      }
      return named.names
    },
    clear() {
      byNonce.clear()
      // Not cleared, which would keep what it held until a major collection (event-line.ts).
      byClient = new Map()
    },
  }
}

const createNamed = (): Named => ({ domain: null, repository: '', names: noSession })
