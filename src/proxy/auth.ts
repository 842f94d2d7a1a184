/**
 * Who may pass: the front's challenges, and its own token endpoint (auth modes `token` and `open`).
 */
import { parseChallenge } from './challenge.ts'
import { type LocalError, localErrors } from './errors.ts'
import type { Exchange, Exchanges } from './exchange.ts'
import { headerBlock, send, sendError } from './respond.ts'
import { type Tokens, tokenLifetimeSeconds } from './tokens.ts'

const apiVersion = ['Docker-Distribution-Api-Version', 'registry/2.0'] as const

const emptyObject = Buffer.from('{}')
const pong = headerBlock([['Content-Type', 'application/json'], apiVersion])
// A token is one client's alone, and one pull's (RFC 6750 5.3).
export const tokenHeaders = headerBlock([
  ['Content-Type', 'application/json'],
  ['Cache-Control', 'no-store'],
])

export function servePing(exchanges: Exchanges, exchange: Exchange): void {
  send(exchanges, exchange, 200, 'local', pong, emptyObject)
}

/**
 * 401 with the challenge: one header, no blank after commas, everything quoted, as the strictest of the
 * clients reads it. `error`: why what was shown does not do (RFC 6750 3.1), '' when nothing was; without it some
 * versions of containerd repeat the same token.
 */
export function challenge(exchanges: Exchanges, exchange: Exchange, error: string): void {
  const { repository } = exchange.record
  const scope = repository === '' ? '' : `,scope="repository:${repository}:pull"`
  const reason = error === '' ? '' : `,error="${error}"`
  const value = `Bearer realm="${exchange.publicUrl}/token",service="${exchange.host}"${scope}${reason}`
  sendChallenge(exchanges, exchange, localErrors.unauthorized, value)
}

/** For a registry that takes credentials with each request, and for a token endpoint that did not like them. */
export function sendBasicChallenge(
  exchanges: Exchanges,
  exchange: Exchange,
  error: string,
  body: LocalError = localErrors.unauthorized,
): void {
  const reason = error === '' ? '' : `,error="${error}"`
  sendChallenge(exchanges, exchange, body, `Basic realm="${exchange.host}"${reason}`)
}

function sendChallenge(exchanges: Exchanges, exchange: Exchange, body: LocalError, value: string): void {
  const lines = `\r\nWWW-Authenticate: ${value}\r\n${apiVersion[0]}: ${apiVersion[1]}`
  sendError(exchanges, exchange, body, 'local', '', lines)
}

/**
 * Passthrough: the upstream's 401 in the front's own words and public names, its 403 as that. `header`: the
 * upstream's challenge, which is read for its scheme and error alone.
 */
export function refuseAccess(
  exchanges: Exchanges,
  exchange: Exchange,
  status: 401 | 403,
  header: string,
): void {
  if (status === 403) return sendError(exchanges, exchange, localErrors.denied, 'relay')
  const asked = parseChallenge(header)
  if (asked?.scheme === 'basic') sendBasicChallenge(exchanges, exchange, asked.error)
  else challenge(exchanges, exchange, asked?.error ?? '')
}

export function serveToken(
  exchanges: Exchanges,
  exchange: Exchange,
  tokens: Tokens,
  authorization: string,
): void {
  if (!isAnonymous(authorization)) {
    // RFC 9110 15.5.2: a 401 says what would do.
    sendBasicChallenge(exchanges, exchange, '', localErrors.noCredentials)
    return
  }
  const token = tokens.sign(exchange.host, Date.now())
  const body = `{"token":"${token}","access_token":"${token}","expires_in":${tokenLifetimeSeconds}}`
  send(exchanges, exchange, 200, 'local', tokenHeaders, body)
}

/** No credentials, or empty ones (`Basic Og==`), which some clients send without having any. */
export function isAnonymous(authorization: string): boolean {
  if (authorization === '') return true
  const [, credentials] = /^basic(?:$|\s+(.*))/i.exec(authorization) ?? [null, null]
  if (credentials === null) return false
  return (
    Buffer.from(credentials ?? '', 'base64')
      .toString('latin1')
      .replace(':', '') === ''
  )
}
