/**
 * Asks the token service that an upstream's challenge names
 * (https://distribution.github.io/distribution/spec/auth/token/), if it may be asked at all: a challenge is the
 * upstream's word, and must lead the front neither into a private network nor its credentials to another site.
 */
import { isIP } from 'node:net'
import { Agent, request } from 'undici'
import { isPublicHost, lookupPublic } from './public-host.ts'

export type RealmQuestion = {
  realm: string
  service: string
  scopes: readonly string[]
  /** Basic credentials; '' asks anonymously. */
  authorization: string
  /** Name that the client says it acts for; '' without one. */
  account: string
  signal?: AbortSignal
}

export type RealmAnswer =
  /** Any status; a redirect is one too, as none is followed. */
  | { kind: 'answer'; status: number; body: string; retryAfter: string }
  /** The realm may not be asked, or not with these credentials. */
  | { kind: 'refused' }
  | { kind: 'failed'; timedOut: boolean }

export type RealmClient = {
  ask(question: RealmQuestion): Promise<RealmAnswer>
  close(): Promise<void>
}

// Tokens of large registries have some kilobytes.
const maxBodyBytes = 64 * 1024

export function createRealmClient(options: {
  origin: string
  /** Authorities of the upstream's own host; null: those of the system. */
  ca: string | null
  timeoutMs: number
}): RealmClient {
  const { ca, timeoutMs } = options
  const origin = new URL(options.origin)
  const agentOptions = { allowH2: false, connections: 8 }
  const ownAgent = new Agent({ ...agentOptions, connect: { timeout: timeoutMs, ...(ca !== null && { ca }) } })
  const publicAgent = new Agent({ ...agentOptions, connect: { timeout: timeoutMs, lookup: lookupPublic } })

  const agentFor = (url: URL, withCredentials: boolean): Agent | null => {
    if (url.username !== '' || url.password !== '') return null
    const plain = url.protocol === 'http:' && origin.protocol === 'http:'
    if (url.protocol !== 'https:' && !plain) return null
    // The operator named this host; its token service may well have a port of its own.
    if (url.hostname === origin.hostname) return ownAgent
    if (withCredentials && !isSameSite(url.hostname, origin.hostname)) return null
    return isPublicHost(url.hostname) ? publicAgent : null
  }

  return {
    async ask(question) {
      const url = tokenUrl(question)
      const dispatcher = agentFor(url, question.authorization !== '')
      if (!dispatcher) return { kind: 'refused' }
      const deadline = AbortSignal.timeout(timeoutMs)
      try {
        const { statusCode, headers, body } = await request(url, {
          dispatcher,
          headers: {
            accept: 'application/json',
            'user-agent': 'waybill',
            ...(question.authorization !== '' && { authorization: question.authorization }),
          },
          signal: question.signal ? AbortSignal.any([question.signal, deadline]) : deadline,
        })
        const text = await readBounded(body)
        if (text === null) return { kind: 'failed', timedOut: false }
        const retryAfter = headers['retry-after']
        return {
          kind: 'answer',
          status: statusCode,
          body: text,
          retryAfter:
            typeof retryAfter === 'string' && /^[\x20-\x7e]{1,64}$/.test(retryAfter) ? retryAfter : '',
        }
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        return code === 'EPRIVATE' ? { kind: 'refused' } : { kind: 'failed', timedOut: deadline.aborted }
      }
    },
    async close() {
      await Promise.all([ownAgent.destroy(), publicAgent.destroy()])
    },
  }
}

function tokenUrl({ realm, service, scopes, account }: RealmQuestion): URL {
  const url = new URL(realm)
  if (service !== '') url.searchParams.set('service', service)
  // The scope of a challenge is never copied: some registries answer the ping with a placeholder.
  for (const scope of scopes) url.searchParams.append('scope', scope)
  if (account !== '') url.searchParams.set('account', account)
  return url
}

async function readBounded(body: AsyncIterable<Buffer>): Promise<string | null> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of body) {
    length += chunk.length
    if (length > maxBodyBytes) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

// Second levels below a country under which anybody may have a name (https://publicsuffix.org/, the usual ones).
const sharedLevels = new Set(['ac', 'co', 'com', 'edu', 'go', 'gov', 'gob', 'ne', 'net', 'or', 'org'])

/**
 * Whether credentials for one may go to the other: names under one registrable domain, as those of
 * registry-1.docker.io and auth.docker.io.
 */
export function isSameSite(a: string, b: string): boolean {
  return a === b || (isIP(a) === 0 && isIP(b) === 0 && siteOf(a) !== '' && siteOf(a) === siteOf(b))
}

function siteOf(hostname: string): string {
  const labels = hostname.replace(/\.$/, '').split('.')
  const shared = labels.at(-1)?.length === 2 && sharedLevels.has(labels.at(-2) ?? '')
  const count = shared ? 3 : 2
  return labels.length < count ? '' : labels.slice(-count).join('.')
}
