/**
 * What the front itself shows the upstream registries: tokens from the realm that a challenge names, kept for each
 * repository and renewed before they end, or the configured credentials where a registry wants just those.
 */
import { type Challenge, parseChallenge } from './challenge.ts'
import { createRealmClient, type RealmAnswer } from './realm.ts'

/** What came of a challenge. */
export type Obtained =
  /** `authorization` has something new to show. */
  | { kind: 'ready' }
  /** There is nothing to be had: the 401 stands. */
  | { kind: 'denied' }
  /** The token service asks to slow down; `retryAfter` in seconds. */
  | { kind: 'limited'; retryAfter: string }
  /** The token service could not be asked. */
  | { kind: 'failed' }

export type UpstreamAuth = {
  /** The header value to send for `repository`; '' when there is none. */
  authorization(repository: string, nowMs: number): string
  /** Whether requests for `repository` should wait for a token instead of being sent to a 401. */
  wants(repository: string, nowMs: number): boolean
  /**
   * Gets a token, once for all that ask at the same time. `refused`: the upstream's challenge (all lines of the
   * field) and what it refused.
   */
  obtain(repository: string, refused: { challenge: string; authorization: string } | null): Promise<Obtained>
  /** What was obtained anew has been refused as well: for a while nothing newer is asked for. */
  rejected(repository: string): void
  close(): Promise<void>
}

/** Why the front has nothing to show, for the operator; at most once a minute. */
export type AuthProblem = 'realm_refused' | 'credentials_refused' | 'realm_failed' | 'realm_limited'

type Token = { authorization: string; renewMs: number; expiresMs: number }

const maxTokens = 4096
// The specification's least lifetime, and its value where an answer names none.
const leastLifetimeSeconds = 60
// Used until just before it ends, but renewed in the last fifth of its life, while the old one still serves.
const renewAt = 0.8
const endAt = 0.98
// A realm that denies a repository is not asked again for it at once: every pull would ask.
const deniedForMs = 10_000
const failedForMs = 1000
const defaultRetryAfterSeconds = 5
const maxRetryAfterSeconds = 60
const problemEveryMs = 60_000

const ready: Obtained = { kind: 'ready' }
const denied: Obtained = { kind: 'denied' }
const failed: Obtained = { kind: 'failed' }

export function createUpstreamAuth(options: {
  origin: string
  /** PEM text of the authorities of the upstream's own host; null: those of the system. */
  ca: string | null
  credentials: { username: string; password: string } | null
  timeoutMs: number
  now(): number
  onProblem(problem: AuthProblem): void
}): UpstreamAuth {
  const { credentials, now } = options
  const realm = createRealmClient(options)
  const basic = credentials ? basicOf(credentials) : ''
  const tokens = new Map<string, Token>()
  const deniedUntil = new Map<string, number>()
  const pending = new Map<string, Promise<Obtained>>()
  let challenge: Challenge | null = null
  let failedUntilMs = 0
  let limitedUntilMs = 0
  let toldMs = Number.NEGATIVE_INFINITY

  const tell = (problem: AuthProblem): void => {
    if (now() - toldMs < problemEveryMs) return
    toldMs = now()
    options.onProblem(problem)
  }

  const deny = (repository: string): Obtained => {
    putBounded(deniedUntil, repository, now() + deniedForMs)
    return denied
  }

  const judge = (repository: string, answer: RealmAnswer): Obtained => {
    if (answer.kind === 'refused') {
      tell('realm_refused')
      return deny(repository)
    }
    if (answer.kind === 'answer') {
      const { status, body, retryAfter } = answer
      const token = status === 200 ? readToken(body, now()) : null
      if (token) {
        putBounded(tokens, repository, token)
        deniedUntil.delete(repository)
        return ready
      }
      if (status === 429) {
        const seconds = readSeconds(retryAfter)
        limitedUntilMs = now() + seconds * 1000
        tell('realm_limited')
        return { kind: 'limited', retryAfter: String(seconds) }
      }
      if (status >= 400 && status < 500) {
        // Without credentials it is an ordinary private repository, and nobody's business.
        if (basic !== '') tell('credentials_refused')
        return deny(repository)
      }
    }
    failedUntilMs = now() + failedForMs
    tell('realm_failed')
    return failed
  }

  const fetchToken = async (repository: string, { realm: url, service }: Challenge): Promise<Obtained> => {
    const scopes = [`repository:${repository}:pull`]
    const question = { realm: url, service, scopes, authorization: basic, account: '' }
    return judge(repository, await realm.ask(question))
  }

  const obtainToken = (repository: string, asked: Challenge): Promise<Obtained> => {
    const running = pending.get(repository)
    if (running !== undefined) return running
    const nowMs = now()
    if (limitedUntilMs > nowMs) {
      const retryAfter = String(Math.ceil((limitedUntilMs - nowMs) / 1000))
      return Promise.resolve({ kind: 'limited', retryAfter })
    }
    if (failedUntilMs > nowMs) return Promise.resolve(failed)
    const started = fetchToken(repository, asked).finally(() => pending.delete(repository))
    pending.set(repository, started)
    return started
  }

  return {
    authorization(repository, nowMs) {
      if (challenge?.scheme === 'basic') return basic
      const token = tokens.get(repository)
      return token && token.expiresMs > nowMs ? token.authorization : ''
    },
    wants(repository, nowMs) {
      if (challenge?.scheme !== 'bearer' || (deniedUntil.get(repository) ?? 0) > nowMs) return false
      const token = tokens.get(repository)
      if (!token || token.expiresMs <= nowMs) return true
      if (token.renewMs <= nowMs) void obtainToken(repository, challenge)
      return false
    },
    async obtain(repository, refused) {
      const given = refused ? parseChallenge(refused.challenge) : challenge
      if (!given) return denied
      challenge = given
      if (given.scheme === 'basic') {
        if (basic === '') return denied
        if (refused?.authorization !== basic) return ready
        tell('credentials_refused')
        return denied
      }
      if ((deniedUntil.get(repository) ?? 0) > now()) return denied
      const token = tokens.get(repository)
      if (refused && token) {
        // Somebody else has already got a new one in place of that which was refused.
        if (token.authorization !== refused.authorization && token.expiresMs > now()) return ready
        tokens.delete(repository)
      }
      return obtainToken(repository, given)
    },
    rejected(repository) {
      deny(repository)
    },
    close: realm.close,
  }
}

/** `user:password` (RFC 7617); UTF-8, as every registry reads it. */
function basicOf({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

/** What was put first goes first. */
function putBounded<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key)
  map.set(key, value)
  if (map.size <= maxTokens) return
  for (const oldest of map.keys()) {
    map.delete(oldest)
    break
  }
}

function readSeconds(retryAfter: string): number {
  const seconds = /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) : defaultRetryAfterSeconds
  return Math.min(Math.max(seconds, 1), maxRetryAfterSeconds)
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
    expiresMs: nowMs + seconds * 1000 * endAt,
  }
}
