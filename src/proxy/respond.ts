/**
 * Short answers that the front makes itself: errors, redirects, tokens, the ping.
 */
import type { Outcome } from '../record/record.ts'
import { type LocalError, statusLine } from './errors.ts'
import type { Exchange, Exchanges } from './exchange.ts'

/** One header line, or several: the first line's value goes on with `\r\nName: value` (see headerBlock). */
export type HeaderBlock = { name: Buffer; value: Buffer | string }

/**
 * Several lines as one, so that uWebSockets.js is crossed into once for all. It checks neither names nor values:
 * whoever puts a value in answers for it that no CR or LF is part of it.
 */
export function headerBlock(lines: readonly (readonly [name: string, value: string])[]): HeaderBlock {
  const [first, ...rest] = lines as [readonly [string, string], ...(readonly [string, string])[]]
  const value = first[1] + rest.map(([name, text]) => `\r\n${name}: ${text}`).join('')
  return { name: Buffer.from(first[0]), value: Buffer.from(value, 'latin1') }
}

const contentType = Buffer.from('Content-Type')
const contentLength = Buffer.from('Content-Length')

/** Sends a whole answer and leaves the record. A HEAD gets the length of `body` without it. */
export function send(
  exchanges: Exchanges,
  exchange: Exchange,
  status: number,
  outcome: Outcome,
  headers: HeaderBlock,
  body: Buffer | string,
  close = false,
): void {
  // In the handler's own turn uWebSockets.js has corked already; an exchange is held from then on.
  if (exchange.isHeld) {
    exchange.down.cork(() => write(exchanges, exchange, status, outcome, headers, body, close))
  } else {
    write(exchanges, exchange, status, outcome, headers, body, close)
  }
}

function write(
  exchanges: Exchanges,
  exchange: Exchange,
  status: number,
  outcome: Outcome,
  headers: HeaderBlock,
  body: Buffer | string,
  close: boolean,
): void {
  const { down } = exchange
  exchanges.begin(exchange, status, outcome)
  // 200 is what uWebSockets.js writes unasked.
  if (status !== 200) down.writeStatus(statusLine(status))
  down.writeHeader(headers.name, headers.value)
  const bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.length
  if (exchange.isHead) {
    // See answer.ts: the length of a HEAD is written by hand; but uWebSockets.js closes only what it has
    // counted to its end, so an answer that closes claims no body.
    if (close) down.endWithoutBody(0, true)
    else down.writeHeader(contentLength, String(bytes)).endWithoutBody()
    exchanges.complete(exchange, 0)
  } else {
    down.end(body, close)
    exchanges.complete(exchange, bytes)
  }
}

/**
 * `outcome`: 'reject' when the front judged the request, 'relay' when it asked the upstream in vain.
 * `retryAfter`: the upstream's own Retry-After, before ours. `more`: further lines, `\r\nName: value` each.
 */
export function sendError(
  exchanges: Exchanges,
  exchange: Exchange,
  error: LocalError,
  outcome: Outcome = 'reject',
  retryAfter = '',
  more = '',
  close = false,
): void {
  const wait = retryAfter === '' && error.retryAfter !== null ? String(error.retryAfter) : retryAfter
  const value = `application/json${more}${wait === '' ? '' : `\r\nRetry-After: ${wait}`}`
  send(exchanges, exchange, error.status, outcome, { name: contentType, value }, error.body, close)
}
