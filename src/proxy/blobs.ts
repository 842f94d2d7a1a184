/**
 * Blobs: the upstream's redirect is handed on, or followed inside; a HEAD is always answered here.
 */
import { type Ask, askFor } from './ask.ts'
import { localErrors } from './errors.ts'
import type { Exchange, Exchanges } from './exchange.ts'
import type { RedirectHosts } from './redirect-hosts.ts'
import { askThere, isNamed, type RedirectRules, redirects, redirectTarget } from './redirects.ts'
import { type Relay, type RelayOptions, type RelayPlan, startRelay } from './relay.ts'
import { send } from './respond.ts'
import type { Upstreams } from './upstream.ts'

export type BlobOptions = {
  exchanges: Exchanges
  upstreams: Upstreams
  relay: RelayOptions
  redirects: RedirectRules
  /** Host names, or `*.suffix`, that lead to this front. */
  ownHosts: readonly string[]
  seenHosts: RedirectHosts
}

export type Blobs = { serve(exchange: Exchange): void }

const locationName = Buffer.from('Location')

export function createBlobs(options: BlobOptions): Blobs {
  const { exchanges, upstreams } = options

  const plan: RelayPlan = {
    head(relay) {
      const { exchange, status, fields, ask, hops } = relay
      if (!redirects.has(status)) return checksBody(relay) ? 'check' : 'relay'
      const origin = options.redirects.origins[ask.upstream] as string
      const url = redirectTarget(fields.location, ask, hops, options.redirects)
      if (!url) {
        relay.refuse(localErrors.upstreamFailed, 'relay')
        return 'taken'
      }
      relay.takeOver()
      if (url.origin !== origin) options.seenHosts.see(ask.upstream, url.host)
      const handedOn = exchange.blobs === 'redirect' && !exchange.isHead && url.origin !== origin
      if (handedOn && !isFront(url, exchange, options.ownHosts)) handOn(exchanges, exchange, status, url)
      else follow(relay, url)
      return 'taken'
    },
  }

  const probePlan: RelayPlan = {
    head(relay) {
      if (redirects.has(relay.status)) return plan.head(relay)
      // A condition of the client's own, which stands before the range (RFC 9110 13.2.2).
      if (relay.status === 304 || relay.status === 412) return 'relay'
      answerProbe(exchanges, relay)
      return 'taken'
    },
  }

  const follow = (relay: Relay, url: URL): void => {
    const { ask, exchange } = relay
    const { isHead } = exchange
    const next: Ask = {
      ...askThere(ask, url, options.redirects),
      // A signed link may be good for GET only, so its first byte is asked for to learn the length.
      method: 'GET',
      headers: isHead ? [...withoutRange(ask.headers), 'range', 'bytes=0-0'] : ask.headers,
    }
    const nextPlan = exchange.isHead ? probePlan : plan
    startRelay(upstreams, options.relay, exchange, nextPlan, next, relay.hops + 1)
  }

  return {
    serve(exchange) {
      const place = `blobs/${exchange.record.reference}`
      const ask = askFor(exchange, exchange.isHead ? 'HEAD' : 'GET', place, exchange.upstreamHeaders)
      startRelay(upstreams, options.relay, exchange, plan, ask)
    },
  }
}

/** A GET of one byte answers a HEAD: its Content-Range says the length. */
function answerProbe(exchanges: Exchanges, relay: Relay): void {
  const { exchange, fields, status } = relay
  const ranged = status === 206 ? /\/(\d{1,15})$/.exec(fields.contentRange)?.[1] : undefined
  // An empty blob has no first byte (416): only then is its length 0.
  const empty = status === 416 && fields.contentRange === 'bytes */0' ? '0' : ''
  const size = ranged ?? (status === 200 ? fields.contentLength : empty)
  if (size === '') {
    relay.refuse(status === 404 ? localErrors.blobUnknown : localErrors.upstreamFailed, 'relay')
    return
  }
  relay.takeOver()
  exchange.record.size = Number(size)
  exchange.down.cork(() => {
    exchanges.begin(exchange, 200, 'relay')
    exchange.down
      .writeStatus('200 OK')
      .writeHeader('Content-Type', fields.contentType || 'application/octet-stream')
      .writeHeader('Docker-Content-Digest', exchange.record.reference)
      .writeHeader('Accept-Ranges', 'bytes')
      .writeHeader('Content-Length', size)
      .endWithoutBody()
    exchanges.complete(exchange, 0)
  })
}

function handOn(exchanges: Exchanges, exchange: Exchange, status: number, url: URL): void {
  exchange.record.redirectHost = url.host
  // 303 and 301 would let a client change or remember more than was meant; 307 says what is (RFC 9110 15.4.8).
  const kept = status === 302 || status === 307 ? status : 307
  // href is ASCII without control characters, whatever the upstream's Location was (WHATWG URL).
  send(exchanges, exchange, kept, 'redirect', { name: locationName, value: url.href }, '')
}

/** Go clients keep `Authorization` on a redirect to the same host or a sub-domain of it, and storage refuses that. */
function isFront(url: URL, exchange: Exchange, ownHosts: readonly string[]): boolean {
  const { hostname } = url
  const isBelow = (host: string): boolean => hostname === host || hostname.endsWith(`.${host}`)
  return isBelow(exchange.host) || ownHosts.some((host) => isNamed(hostname, host) || isBelow(host))
}

/**
 * What another registry says in place of the first is checked against the digest, and so is a body whose end only
 * the end of the connection tells, which may be that of a part. A range cannot be checked here.
 */
function checksBody({ ask, exchange, status, total }: Relay): boolean {
  return (ask.isFallback || total < 0) && status === 200 && !exchange.isHead
}

function withoutRange(headers: readonly string[]): string[] {
  const kept: string[] = []
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index] as string
    if (name !== 'range' && name !== 'if-range') kept.push(name, headers[index + 1] as string)
  }
  return kept
}
