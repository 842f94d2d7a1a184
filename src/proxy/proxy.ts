/**
 * Builds the proxy of one thread from its parts.
 */

import type { Domain } from '../config/types.ts'
import { createAdmission, createOpenRate } from './admission.ts'
import { createBlobs } from './blobs.ts'
import { createBlock } from './block.ts'
import { canonicalAddress, createTrustedProxies, type TrustedProxies } from './client-address.ts'
import { localErrors } from './errors.ts'
import { createExchanges } from './exchange.ts'
import { createFront } from './front.ts'
import { createManifests } from './manifests.ts'
import { createPassages } from './passages.ts'
import { createPassthrough } from './passthrough.ts'
import { createPrivacyPage } from './privacy-page.ts'
import { createRedirectHosts } from './redirect-hosts.ts'
import type { RelayOptions } from './relay.ts'
import { sendError } from './respond.ts'
import { createRouteTable } from './route.ts'
import { createServer } from './server.ts'
import { createTokens } from './tokens.ts'
import type { Certificates, Log, ProxyOptions, ProxyUpdate } from './types.ts'
import { createUpstreams } from './upstream.ts'

export type Proxy = {
  /** Who is refused from now on. */
  setBlock(memory: SharedArrayBuffer | null): void
  /** New connections are refused, `/readyz` fails; requests in flight go on. */
  stopListening(): void
  /** From the next request on; those in flight go on as they began. */
  update(update: ProxyUpdate): void
  /** From the next connection on. Throws when one of the listeners' own cannot be used: then nothing changes. */
  replaceCertificates(certificates: Certificates): void
  /** 32 bytes in hex each, the first signs. */
  setTokenKeys(keys: readonly string[]): void
  /** Requests in flight. */
  active(): number
  /** Ends what is left, and leaves its records. */
  close(): Promise<void>
}

// A body that has to be rewritten is held whole; a list of tags is far smaller.
const holdBytes = 8 * 1024 * 1024
// Twice the upstream's own time for a token or a manifest that is asked for first, and once for the answer itself.
const waits = 3
// uWebSockets.js closes a connection without a request after 10 s, looking every 4 s, so whoever holds more than
// was opened in two of these has requests under way.
const openWindowMs = 15_000
const forwardedWarningMs = 3_600_000

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
  const rangesOf = ({
    trustedProxies,
    streamRanges,
  }: Pick<ProxyUpdate, 'trustedProxies' | 'streamRanges'>) => ({
    trusted: createTrustedProxies(trustedProxies),
    streamed: createTrustedProxies(streamRanges ?? []),
  })
  let ranges = rangesOf(config)
  const proxies: TrustedProxies = { trusts: (address) => ranges.trusted.trusts(address) }
  const own = ownHosts(config.domains)
  let stopping = false
  let block = createBlock(options.block)
  let privacy = createPrivacyPage(config)
  const ofThread = (limit: number): number => Math.max(1, Math.floor(limit / threads))
  const maxConnections = ofThread(limits.connections)
  const perClient = Math.max(1, Math.ceil(limits.connectionsPerClient / threads))
  const admission = createAdmission(perClient)
  const exchanges = createExchanges({
    counters,
    records: options.records,
    heartbeatMs: Math.max(200, Math.floor(config.sessions.idleMs / 3)),
    waitMs: waits * limits.firstByteTimeoutMs,
    expire(exchange) {
      exchange.sender?.abandon()
      sendError(exchanges, exchange, localErrors.upstreamSlow, 'relay')
    },
    leave: admission.leave,
  })
  const upstreams = createUpstreams({ ...options, config })
  const relay: RelayOptions = {
    exchanges,
    minRateBytes: limits.minRateBytes,
    requestTimeoutMs: limits.requestTimeoutMs,
    holdBytes,
    counters,
  }
  const tokens = createTokens(options.tokenKeys)
  const routes = createRouteTable(config)
  const redirects = { origins, redirectHosts: config.redirectHosts }
  const manifests = createManifests({
    exchanges,
    upstreams,
    relay,
    counters,
    redirects,
    manifestBytes: limits.manifestBytes,
    cacheBytes: Math.floor(limits.manifestCacheBytes / threads),
    announce: options.announceManifest,
  })
  const passthrough = createPassthrough({ ...options, config, exchanges, upstreams, relay, routes })
  const front = createFront({
    config,
    routes,
    passthrough,
    proxies,
    admission,
    privacy: () => privacy,
    block: () => block,
    warnForwarded: createForwardedWarning(options.log),
    streamRanges: { trusts: (address) => ranges.streamed.trusts(address) },
    tokens,
    exchanges,
    upstreams,
    manifests,
    blobs: createBlobs({
      exchanges,
      upstreams,
      relay,
      redirects,
      ownHosts: own,
      seenHosts: createRedirectHosts({ report: options.reportRedirectHost, now: Date.now }),
    }),
    relay,
    counters,
    isStopping: () => stopping,
  })
  const refused = (reason: 'connections' | 'client_connections' | 'proxy_header'): void =>
    counters.countRefusal(reason)

  // uWebSockets.js does not say whose connection has closed, so a client's are not counted but guessed from
  // above by how many it opened lately; and only where connections run short, so that no guess hurts anybody.
  const opened = createOpenRate(perClient, openWindowMs)
  const admits = (peer: ArrayBuffer, connections: number): boolean => {
    if (connections > maxConnections) {
      refused('connections')
      return false
    }
    const address = canonicalAddress(peer)
    const exceeds = opened.exceeds(address, performance.now())
    if (!exceeds || connections <= maxConnections / 2 || proxies.trusts(address)) return true
    refused('client_connections')
    return false
  }

  const openPassages = () => {
    const connections = createAdmission(perClient)
    return createPassages({
      proxies,
      maxConnections,
      admit(address) {
        const ticket = connections.tryEnter(address)
        return ticket < 0 ? null : () => connections.leave(ticket)
      },
      refused,
    })
  }

  const certificates = options.certificates ?? certificatesOf(config)
  const opening = createServer({
    listen: config.listen.map((each, index) => ({ ...each, tls: certificates.listen[index] ?? null })),
    names: certificates.names,
    passages: config.proxyProtocol ? openPassages() : null,
    handler: {
      request: front.request,
      aborted: exchanges.abort,
      admits,
      connectionOpened: counters.connectionOpened,
      connectionClosed: counters.connectionClosed,
      failed: (error) => options.log.error({ err: error }, 'a request could not be answered'),
    },
  })
  const server = await opening.catch(async (error) => {
    // What is left running would keep the thread, and with it the process, from ending.
    exchanges.close()
    await upstreams.close()
    throw error
  })
  return {
    setBlock(memory) {
      block = createBlock(memory)
    },
    update(update) {
      // New upstreams before the routes that name them.
      replaceAll(config.upstreams, update.upstreams)
      replaceAll(
        origins,
        update.upstreams.map(({ origin }) => origin),
      )
      replaceAll(config.redirectHosts, update.redirectHosts)
      upstreams.update()
      ranges = rangesOf(update)
      replaceAll(config.domains, update.domains)
      // All that there ever were, as clients may still know them.
      replaceAll(own, ownHosts(config.domains))
      routes.replace(config, update.active.domains)
      privacy = createPrivacyPage(config)
    },
    replaceCertificates: ({ listen, names }) => server.replaceCertificates(listen, names),
    stopListening() {
      stopping = true
      server.stopListening()
    },
    setTokenKeys: tokens.setKeys,
    active: exchanges.active,
    async close() {
      server.close()
      exchanges.close()
      manifests.close()
      await Promise.all([upstreams.close(), passthrough.close()])
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
/** Once an hour at most, and without an address: the operator alone can know whether that proxy is his. */
function createForwardedWarning(log: Log): () => void {
  let warnedMs = Number.NEGATIVE_INFINITY
  return () => {
    const nowMs = performance.now()
    if (nowMs - warnedMs < forwardedWarningMs) return
    warnedMs = nowMs
    log.warn({}, 'X-Forwarded-For from a private address that is not in trustedProxies is ignored')
  }
}

function ownHosts(domains: readonly Domain[]): string[] {
  return domains.flatMap(({ host, publicUrl }) => [
    ...(host === null ? [] : [host]),
    ...(publicUrl === null ? [] : [new URL(publicUrl).hostname]),
  ])
}
