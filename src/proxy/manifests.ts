/**
 * Manifests: a tag is always resolved upstream by HEAD (which no registry counts), a digest is served from
 * the cache, and a miss is fetched once for all that wait.
 */
import { Answer } from './answer.ts'
import { localErrors } from './errors.ts'
import type { Exchange, Exchanges } from './exchange.ts'
import { type CachedManifest, createManifestCache } from './manifest-cache.ts'
import { createManifestFetch, type Outcome, ownHeaders, type Resolved } from './manifest-fetch.ts'
import { isDigest } from './path.ts'
import { errorOf, type RelayOptions, type RelayPlan, startRelay } from './relay.ts'
import { sendError } from './respond.ts'
import type { ManifestNotice, ProxyCounters } from './types.ts'
import type { Ask, Upstreams } from './upstream.ts'

export type Manifests = { serve(exchange: Exchange): void }

export type ManifestOptions = {
  exchanges: Exchanges
  upstreams: Upstreams
  relay: RelayOptions
  counters: ProxyCounters
  manifestBytes: number
  cacheBytes: number
  announce(notice: ManifestNotice): void
}

// A registry may take a manifest back: what is served from the cache is asked after once a day.
const confirmEveryMs = 24 * 3600 * 1000
// The graph that sessions are judged by lives on what is still served; told again, it stays.
const announceEveryMs = 3600 * 1000

const plainPlan: RelayPlan = { head: () => 'relay' }

export function createManifests(options: ManifestOptions): Manifests {
  const { exchanges, upstreams, counters } = options
  const cache = createManifestCache(options.cacheBytes)
  const fetch = createManifestFetch({
    upstreams,
    manifestBytes: options.manifestBytes,
    onRateLimit: (upstream, remaining) => counters.setRatelimitRemaining(upstream, remaining, Date.now()),
  })

  const relayAsIs = (exchange: Exchange): void => {
    startRelay(upstreams, options.relay, exchange, plainPlan, askFor(exchange, exchange.upstreamHeaders))
  }

  const serveCached = (exchange: Exchange, entry: CachedManifest): void => {
    const nowMs = performance.now()
    if (exchange.isRecorded && nowMs - entry.announcedMs >= announceEveryMs) {
      entry.announcedMs = nowMs
      options.announce({ digest: entry.digest, mediaType: entry.mediaType, bytes: entry.bytes })
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
    if (matches(exchange.ifNoneMatch, entry.digest)) {
      answer.head(304, 'cache', entry.block, -1, null)
      return
    }
    answer.head(200, 'cache', entry.block, entry.bytes.length, null)
    if (!exchange.isHead) answer.write(entry.bytes)
  }

  /** What came of a shared fetch, for one of those who waited. */
  const serveFetched = (exchange: Exchange, outcome: Outcome<CachedManifest>): void => {
    if (exchange.over) return
    if (outcome.kind === 'ok') {
      exchange.record.upstreamStatus = 200
      serveCached(exchange, outcome.value)
    } else if (outcome.kind === 'failed') {
      sendError(exchanges, exchange, errorOf(outcome.reason), 'relay')
    } else if (outcome.kind === 'too-large') {
      relayAsIs(exchange)
    } else {
      serveRefused(exchange, outcome.resolved)
    }
  }

  /** The upstream answered a request of the front's own with something other than the manifest. */
  const serveRefused = (exchange: Exchange, resolved: Resolved): void => {
    const { status, fields } = resolved
    exchange.record.upstreamStatus = status
    if (status === 401 || status === 403) sendError(exchanges, exchange, localErrors.nameUnknown)
    else if (status === 404) sendError(exchanges, exchange, localErrors.manifestUnknown, 'relay')
    else if (status === 429) sendError(exchanges, exchange, localErrors.tooMany, 'relay', fields.retryAfter)
    // Rare, and with words of the upstream's own: they are fetched for this client alone.
    else relayAsIs(exchange)
  }

  const fetchDigest = (exchange: Exchange, key: string, digest: string): void => {
    const ask = askFor(exchange, ownHeaders(''), 'GET', digest)
    fetch.get(key, ask, digest, (outcome) => {
      if (outcome.kind === 'ok') cache.put(key, outcome.value)
      else if (outcome.kind === 'failed' && outcome.reason === 'digest_mismatch') {
        counters.countUpstreamError(exchange.record.upstream, 'digest_mismatch')
      }
      serveFetched(exchange, outcome)
    })
  }

  const serveDigest = (exchange: Exchange, digest: string): void => {
    const key = keyOf(exchange, digest)
    const entry = cache.get(key)
    if (entry && performance.now() - entry.confirmedMs < confirmEveryMs) {
      serveCached(exchange, entry)
    } else if (entry) {
      confirm(exchange, key, entry)
    } else if (exchange.isHead) {
      fetch.head(key, askFor(exchange, ownHeaders(''), 'HEAD', digest), (outcome) =>
        serveHead(exchange, outcome),
      )
    } else {
      fetchDigest(exchange, key, digest)
    }
  }

  const confirm = (exchange: Exchange, key: string, entry: CachedManifest): void => {
    fetch.head(key, askFor(exchange, ownHeaders(''), 'HEAD', entry.digest), (outcome) => {
      const status = outcome.kind === 'ok' ? outcome.value.status : 0
      if (status === 200) entry.confirmedMs = performance.now()
      else if (status === 401 || status === 403 || status === 404) cache.delete(key)
      if (exchange.over) return
      // An upstream that cannot say keeps nobody from what was right yesterday.
      if (outcome.kind === 'ok' && status !== 200 && status < 429) serveRefused(exchange, outcome.value)
      else serveCached(exchange, entry)
    })
  }

  /** The answer to a HEAD, from the upstream's answer to the shared one. */
  const serveHead = (exchange: Exchange, outcome: Outcome<Resolved>): void => {
    if (exchange.over) return
    if (outcome.kind !== 'ok') {
      sendError(exchanges, exchange, errorOf(outcome.kind === 'failed' ? outcome.reason : 'other'), 'relay')
      return
    }
    const { status, fields, block } = outcome.value
    const { record } = exchange
    record.upstreamStatus = status
    if (status !== 200) {
      serveRefused(exchange, outcome.value)
    } else if (fields.digest === '' || fields.contentLength === '' || fields.contentType === '') {
      // docker fails without the length, ggcr without any of the three: the manifest itself tells them.
      fetchTag(exchange)
    } else {
      record.digest = fields.digest
      record.size = Number(fields.contentLength)
      const unchanged = matches(exchange.ifNoneMatch, fields.digest)
      const answer = new Answer(options.relay, exchange)
      answer.head(unchanged ? 304 : 200, 'relay', block, record.size, null)
    }
  }

  const serveTag = (exchange: Exchange): void => {
    const { reference } = exchange.record
    const key = `${keyOf(exchange, reference)} ${exchange.accept}`
    fetch.head(key, askFor(exchange, ownHeaders(exchange.accept), 'HEAD', reference), (outcome) => {
      if (exchange.over) return
      const digest = outcome.kind === 'ok' && outcome.value.status === 200 ? outcome.value.fields.digest : ''
      if (exchange.isHead || outcome.kind !== 'ok') serveHead(exchange, outcome)
      else if (digest !== '') serveDigest(exchange, digest)
      else if (outcome.value.status === 200) fetchTag(exchange)
      else serveRefused(exchange, outcome.value)
    })
  }

  /** An upstream that does not say the digest of a tag: the body is fetched, and the digest computed. */
  const fetchTag = (exchange: Exchange): void => {
    const { reference } = exchange.record
    const key = `${keyOf(exchange, reference)} ${exchange.accept}`
    fetch.get(key, askFor(exchange, ownHeaders(exchange.accept), 'GET', reference), '', (outcome) =>
      serveFetched(exchange, outcome),
    )
  }

  return {
    serve(exchange) {
      const { reference } = exchange.record
      if (!isDigest(reference)) serveTag(exchange)
      else if (/^sha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128})$/.test(reference)) serveDigest(exchange, reference)
      else relayAsIs(exchange)
    },
  }
}

function keyOf(exchange: Exchange, reference: string): string {
  return `${exchange.record.upstream} ${exchange.record.upstreamRepository} ${reference}`
}

function askFor(
  exchange: Exchange,
  headers: string[],
  method: 'GET' | 'HEAD' = exchange.isHead ? 'HEAD' : 'GET',
  reference = exchange.record.reference,
): Ask {
  const { upstream, upstreamRepository } = exchange.record
  const query = exchange.query === '' ? '' : `?${exchange.query}`
  return {
    upstream,
    repository: upstreamRepository,
    method,
    path: `/v2/${upstreamRepository}/manifests/${reference}${query}`,
    headers,
  }
}

/** If-None-Match against the digest, which registries use as ETag (RFC 9110 13.1.2; `W/` compares weakly). */
function matches(ifNoneMatch: string, digest: string): boolean {
  if (ifNoneMatch === '') return false
  if (ifNoneMatch.trim() === '*') return true
  return ifNoneMatch.split(',').some((tag) => tag.trim().replace(/^W\//, '').replaceAll('"', '') === digest)
}
