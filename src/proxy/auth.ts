/**
 * Who may pass: the front's challenge and its token endpoint (auth modes `token` and `open`).
 */
import { localErrors } from './errors.ts'
import type { Exchange, Exchanges } from './exchange.ts'
import { headerBlock, send, sendError } from './respond.ts'
import { type Tokens, tokenLifetimeSeconds } from './tokens.ts'

const apiVersion = ['Docker-Distribution-Api-Version', 'registry/2.0'] as const

const emptyObject = Buffer.from('{}')
const pong = headerBlock([['Content-Type', 'application/json'], apiVersion])
// A token is one client's alone, and one pull's (RFC 6750 5.3).
const tokenHeaders = headerBlock([
  ['Content-Type', 'application/json'],
  ['Cache-Control', 'no-store'],
])

export function servePing(exchanges: Exchanges, exchange: Exchange): void {
  send(exchanges, exchange, 200, 'local', pong, emptyObject)
}

/**
 * 401 with the challenge: one header, no blank after commas, everything quoted, as the strictest of the
 * clients reads it. `error`: the token was there but does not hold (RFC 6750 3.1); without it some versions
 * of containerd repeat the same token.
 */
export function challenge(exchanges: Exchanges, exchange: Exchange, error: boolean): void {
  const { repository } = exchange.record
  const scope = repository === '' ? '' : `,scope="repository:${repository}:pull"`
  const reason = error ? ',error="invalid_token"' : ''
  const value = `Bearer realm="${exchange.publicUrl}/token",service="${exchange.host}"${scope}${reason}`
  const lines = `\r\nWWW-Authenticate: ${value}\r\n${apiVersion[0]}: ${apiVersion[1]}`
  sendError(exchanges, exchange, localErrors.unauthorized, 'local', '', lines)
}

/** `authorization` '' or empty Basic credentials, which some clients send without having any: anonymous. */
export function serveToken(
  exchanges: Exchanges,
  exchange: Exchange,
  tokens: Tokens,
  authorization: string,
): void {
  if (!isAnonymous(authorization)) {
    sendError(exchanges, exchange, localErrors.noCredentials, 'local')
    return
  }
  const token = tokens.sign(exchange.host, Date.now())
  const body = `{"token":"${token}","access_token":"${token}","expires_in":${tokenLifetimeSeconds}}`
  send(exchanges, exchange, 200, 'local', tokenHeaders, body)
}

function isAnonymous(authorization: string): boolean {
  if (authorization === '') return true
  const [scheme = '', credentials = ''] = authorization.split(' ')
  if (scheme.toLowerCase() !== 'basic') return false
  return Buffer.from(credentials, 'base64').toString('latin1').replace(':', '') === ''
}
