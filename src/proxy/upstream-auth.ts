/**
 * Tokens of the upstream registries: fetched from the realm that a challenge names, kept for each
 * repository, and renewed before they end (https://distribution.github.io/distribution/spec/auth/token/).
 */
import { Agent, request } from 'undici'
import { isPublicHost, lookupPublic } from './public-host.ts'

export type Challenge = { realm: string; service: string }

export type UpstreamAuth = {
  /** The header value to send for `repository`; '' when the upstream has not asked for one. */
  authorization(repository: string, nowMs: number): string
  /** Whether requests for `repository` should wait for a token instead of being sent to a 401. */
  wants(repository: string, nowMs: number): boolean
  /** Fetches a token, once for all that ask at the same time; false: there is none to be had. */
  obtain(repository: string, challenge: Challenge | null): Promise<boolean>
  close(): Promise<void>
}

type Token = { authorization: string; renewMs: number; expiresMs: number }

const maxTokens = 4096
// The specification's least lifetime, and its value where an answer names none.
const leastLifetimeSeconds = 60
const maxTokenBytes = 64 * 1024
// Used until it ends, but renewed in the last fifth of its life, while the old one still serves.
const renewAt = 0.8
// A realm that refuses a repository is not asked again for it at once: every pull would ask.
const refusedForMs = 10_000

export function createUpstreamAuth(options: {
  origin: string
  /** PEM text of the authorities of the upstream's own host; null: those of the system. */
  ca: string | null
  timeoutMs: number
  now(): number
}): UpstreamAuth {
  const { timeoutMs, now } = options
  const origin = new URL(options.origin)
  const tokens = new Map<string, Token>()
  const refused = new Map<string, number>()
  const pending = new Map<string, Promise<boolean>>()
  let challenge: Challenge | null = null
  const ownAgent = new Agent({
    allowH2: false,
    connections: 8,
    connect: { timeout: timeoutMs, ...(options.ca !== null && { ca: options.ca }) },
  })
  const publicAgent = new Agent({
    allowH2: false,
    connections: 8,
    connect: { timeout: timeoutMs, lookup: lookupPublic },
  })

  /** A challenge is the upstream's word, so its realm may name its own host or a public https one (SSRF). */
  const agentFor = (url: URL): Agent | null => {
    const encrypted = url.protocol === 'https:'
    if (url.hostname === origin.hostname && (encrypted || origin.protocol === 'http:')) return ownAgent
    return encrypted && isPublicHost(url.hostname) ? publicAgent : null
  }

  const fetchToken = async (repository: string, asked: Challenge): Promise<boolean> => {
    const url = tokenUrl(asked, repository)
    const dispatcher = agentFor(url)
    if (!dispatcher) return false
    const { statusCode, body } = await request(url, {
      dispatcher,
      headers: { accept: 'application/json', 'user-agent': 'waybill' },
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      signal: AbortSignal.timeout(timeoutMs * 2),
    })
    const text = await readBounded(body)
    if (statusCode !== 200 || text === null) return false
    const token = readToken(text, now())
    if (!token) return false
    if (tokens.size >= maxTokens) tokens.clear()
    tokens.set(repository, token)
    return true
  }

  const obtain = (repository: string, given: Challenge | null): Promise<boolean> => {
    if (given) challenge = given
    const running = pending.get(repository)
    if (running !== undefined) return running
    if (!challenge) return Promise.resolve(false)
    const started = fetchToken(repository, challenge)
      .catch(() => false)
      .then((fetched) => {
        pending.delete(repository)
        if (fetched) {
          refused.delete(repository)
        } else {
          if (refused.size >= maxTokens) refused.clear()
          refused.set(repository, now() + refusedForMs)
        }
        return fetched
      })
    pending.set(repository, started)
    return started
  }

  return {
    obtain,
    authorization(repository, nowMs) {
      const token = tokens.get(repository)
      return token && token.expiresMs > nowMs ? token.authorization : ''
    },
    wants(repository, nowMs) {
      if (challenge === null || (refused.get(repository) ?? 0) > nowMs) return false
      const token = tokens.get(repository)
      if (!token || token.expiresMs <= nowMs) return true
      if (token.renewMs <= nowMs) void obtain(repository, null)
      return false
    },
    async close() {
      await Promise.all([ownAgent.destroy(), publicAgent.destroy()])
    },
  }
}

function tokenUrl(challenge: Challenge, repository: string): URL {
  const url = new URL(challenge.realm)
  if (challenge.service !== '') url.searchParams.set('service', challenge.service)
  // The scope of the challenge is never copied: some registries answer the ping with a placeholder.
  url.searchParams.set('scope', `repository:${repository}:pull`)
  return url
}

async function readBounded(body: AsyncIterable<Buffer>): Promise<string | null> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of body) {
    length += chunk.length
    if (length > maxTokenBytes) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function readToken(text: string, nowMs: number): Token | null {
  let answer: unknown
  try {
    answer = JSON.parse(text)
  } catch {
    return null
  }
  if (typeof answer !== 'object' || answer === null) return null
  const { token, access_token, expires_in } = answer as Record<string, unknown>
  const value = typeof token === 'string' && token !== '' ? token : access_token
  // Visible ASCII only: it becomes a header value.
  if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) return null
  const seconds = typeof expires_in === 'number' && expires_in > 0 ? expires_in : leastLifetimeSeconds
  return {
    authorization: `Bearer ${value}`,
    renewMs: nowMs + seconds * 1000 * renewAt,
    expiresMs: nowMs + seconds * 1000,
  }
}

/** Reads a Bearer challenge (RFC 9110 11.6.1, RFC 6750 3); null for any other scheme. */
export function parseChallenge(header: string): Challenge | null {
  const bearer = /(?:^|,\s*)bearer\s+/i.exec(header)
  if (!bearer) return null
  const parameters = new Map<string, string>()
  const pattern = /([a-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)/gi
  pattern.lastIndex = bearer.index + bearer[0].length
  for (let found = pattern.exec(header); found; found = pattern.exec(header)) {
    const name = (found[1] as string).toLowerCase()
    if (!parameters.has(name)) parameters.set(name, found[2]?.replace(/\\(.)/g, '$1') ?? found[3] ?? '')
  }
  const realm = parameters.get('realm') ?? ''
  return URL.canParse(realm) ? { realm, service: parameters.get('service') ?? '' } : null
}
