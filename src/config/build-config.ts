/**
 * Makes the frozen Config of the settled values, and finds what is wrong between them.
 */
import { resolve } from 'node:path'
import { formatHostPort, type UpstreamUrl } from './addresses.ts'
import { type ReadFile, tryFindDatabase, tryReadTokenKeys } from './files.ts'
import { problem } from './findings.ts'
import { isWildcard, resolveListeners } from './listeners.ts'
import { type Key, settings } from './schema.ts'
import { resolveKafka, resolveRedis } from './services.ts'
import type { SettledValues } from './settled-values.ts'
import { resolveProxyThreads, resolveWorkers } from './threads.ts'
import type { Config, Listener } from './types.ts'

export type Surroundings = {
  readonly readFile: ReadFile
  readonly cpuCount: number
  /** Absolute: relative paths of flags, variables and defaults start here. */
  readonly cwd: string
  readonly nowMs: number
}

/** Worth something only when `values` has no problems afterwards. */
export function buildConfig(values: SettledValues, surroundings: Surroundings): Config {
  const { readFile, cpuCount, cwd } = surroundings
  const listen = resolveListeners(values, surroundings)
  const upstream = values.get('upstream')
  const publicUrl = values.get('publicUrl')
  refuseLoop(values, upstream, publicUrl, listen)
  findDoubtful(values, upstream)
  const { origin, host, dockerHub, prefix } = upstream
  const route = {
    repository: '**',
    upstream: 0,
    upstreamRepository: prefix === '' ? '**' : `${prefix}/**`,
    blobs: values.get('blobs'),
    public: false,
    fallback: null,
  }
  const { host: adminHost, port: adminPort } = values.get('admin')
  return {
    node: values.get('node'),
    listen,
    admin: { host: adminHost, port: adminPort },
    data: resolve(values.found('data')?.source.dir ?? cwd, values.get('data')),
    upstreams: [{ origin, host, dockerHub, ca: null, credentials: null }],
    domains: [
      { host: null, publicUrl, auth: values.get('auth'), recording: true, tls: null, routes: [route] },
    ],
    redirectHosts: values.all('redirectHosts'),
    trustedProxies: values.all('trustedProxies'),
    proxyProtocol: false,
    streamRanges: [],
    threads: {
      proxy: resolveProxyThreads(values.get('threads.proxy'), cpuCount),
      workers: resolveWorkers(values.get('threads.workers'), cpuCount),
    },
    sessions: resolveSessions(values),
    redis: resolveRedis(values, readFile),
    kafka: resolveKafka(values, readFile),
    retention: {
      eventsMs: values.get('retention.events'),
      requestsMs: values.get('retention.requests'),
      maxBytes: values.get('retention.maxBytes'),
    },
    log: { maxBytes: values.get('log.maxBytes'), maxAgeMs: values.get('log.maxAge') },
    geo: {
      city: resolveDatabase(values, 'geo.city', readFile),
      asn: resolveDatabase(values, 'geo.asn', readFile),
      company: null,
      overrides: null,
      detail: values.get('geo.detail'),
    },
    privacy: { rotationMs: 86_400_000, keyFile: null, operator: null, contact: null, purpose: null },
    block: { countries: [], asns: [], ranges: [], companies: [] },
    tokenKeys: resolveTokenKeys(values, readFile),
    limits: {
      headerBytes: values.get('limits.headerBytes'),
      connections: values.get('limits.connections'),
      connectionsPerClient: 512,
      upstreamRequests: values.get('limits.upstreamRequests'),
      manifestBytes: values.get('limits.manifestBytes'),
      manifestCacheBytes: values.get('limits.manifestCacheBytes'),
      firstByteTimeoutMs: values.get('limits.firstByteTimeout'),
      minRateBytes: values.get('limits.minRate'),
      requestTimeoutMs: values.get('limits.requestTimeout'),
    },
    logLevel: values.get('logLevel'),
  }
}

const defaultIdleMs = 60_000
const defaultIdleHeadMs = 10_000
/** A builder fetches layers when a step needs them, long after the manifest. */
const defaultIdleBuilderMs = 30 * 60_000

function resolveSessions(values: SettledValues): Config['sessions'] {
  const idleMs = values.get('sessions.idle')
  const maxMs = values.get('sessions.max')
  const sessions = {
    idleMs: idleMs ?? defaultIdleMs,
    idleHeadMs: Math.min(defaultIdleHeadMs, idleMs ?? defaultIdleHeadMs),
    idleBuilderMs: Math.min(defaultIdleBuilderMs, idleMs ?? defaultIdleBuilderMs),
    maxMs,
    latenessMs: values.get('sessions.lateness'),
  }
  if (idleMs !== null && idleMs > maxMs) values.refuse('sessions.idle', 'expected no more than sessions.max')
  return sessions
}

const loopbackHosts = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/

function refuseLoop(
  values: SettledValues,
  { origin }: UpstreamUrl,
  publicUrl: string | null,
  listen: readonly Listener[],
): void {
  const upstream = addressOf(origin)
  if (publicUrl !== null) {
    const own = addressOf(publicUrl)
    if (own.host === upstream.host && own.port === upstream.port) {
      const key: Key = values.found('upstream') === undefined ? 'publicUrl' : 'upstream'
      values.refuse(key, 'expected a registry, not this front itself: upstream and publicUrl are the same')
      return
    }
  }
  const own = listen.find(
    ({ host, port }) => port !== 0 && port === upstream.port && leadsTo(upstream.host, host),
  )
  if (own !== undefined) {
    values.refuse(
      'upstream',
      `expected a registry, not this front itself: it listens on ${formatHostPort(own)}`,
    )
  }
}

/** As far as it can be told without asking the DNS. */
function leadsTo(host: string, listenHost: string): boolean {
  if (host === listenHost) return true
  if (!loopbackHosts.test(host)) return false
  if (isWildcard(listenHost)) return true
  return loopbackHosts.test(listenHost) && (host === 'localhost' || listenHost === 'localhost')
}

function addressOf(origin: string): { host: string; port: number } {
  const { hostname, port, protocol } = new URL(origin)
  const host = hostname.replace(/^\[|\]$/g, '')
  return { host, port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) }
}

function findDoubtful(values: SettledValues, upstream: UpstreamUrl): void {
  const { hostname, protocol } = new URL(upstream.origin)
  if (protocol === 'http:' && !loopbackHosts.test(hostname)) {
    values.warnings.push(`upstream: ${JSON.stringify(upstream.origin)}: is asked without TLS`)
  }
  for (const { key, value, shown, source } of values.foundAll('trustedProxies')) {
    if (String(value).endsWith('/0')) {
      values.warnings.push(problem(key, shown, source, 'lets every client say that it has another address'))
    }
  }
  if (values.isGiven('geo.detail') && !values.isGiven('geo.city')) {
    values.warnings.push('geo.detail: has no effect without geo.city')
  }
}

function resolveDatabase(
  values: SettledValues,
  key: 'geo.city' | 'geo.asn',
  readFile: ReadFile,
): string | null {
  const found = values.found(key)
  if (found === undefined) return null
  const path = resolve(found.source.dir, String(found.value))
  const content = tryFindDatabase(readFile, path)
  if (!content.ok) values.refuse(key, `${content.why}; expected ${settings[key].kind.expected}`)
  return path
}

function resolveTokenKeys(values: SettledValues, readFile: ReadFile): string[] | null {
  const found = values.found('tokenKeys.file')
  if (found === undefined) return null
  const content = tryReadTokenKeys(readFile, resolve(found.source.dir, String(found.value)))
  if (content.ok) return content.content
  values.refuse('tokenKeys.file', `${content.why}; expected ${settings['tokenKeys.file'].kind.expected}`)
  return null
}
