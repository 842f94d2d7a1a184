/**
 * Manifests: a tag is always resolved upstream by HEAD (which no registry counts), a digest is served from
 * the cache, and a miss is fetched once for all that wait.
 */
import { createHash } from 'node:crypto'
import { Answer } from './answer.ts'
import { type Ask, askFor, recordSource } from './ask.ts'
import { localErrors } from './errors.ts'
import type { Exchange, Exchanges } from './exchange.ts'
import { createExpiringMap } from './expiring-map.ts'
import { matchesTag } from './if-none-match.ts'
import { createImageConfigs } from './image-configs.ts'
import { type CachedManifest, createManifestCache } from './manifest-cache.ts'
import {
  createManifestFetch,
  type Outcome,
  ownHeaders,
  type Resolved,
  type Waiter,
} from './manifest-fetch.ts'
import { isDigest } from './path.ts'
import { createPrivateManifests } from './private-manifests.ts'
import type { RedirectRules } from './redirects.ts'
import { errorOf, type RelayOptions, type RelayPlan, startRelay } from './relay.ts'
import { sendError } from './respond.ts'
import type { ManifestNotice, ProxyCounters } from './types.ts'
import { createUnknownNames } from './unknown-names.ts'
import type { Upstreams } from './upstream.ts'

export type Manifests = { serve(exchange: Exchange): void; close(): void }

export type ManifestOptions = {
  exchanges: Exchanges
  upstreams: Upstreams
  relay: RelayOptions
  counters: ProxyCounters
  redirects: RedirectRules
  manifestBytes: number
  cacheBytes: number
  announce(notice: ManifestNotice): void
}

// A registry may take a manifest back: what is served from the cache is asked after once a day.
const confirmEveryMs = 24 * 3600 * 1000
// The graph that sessions are judged by lives on what is still served; told again, it stays.
const announceEveryMs = 3600 * 1000

// What an image was yesterday is better than no image.
const staleForMs = 24 * 3600 * 1000
const maxRemembered = 4096
const staleLine = Buffer.from('\r\nWarning: 110 waybill "Response is Stale"')

const plainPlan: RelayPlan = { head: () => 'relay' }

export function createManifests(options: ManifestOptions): Manifests {
  const { exchanges, upstreams, counters } = options
  const cache = createManifestCache(options.cacheBytes)
  const fetch = createManifestFetch({
    upstreams,
    manifestBytes: options.manifestBytes,
    onRateLimit: (upstream, remaining) => counters.setRatelimitRemaining(upstream, remaining, Date.now()),
    onMismatch: (upstream) => counters.countUpstreamError(upstream, 'digest_mismatch'),
  })
  const unknown = createUnknownNames()
  /** By key of a tag: the digest that it last was. */
  const lastSeen = createExpiringMap<string>({ maxEntries: maxRemembered, lifetimeMs: staleForMs })
  const configs = createImageConfigs({ ...options, cache })
  const privatePlan = createPrivateManifests(options)

  const relayAsIs = (exchange: Exchange): void => {
    const plan = exchange.authorization === null ? plainPlan : privatePlan
    startRelay(upstreams, options.relay, exchange, plan, askAsIs(exchange))
  }

  const headShared = (exchange: Exchange, key: string, ask: Ask, waiter: Waiter<Resolved>): void =>
    fetch.head(key, ask, exchanges.keepPlace(exchange, waiter))

  const getShared = (
    exchange: Exchange,
    key: string,
    ask: Ask,
    digest: string,
    waiter: Waiter<CachedManifest>,
  ): void => fetch.get(key, ask, digest, exchanges.keepPlace(exchange, waiter))

  const refuseUnknown = (exchange: Exchange, key: string): boolean => {
    const error = unknown.refusal(key)
    if (error) sendError(exchanges, exchange, error, 'cache')
    return error !== undefined
  }

  const serveCached = (exchange: Exchange, entry: CachedManifest, isStale: boolean): void => {
    const nowMs = performance.now()
    if (exchange.isRecorded && nowMs - entry.announcedMs >= announceEveryMs) {
      entry.announcedMs = nowMs
      options.announce({ digest: entry.digest, mediaType: entry.mediaType, bytes: entry.bytes })
      configs.follow(exchange, entry)
    }
    const { record } = exchange
    record.digest = entry.digest
    record.size = entry.bytes.length
    const answer = new Answer(options.relay, exchange)
    exchange.sender = {
      sweep: (now) => answer.sweep(now),
      abandon: () => {
        record.bytesSent = answer.sent
      },
    }
    const block = blockFor(entry.block, isStale)
    if (matchesTag(exchange.ifNoneMatch, entry.digest, entry.etag)) {
      answer.head(304, 'cache', block, -1, null)
      return
    }
    answer.head(200, 'cache', block, entry.bytes.length, null)
    if (!exchange.isHead) answer.write(entry.bytes)
  }

  /** What came of a shared fetch, for one of those who waited. */
  const serveFetched = (
    exchange: Exchange,
    key: string,
    outcome: Outcome<CachedManifest>,
    isStale = false,
  ): void => {
    if (exchange.over) return
    if (outcome.kind !== 'failed') recordSource(exchange, outcome.ask)
    if (outcome.kind === 'ok') {
      unknown.forget(key)
      exchange.record.upstreamStatus = 200
      serveCached(exchange, outcome.value, isStale)
    } else if (outcome.kind === 'failed') {
      sendError(exchanges, exchange, errorOf(outcome.reason), 'relay')
    } else if (outcome.kind === 'too-large') {
      relayAsIs(exchange)
    } else {
      serveRefused(exchange, key, outcome.resolved)
    }
  }

  /** The upstream answered a request of the front's own with something other than the manifest. */
  const serveRefused = (exchange: Exchange, key: string, resolved: Resolved): void => {
    const { status, fields } = resolved
    exchange.record.upstreamStatus = status
    if (status === 401 || status === 403 || status === 404) {
      const error = status === 404 ? localErrors.manifestUnknown : localErrors.nameUnknown
      unknown.count(key, resolved, error)
      sendError(exchanges, exchange, error, status === 404 ? 'relay' : 'reject')
    } else if (status === 429) sendError(exchanges, exchange, localErrors.tooMany, 'relay', fields.retryAfter)
    // Rare, and with words of the upstream's own: they are fetched for this client alone.
    else relayAsIs(exchange)
  }

  const fetchDigest = (exchange: Exchange, key: string, digest: string, isStale: boolean): void => {
    getShared(exchange, key, askOwn(exchange, 'GET', digest, ''), digest, (outcome) => {
      if (outcome.kind === 'ok' && !cache.has(key)) cache.put(key, outcome.value)
      serveFetched(exchange, key, outcome, isStale)
    })
  }

  const serveDigest = (exchange: Exchange, digest: string, isStale = false): void => {
    const key = keyOf(exchange, digest)
    const entry = cache.get(key)
    if (entry && (isStale || performance.now() - entry.confirmedMs < confirmEveryMs)) {
      serveCached(exchange, entry, isStale)
    } else if (entry) {
      confirm(exchange, key, entry)
    } else if (refuseUnknown(exchange, key)) {
      return
    } else if (exchange.isHead) {
      headShared(exchange, key, askOwn(exchange, 'HEAD', digest, ''), (outcome) =>
        serveHead(exchange, key, outcome, isStale),
      )
    } else {
      fetchDigest(exchange, key, digest, isStale)
    }
  }

  const confirm = (exchange: Exchange, key: string, entry: CachedManifest): void => {
    headShared(exchange, key, askOwn(exchange, 'HEAD', entry.digest, ''), (outcome) => {
      const status = outcome.kind === 'ok' ? outcome.value.status : 0
      if (status === 200) entry.confirmedMs = performance.now()
      else if (status === 401 || status === 403 || status === 404) cache.delete(key)
      if (exchange.over) return
      // An upstream that cannot say keeps nobody from what was right yesterday.
      if (outcome.kind === 'ok' && status !== 200 && status < 429) serveRefused(exchange, key, outcome.value)
      else serveCached(exchange, entry, false)
    })
  }

  /** The answer to a HEAD, from the upstream's answer to the shared one. */
  const serveHead = (exchange: Exchange, key: string, outcome: Outcome<Resolved>, isStale = false): void => {
    if (exchange.over) return
    if (outcome.kind !== 'ok') {
      sendError(exchanges, exchange, errorOf(outcome.kind === 'failed' ? outcome.reason : 'other'), 'relay')
      return
    }
    recordSource(exchange, outcome.ask)
    const { status, fields, block } = outcome.value
    const { record } = exchange
    record.upstreamStatus = status
    if (status === 200) unknown.forget(key)
    if (status !== 200) {
      serveRefused(exchange, key, outcome.value)
    } else if (fields.digest === '' || fields.contentLength === '' || fields.contentType === '') {
      // docker fails without the length, ggcr without any of the three: the manifest itself tells them.
      fetchWhole(exchange, key)
    } else {
      record.digest = fields.digest
      record.size = Number(fields.contentLength)
      const unchanged = matchesTag(exchange.ifNoneMatch, fields.digest, fields.etag)
      const answer = new Answer(options.relay, exchange)
      answer.head(unchanged ? 304 : 200, 'relay', blockFor(block, isStale), record.size, null)
    }
  }

  const serveTag = (exchange: Exchange): void => {
    const { reference } = exchange.record
    const key = keyOfTag(exchange)
    if (refuseUnknown(exchange, key)) return
    headShared(exchange, key, askOwn(exchange, 'HEAD', reference, exchange.accept), (outcome) => {
      const digest = outcome.kind === 'ok' && outcome.value.status === 200 ? outcome.value.fields.digest : ''
      const last = exchange.fallback ? resolveStale(key, outcome, digest) : undefined
      if (exchange.over) return
      if (digest !== '') {
        unknown.forget(key)
        recordSource(exchange, outcome.ask)
      }
      if (last !== undefined) serveDigest(exchange, last, true)
      else if (exchange.isHead || outcome.kind !== 'ok') serveHead(exchange, key, outcome)
      else if (digest !== '') serveDigest(exchange, digest)
      else if (outcome.value.status === 200) fetchWhole(exchange, key)
      else serveRefused(exchange, key, outcome.value)
    })
  }

  /** Remembers what a tag is; when neither upstream can say, what it was when one last could. */
  const resolveStale = (key: string, outcome: Outcome<Resolved>, digest: string): string | undefined => {
    const nowMs = performance.now()
    const known = lastSeen.get(key, nowMs)
    // A fallback may lag: its word does not replace that of the first.
    if (digest !== '' && (!outcome.ask.isFallback || known === undefined)) lastSeen.set(key, digest, nowMs)
    const isUnresolved = outcome.kind === 'failed' || (outcome.kind === 'ok' && outcome.value.status === 429)
    return isUnresolved ? known : undefined
  }

  /** An upstream that does not say the digest, or the length: the body is fetched, and tells both. */
  const fetchWhole = (exchange: Exchange, key: string): void => {
    const { reference } = exchange.record
    const digest = isDigest(reference) ? reference : ''
    getShared(exchange, key, askOwn(exchange, 'GET', reference, exchange.accept), digest, (outcome) => {
      if (outcome.kind === 'ok') {
        const ownKey = keyOf(exchange, outcome.value.digest)
        if (!cache.has(ownKey)) cache.put(ownKey, outcome.value)
      }
      serveFetched(exchange, key, outcome)
    })
  }

  return {
    serve(exchange) {
      const { reference } = exchange.record
      if (exchange.authorization !== null) relayAsIs(exchange)
      else if (!isDigest(reference)) serveTag(exchange)
      else if (/^sha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128})$/.test(reference)) serveDigest(exchange, reference)
      else relayAsIs(exchange)
    },
    close: configs.close,
  }
}

function keyOf(exchange: Exchange, reference: string): string {
  return `${exchange.scope} ${reference}`
}

/** In the front's own name, for all who wait: nothing of one client's query may decide what the others get. */
function askOwn(exchange: Exchange, method: 'GET' | 'HEAD', reference: string, accept: string): Ask {
  const shared = exchange.query === '' ? exchange : { ...exchange, query: '' }
  return askFor(shared, method, `manifests/${reference}`, ownHeaders(accept), method === 'GET')
}

// Clients send up to 800 bytes; thousands of keys are remembered, and a head may have 64 KiB.
const maxAcceptInKey = 1024

function keyOfTag(exchange: Exchange): string {
  const { accept } = exchange
  const types = accept.length <= maxAcceptInKey ? accept : createHash('sha256').update(accept).digest('hex')
  return `${keyOf(exchange, exchange.record.reference)} ${types}`
}

/** In this client's words, and for it alone. */
function askAsIs(exchange: Exchange): Ask {
  const method = exchange.isHead ? 'HEAD' : 'GET'
  const place = `manifests/${exchange.record.reference}`
  const isCounted = exchange.authorization === null && !exchange.isHead
  return askFor(exchange, method, place, exchange.upstreamHeaders, isCounted)
}

function blockFor(block: Buffer, isStale: boolean): Buffer {
  return isStale ? Buffer.concat([block, staleLine]) : block
}
