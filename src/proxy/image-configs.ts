/**
 * Configs of images without an index, which alone say their platform: the front reads each once, in its own name and
 * behind what clients want, as with redirects none of them passes through here.
 */
import { type Ask, askFor } from './ask.ts'
import type { Exchange } from './exchange.ts'
import { createExpiringMap } from './expiring-map.ts'
import { type ImageParts, readImageParts } from './image-parts.ts'
import type { CachedManifest, ManifestCache } from './manifest-cache.ts'
import { digestOf, ownHeaders } from './manifest-fetch.ts'
import { askThere, type RedirectRules, redirects, redirectTarget } from './redirects.ts'
import type { ManifestNotice, ProxyCounters } from './types.ts'
import type { Sink, UpstreamCall, Upstreams } from './upstream.ts'

export type ImageConfigs = {
  /** To be called whenever the pool was told of a manifest; it will be told of its config as well. */
  follow(exchange: Exchange, manifest: CachedManifest): void
  close(): void
}

export type ImageConfigOptions = {
  upstreams: Upstreams
  counters: Pick<ProxyCounters, 'countUpstreamError'>
  redirects: RedirectRules
  /** Holds the configs too, so that one setting limits both. */
  cache: ManifestCache
  announce(notice: ManifestNotice): void
}

type Config = NonNullable<ImageParts['config']>
type Job = { config: Config; ask: Ask }

// A config is a few KB: two at a time are a hundred a second from a registry near by, and nothing beside its clients.
const maxRunning = 2
// What waits longer comes too late for the pull that it is for; it is asked for again when it is next told of.
const maxWaiting = 256
const deadlineMs = 30_000
// An index that is served is told of each hour, and says again which images are its own.
const placedForMs = 2 * 3600 * 1000
const maxPlaced = 16_384

export function createImageConfigs(options: ImageConfigOptions): ImageConfigs {
  const { cache, counters, upstreams } = options
  /** Digests of images whose platform an index says. */
  const placed = createExpiringMap<true>({ maxEntries: maxPlaced, lifetimeMs: placedForMs })
  const waiting: Job[] = []
  /** By digest: how to give up what is asked for. */
  const running = new Map<string, () => void>()
  let closed = false

  const announce = ({ digest, mediaType, bytes }: CachedManifest): void =>
    options.announce({ digest, mediaType, bytes })

  const startNext = (): void => {
    while (!closed && running.size < maxRunning) {
      const job = waiting.shift()
      if (!job) return
      start(job)
    }
  }

  const start = ({ config, ask }: Job): void => {
    const { digest, mediaType } = config
    let call: UpstreamCall | null = null
    const settle = (bytes: Buffer | null): void => {
      if (!running.delete(digest)) return
      clearTimeout(timer)
      if (bytes) {
        const entry = entryOf(digest, mediaType, bytes)
        cache.put(keyOf(digest), entry)
        announce(entry)
      }
      // Not at once: what fails without asking would go on from here for as long as anything waits.
      setImmediate(startNext)
    }
    const giveUp = (): void => {
      call?.abort()
      settle(null)
    }
    const timer = setTimeout(giveUp, deadlineMs)
    timer.unref()
    running.set(digest, giveUp)
    const send = (next: Ask, hops: number): void => {
      const sink = configSink(config, {
        redirected(asked, location) {
          const url = redirectTarget(location, asked, hops, options.redirects)
          if (url) send(askThere(asked, url, options.redirects), hops + 1)
          else settle(null)
        },
        settle,
        mismatched: (upstream) => counters.countUpstreamError(upstream, 'digest_mismatch'),
      })
      call = upstreams.ask(next, sink)
    }
    send(ask, 0)
  }

  const read = (exchange: Exchange, manifest: CachedManifest): void => {
    if (closed) return
    const parts = readImageParts(manifest.bytes)
    const nowMs = performance.now()
    for (const digest of parts.placed) placed.set(digest, true, nowMs)
    const { config } = parts
    if (!config || placed.get(manifest.digest, nowMs)) return
    const known = cache.get(keyOf(config.digest))
    if (known) return announce(known)
    const isAsked = running.has(config.digest) || waiting.some((job) => job.config.digest === config.digest)
    if (isAsked || waiting.length >= maxWaiting) return
    waiting.push({ config, ask: askConfig(exchange, config.digest) })
    startNext()
  }

  return {
    follow(exchange, manifest) {
      // When its client has got its answer.
      setImmediate(read, exchange, manifest)
    },
    close() {
      closed = true
      waiting.length = 0
      for (const giveUp of [...running.values()]) giveUp()
    },
  }
}

function askConfig(exchange: Exchange, digest: string): Ask {
  // The query was for the manifest.
  const ask = askFor({ ...exchange, query: '' }, 'GET', `blobs/${digest}`, ownHeaders('*/*'))
  return { ...ask, isSpare: true }
}

/** A scope begins with a number, so that no client can ask for a config as a manifest. */
function keyOf(digest: string): string {
  return `config ${digest}`
}

function entryOf(digest: string, mediaType: string, bytes: Buffer): CachedManifest {
  const nowMs = performance.now()
  return {
    ...{ digest, mediaType, bytes, etag: '', block: Buffer.alloc(0) },
    ...{ confirmedMs: nowMs, announcedMs: nowMs },
  }
}

function configSink(
  config: Config,
  then: {
    redirected(ask: Ask, location: string): void
    /** null: it could not be had. */
    settle(bytes: Buffer | null): void
    mismatched(upstream: number): void
  },
): Sink {
  const chunks: Buffer[] = []
  let length = 0
  return {
    head(call, { status, fields }) {
      if (status === 200) return
      call.abort()
      if (redirects.has(status)) then.redirected(call.ask, fields.location)
      else then.settle(null)
    },
    data(call, chunk) {
      length += chunk.length
      if (length <= config.size) chunks.push(Buffer.from(chunk))
      else {
        call.abort()
        then.settle(null)
      }
    },
    end({ ask }) {
      const bytes = Buffer.concat(chunks)
      const isRight = digestOf(bytes, config.digest) === config.digest
      if (!isRight) then.mismatched(ask.upstream)
      then.settle(isRight ? bytes : null)
    },
    fail: () => then.settle(null),
  }
}
