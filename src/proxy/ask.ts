/**
 * What an upstream is asked, and its fallback in its place.
 */
import type { Exchange } from './exchange.ts'
import type { HeaderList } from './headers.ts'

export type Ask = {
  /** Index into `Config.upstreams`. */
  readonly upstream: number
  /** Name there: what tokens are for. */
  readonly repository: string
  readonly method: 'GET' | 'HEAD'
  /** Origin-form target, already in the upstream's names. */
  readonly path: string
  readonly headers: HeaderList
  /** Another origin than the upstream's (a redirect followed inside): no token goes there; '': the upstream's. */
  readonly origin: string
  /** A client's own (passthrough), '' too, in place of the front's; null: the front's. For this upstream alone. */
  readonly authorization: string | null
  /** Asked instead when this one fails before any of its answer was handed on. */
  readonly fallback: FallbackAsk | null
  /** This is what a fallback is asked, after another failed. */
  readonly isFallback: boolean
  /** It counts against the upstream's rate limit, so it waits as long as a 429 said. */
  readonly isCounted: boolean
  /** Nobody waits for it: it takes no client's place, and is not asked while many places are taken. */
  readonly isSpare: boolean
}

export type FallbackAsk = Pick<Ask, 'upstream' | 'repository' | 'path'>

/** What a fallback is asked, in place of the first. */
export function askFallback(ask: Ask, fallback: FallbackAsk): Ask {
  return { ...ask, ...fallback, origin: '', fallback: null, isFallback: true }
}

/** What is asked for an exchange; `place`: what follows the repository's name in the path. */
export function askFor(
  exchange: Exchange,
  method: 'GET' | 'HEAD',
  place: string,
  headers: HeaderList,
  isCounted = false,
): Ask {
  const { upstream, upstreamRepository } = exchange.record
  const { authorization } = exchange
  // Once the fallback has answered a part of this exchange, it is asked for the rest of it.
  const isFallback = upstream === exchange.fallback?.upstream
  // A client's own credentials are for the first alone, and what another shows without them is another thing.
  const fallback = isFallback || authorization !== null ? null : exchange.fallback
  const rest = exchange.query === '' ? place : `${place}?${exchange.query}`
  return {
    upstream,
    repository: upstreamRepository,
    method,
    path: `/v2/${upstreamRepository}/${rest}`,
    headers,
    origin: '',
    authorization,
    fallback: fallback && {
      upstream: fallback.upstream,
      repository: fallback.upstreamRepository,
      path: `/v2/${fallback.upstreamRepository}/${rest}`,
    },
    isFallback,
    isCounted,
    isSpare: false,
  }
}

/** The record says who answered, and by which name. */
export function recordSource(exchange: Exchange, ask: Ask): void {
  if (!ask.isFallback) return
  exchange.record.upstream = ask.upstream
  exchange.record.upstreamRepository = ask.repository
}
