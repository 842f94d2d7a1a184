/**
 * Builds the proxy of one thread from its parts.
 */
import { createBlobs } from './blobs.ts'
import { createTrustedProxies } from './client-address.ts'
import { createExchanges } from './exchange.ts'
import { createFront } from './front.ts'
import { createManifests } from './manifests.ts'
import type { RelayOptions } from './relay.ts'
import { createRouteTable } from './route.ts'
import { createServer } from './server.ts'
import { createTokens } from './tokens.ts'
import type { Certificates, ProxyOptions, ProxyUpdate } from './types.ts'
import { createUpstreams } from './upstream.ts'

export type Proxy = {
  /** New connections are refused, `/readyz` fails; requests in flight go on. */
  stopListening(): void
  /** From the next request on; those in flight go on as they began. */
  update(update: ProxyUpdate): void
  /** From the next connection on. Throws when one of the listeners' own cannot be used: then nothing changes. */
  replaceCertificates(certificates: Certificates): void
  /** Requests in flight. */
  active(): number
  /** Ends what is left, and leaves its records. */
  close(): Promise<void>
}

// A body that has to be rewritten is held whole; a list of tags is far smaller.
const holdBytes = 8 * 1024 * 1024

export async function createProxy(options: ProxyOptions): Promise<Proxy> {
  const { counters, threads } = options
  const { limits } = options.config
  // The parts hold on to these arrays, and `update` changes what is in them.
  const config = {
    ...options.config,
    domains: [...options.config.domains],
    upstreams: [...options.config.upstreams],
    redirectHosts: [...options.config.redirectHosts],
  }
  const origins = config.upstreams.map(({ origin }) => origin)
  let proxies = createTrustedProxies(config.trustedProxies)
  let stopping = false
  const exchanges = createExchanges({
    counters,
    records: options.records,
    heartbeatMs: Math.max(200, Math.floor(config.sessions.idleMs / 3)),
  })
  const upstreams = createUpstreams({ ...options, config })
  const relay: RelayOptions = {
    exchanges,
    minRateBytes: limits.minRateBytes,
    requestTimeoutMs: limits.requestTimeoutMs,
    holdBytes,
  }
  const routes = createRouteTable(config)
  const front = createFront({
    config,
    routes,
    proxies: { trusts: (address) => proxies.trusts(address) },
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
      origins,
      redirectHosts: config.redirectHosts,
    }),
    relay,
    counters,
    isStopping: () => stopping,
  })
  const certificates = options.certificates ?? certificatesOf(config)
  const server = await createServer({
    listen: config.listen.map((each, index) => ({ ...each, tls: certificates.listen[index] ?? null })),
    names: certificates.names,
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
    update(update) {
      // New upstreams before the routes that name them.
      replaceAll(config.upstreams, update.upstreams)
      replaceAll(
        origins,
        update.upstreams.map(({ origin }) => origin),
      )
      upstreams.use(update.active.upstreams)
      replaceAll(config.redirectHosts, update.redirectHosts)
      proxies = createTrustedProxies(update.trustedProxies)
      replaceAll(config.domains, update.domains)
      routes.replace(config, update.active.domains)
    },
    replaceCertificates: ({ listen, names }) => server.replaceCertificates(listen, names),
    stopListening() {
      stopping = true
      server.stopListening()
    },
    active: exchanges.active,
    async close() {
      server.close()
      exchanges.close()
      await upstreams.close()
    },
  }
}

function replaceAll<Value>(list: Value[], values: readonly Value[]): void {
  list.splice(0, list.length, ...values)
}

function certificatesOf({ listen, domains }: ProxyOptions['config']): Certificates {
  return {
    listen: listen.map(({ tls }) => tls),
    names: domains.flatMap(({ host, tls }) => (host === null || !tls ? [] : [{ host, ...tls }])),
  }
}
