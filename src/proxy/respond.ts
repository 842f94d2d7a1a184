/**
 * Short answers that the front makes itself: errors, redirects, tokens, the ping.
 */
import type { Outcome } from '../record/record.ts'
import { type LocalError, statusLine } from './errors.ts'
import type { Exchange, Exchanges } from './exchange.ts'

export type HeaderLines = readonly (readonly [name: string, value: string])[]

/** Sends a whole answer and leaves the record. A HEAD gets the length of `body` without it. */
export function send(
  exchanges: Exchanges,
  exchange: Exchange,
  status: number,
  outcome: Outcome,
  headers: HeaderLines,
  body: Buffer | string,
  close = false,
): void {
  exchange.down.cork(() => {
    const { down } = exchange
    exchanges.begin(exchange, status, outcome)
    down.writeStatus(statusLine(status))
    for (const [name, value] of headers) down.writeHeader(name, value)
    const bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.length
    if (exchange.isHead) {
      // See answer.ts: the length of a HEAD is written by hand; but uWebSockets.js closes only what it has
      // counted to its end, so an answer that closes claims no body.
      if (close) down.endWithoutBody(0, true)
      else down.writeHeader('Content-Length', String(bytes)).endWithoutBody()
      exchanges.complete(exchange, 0)
    } else {
      down.end(body, close)
      exchanges.complete(exchange, bytes)
    }
  })
}

/**
 * `outcome`: 'reject' when the front judged the request, 'relay' when it asked the upstream in vain.
 * `retryAfter`: the upstream's own Retry-After, before ours.
 */
export function sendError(
  exchanges: Exchanges,
  exchange: Exchange,
  error: LocalError,
  outcome: Outcome = 'reject',
  retryAfter = '',
  headers: HeaderLines = [],
  close = false,
): void {
  const lines = [['Content-Type', 'application/json'], ...headers] as [string, string][]
  const wait = retryAfter === '' && error.retryAfter !== null ? String(error.retryAfter) : retryAfter
  if (wait !== '') lines.push(['Retry-After', wait])
  send(exchanges, exchange, error.status, outcome, lines, error.body, close)
}
