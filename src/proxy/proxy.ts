/**
 * Builds the proxy of one thread from its parts.
 */
import { createBlobs } from './blobs.ts'
import { createTrustedProxies } from './client-address.ts'
import { createExchanges } from './exchange.ts'
import { createFront } from './front.ts'
import { createManifests } from './manifests.ts'
import { createPassthrough } from './passthrough.ts'
import type { RelayOptions } from './relay.ts'
import { createRouteTable } from './route.ts'
import { createServer } from './server.ts'
import { createTokens } from './tokens.ts'
import type { ProxyOptions } from './types.ts'
import { createUpstreams } from './upstream.ts'

export type Proxy = {
  /** New connections are refused, `/readyz` fails; requests in flight go on. */
  stopListening(): void
  /** Requests in flight. */
  active(): number
  /** Ends what is left, and leaves its records. */
  close(): Promise<void>
}

// A body that has to be rewritten is held whole; a list of tags is far smaller.
const holdBytes = 8 * 1024 * 1024

export async function createProxy(options: ProxyOptions): Promise<Proxy> {
  const { config, counters, threads } = options
  const { limits } = config
  let stopping = false
  const exchanges = createExchanges({
    counters,
    records: options.records,
    heartbeatMs: Math.max(200, Math.floor(config.sessions.idleMs / 3)),
  })
  const upstreams = createUpstreams(options)
  const relay: RelayOptions = {
    exchanges,
    minRateBytes: limits.minRateBytes,
    requestTimeoutMs: limits.requestTimeoutMs,
    holdBytes,
  }
  const routes = createRouteTable(config)
  const passthrough = createPassthrough({ ...options, exchanges, upstreams, relay, routes })
  const front = createFront({
    config,
    routes,
    passthrough,
    proxies: createTrustedProxies(config.trustedProxies),
    tokens: createTokens(options.tokenKeys),
    exchanges,
    upstreams,
    manifests: createManifests({
      exchanges,
      upstreams,
      relay,
      counters,
      manifestBytes: limits.manifestBytes,
      cacheBytes: Math.floor(limits.manifestCacheBytes / threads),
      announce: options.announceManifest,
    }),
    blobs: createBlobs({
      exchanges,
      upstreams,
      relay,
      origins: config.upstreams.map(({ origin }) => origin),
      redirectHosts: config.redirectHosts,
    }),
    relay,
    counters,
    isStopping: () => stopping,
  })
  const server = await createServer({
    listen: config.listen,
    maxConnections: Math.max(1, Math.floor(limits.connections / threads)),
    handler: {
      request: front.request,
      aborted: exchanges.abort,
      connectionOpened: counters.connectionOpened,
      connectionClosed: counters.connectionClosed,
      failed: (error) => options.log.error({ err: error }, 'a request could not be answered'),
    },
  })
  return {
    stopListening() {
      stopping = true
      server.stopListening()
    },
    active: exchanges.active,
    async close() {
      server.close()
      exchanges.close()
      await Promise.all([upstreams.close(), passthrough.close()])
    },
  }
}
