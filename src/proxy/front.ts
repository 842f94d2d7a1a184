/**
 * The decisions on a request, in the order of docs/request-handling: refuse, answer here, or ask the upstream.
 */
import type { Config, Domain } from '../config/types.ts'
import { methods } from '../record/record.ts'
import type { Admission } from './admission.ts'
import { askFor } from './ask.ts'
import { challenge, servePing, serveToken } from './auth.ts'
import type { Blobs } from './blobs.ts'
import type { Block } from './block.ts'
import {
  type Address,
  canonicalAddress,
  clientAddress,
  isPrivateAddress,
  type TrustedProxies,
} from './client-address.ts'
import { localErrors } from './errors.ts'
import { type Downstream, type Exchange, type Exchanges, newRecord } from './exchange.ts'
import { listPlan } from './lists.ts'
import type { Manifests } from './manifests.ts'
import type { Passthrough } from './passthrough.ts'
import { isDigest, localPaths, parsePath, type Target } from './path.ts'
import { type PrivacyPage, wantsJson } from './privacy-page.ts'
import { type RelayOptions, startRelay } from './relay.ts'
import { type RequestHead, readRequest, upstreamQuery } from './request.ts'
import { headerBlock, send, sendError } from './respond.ts'
import type { Resolved, RouteTable } from './route.ts'
import type { Head } from './server.ts'
import type { Tokens } from './tokens.ts'
import type { ProxyCounters } from './types.ts'
import type { Upstreams } from './upstream.ts'

export type FrontOptions = {
  config: Pick<Config, 'domains'>
  routes: RouteTable
  proxies: TrustedProxies
  /** Of requests that ask the upstream. */
  admission: Admission
  /** It changes with the routes. */
  privacy(): PrivacyPage
  /** Who is refused; null: nobody. Asked for each request, as databases change. */
  block(): Block | null
  /** Clients that get blobs streamed whatever the route says. */
  streamRanges: TrustedProxies
  tokens: Tokens
  passthrough: Passthrough
  exchanges: Exchanges
  upstreams: Upstreams
  manifests: Manifests
  blobs: Blobs
  relay: RelayOptions
  counters: ProxyCounters
  /** A private peer that is no trusted proxy sent forwarding headers; called for each. */
  warnForwarded(): void
  /** Whether the process is about to stop: balancers shall go elsewhere. */
  isStopping(): boolean
}

const plainText = headerBlock([['Content-Type', 'text/plain']])

/** null: answered already. */
export type Front = { request(down: Downstream, head: Head): Exchange | null }

export function createFront(options: FrontOptions): Front {
  const { exchanges, routes, proxies, counters } = options

  const decide = (exchange: Exchange, head: Head, request: RequestHead, route: Resolved | null): void => {
    const { record } = exchange
    const domain = options.config.domains[record.domain] as Domain | undefined
    // 1. A body, or a head that two readers could read in two ways.
    if (request.hasBody || request.malformed) return refuseLate(exchange, head, request)
    // 2. The front is read-only, and meets no expectations.
    if (!isRead(head.method)) return sendReadOnly(exchange, false)
    if (request.expectsMore) return sendError(exchanges, exchange, localErrors.expectation)
    // 3. A request that this front has sent itself.
    if (request.looped) return sendError(exchanges, exchange, localErrors.loop)
    // 4. For balancers.
    if (head.path === localPaths.readyz) return serveReadiness(exchange)
    // 5. What is kept: for everybody, whoever is refused the rest.
    if (head.path === localPaths.privacy) return servePrivacy(exchange)
    // 6. A client that is blocked.
    const blocked = options.block()?.(record.address) ?? null
    if (blocked !== null) {
      counters.countRefusal(`blocked_${blocked}`)
      return sendError(exchanges, exchange, localErrors.blocked)
    }
    // 7. A host, or a path, that is nobody's.
    if (!domain) return sendError(exchanges, exchange, localErrors.nameUnknown)
    if (record.class === 'other') return sendError(exchanges, exchange, unknownPath(head.path))
    // 8. The token endpoint.
    if (record.class === 'token') {
      if (domain.auth === 'passthrough')
        return options.passthrough.serveToken(exchange, request.authorization)
      return serveToken(exchanges, exchange, options.tokens, request.authorization)
    }
    // 9. Everything else wants the front's token, in token mode.
    if (domain.auth === 'token') {
      const verdict = options.tokens.verify(request.authorization, exchange.host, record.startMs)
      if (!verdict.valid)
        return challenge(exchanges, exchange, request.authorization === '' ? '' : 'invalid_token')
      if (verdict.nonce) {
        record.nonce = verdict.nonce
        record.hasNonce = true
      }
    }
    if (record.class === 'ping') {
      return domain.auth === 'passthrough'
        ? options.passthrough.servePing(exchange)
        : servePing(exchanges, exchange)
    }
    // 10. A repository that no route serves.
    if (!route) return sendError(exchanges, exchange, localErrors.nameUnknown)
    // 11. A client that has as many requests under way as one may have.
    exchange.ticket = options.admission.tryEnter(record.address)
    if (exchange.ticket < 0) {
      counters.countRefusal('client_requests')
      return sendError(exchanges, exchange, localErrors.tooManyOfClient)
    }
    // 12. The upstream knows.
    record.upstream = route.upstream
    record.upstreamRepository = route.upstreamRepository
    if (record.class === 'manifest') options.manifests.serve(exchange)
    else if (record.class === 'blob') options.blobs.serve(exchange)
    else relayList(exchange)
  }

  /**
   * Refused in a later turn and with the connection closed: an answer in the same turn would let
   * uWebSockets.js go on to what follows in the same packet, which may be the body, read as a request.
   */
  const refuseLate = (exchange: Exchange, head: Head, request: RequestHead): void => {
    const error = request.hasBody ? localErrors.hasBody : localErrors.badRequest
    setImmediate(() => {
      if (exchange.over) return
      if (head.path === localPaths.token && head.method === 'POST') return sendReadOnly(exchange, true)
      sendError(exchanges, exchange, error, 'reject', '', '', true)
    })
  }

  const sendReadOnly = (exchange: Exchange, close: boolean): void => {
    sendError(exchanges, exchange, localErrors.readOnly, 'reject', '', '\r\nAllow: GET, HEAD', close)
  }

  const serveReadiness = (exchange: Exchange): void => {
    if (options.isStopping()) sendError(exchanges, exchange, localErrors.stopping)
    else send(exchanges, exchange, 200, 'local', plainText, 'ok\n')
  }

  const servePrivacy = (exchange: Exchange): void => {
    const { headers, body } = wantsJson(exchange.accept) ? options.privacy().json : options.privacy().html
    send(exchanges, exchange, 200, 'local', headers, body)
  }

  /** Whether the request leaves a record: it reached a route, and neither the client nor the name is left out. */
  const isToBeRecorded = (
    domain: Domain | undefined,
    record: Exchange['record'],
    route: Resolved | null,
    wish: RequestHead['wish'],
  ): boolean => {
    if (domain?.recording === false) {
      counters.countUnrecorded('recording_off')
      return false
    }
    if (domain === undefined || record.class === 'other') return false
    if (record.repository !== '' && route === null) return false
    if (wish !== null) counters.countUnrecorded(wish)
    return wish === null
  }

  const relayList = (exchange: Exchange): void => {
    const { record } = exchange
    const list = record.class === 'tags' ? 'tags/list' : `referrers/${record.reference}`
    const ask = askFor(exchange, exchange.isHead ? 'HEAD' : 'GET', list, exchange.upstreamHeaders)
    startRelay(options.upstreams, options.relay, exchange, listPlan, ask)
  }

  /** Who may reach one host only gets blobs from it. */
  const blobsFor = (route: Resolved, client: Address): 'redirect' | 'stream' =>
    route.blobs === 'redirect' && options.streamRanges.trusts(client) ? 'stream' : route.blobs

  return {
    request(down, head) {
      const startedMs = performance.now()
      const request = readRequest(head)
      const peer = head.passenger ?? canonicalAddress(head.peer)
      const target = parsePath(head.path)
      const address = findClient(peer, request, options)
      const domainIndex = request.host === '' ? -1 : routes.findDomain(request.host)
      const route = target.repository === '' ? null : routes.findRoute(domainIndex, target.repository)
      const domain = options.config.domains[domainIndex]
      const record = newRecord(target.class, address)
      record.method = methods.find((method) => method === head.method) ?? 'OTHER'
      record.domain = domainIndex
      record.host = request.host
      record.userAgent = request.userAgent
      record.range = request.range
      nameTarget(record, target)
      const exchange: Exchange = {
        down,
        record,
        host: request.host,
        publicUrl: domain?.publicUrl ?? `${schemeOf(head, request, peer, proxies)}://${request.authority}`,
        isHead: head.method === 'HEAD',
        query: upstreamQuery(head.query),
        upstreamHeaders: request.upstreamHeaders,
        accept: request.accept,
        ifNoneMatch: request.ifNoneMatch,
        blobs: route && record.class === 'blob' ? blobsFor(route, address) : 'redirect',
        fallback: route?.fallback ?? null,
        scope: route?.scope ?? '',
        authorization: domain?.auth === 'passthrough' ? request.authorization : null,
        isRecorded: isToBeRecorded(domain, record, route, request.wish),
        startedMs,
        sender: null,
        ticket: -1,
        shared: 0,
        over: false,
        isHeld: false,
        nextHeartbeatMs: 0,
      }
      decide(exchange, head, request, route)
      if (exchange.over) return null
      exchanges.hold(exchange)
      return exchange
    },
  }
}

function isRead(method: string): boolean {
  return method === 'GET' || method === 'HEAD'
}

function unknownPath(path: string) {
  return path.startsWith('/v2/') ? localErrors.nameUnknown : localErrors.notFound
}

function nameTarget(record: Exchange['record'], target: Target): void {
  record.repository = target.repository
  record.reference = target.reference
  if (isDigest(target.reference)) record.digest = target.reference
}

function findClient(peer: Address, request: RequestHead, options: FrontOptions): Address {
  const { proxies } = options
  if (request.forwardedFor === '') return peer
  // A balancer that nobody declared: every client behind it looks like one.
  if (isPrivateAddress(peer) && !proxies.trusts(peer)) {
    options.counters.countUntrustedForwarded()
    options.warnForwarded()
  }
  return clientAddress(peer, request.forwardedFor, proxies)
}

function schemeOf(head: Head, request: RequestHead, peer: Address, proxies: TrustedProxies): string {
  if (request.forwardedProto !== '' && proxies.trusts(peer)) {
    // The last is the one that the nearest proxy wrote.
    const nearest = request.forwardedProto.slice(request.forwardedProto.lastIndexOf(',') + 1).trim()
    if (nearest === 'https' || nearest === 'http') return nearest
  }
  return head.tls ? 'https' : 'http'
}
