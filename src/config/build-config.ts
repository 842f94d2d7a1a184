/**
 * Makes the frozen Config of the settled values, and finds what is wrong between them.
 */
import { resolve } from 'node:path'
import { resolveDomains } from './domains.ts'
import { type ReadFile, tryFindDatabase, tryReadText, tryReadTokenKeys } from './files.ts'
import { problem } from './findings.ts'
import { parseDuration } from './kinds.ts'
import { resolveListeners } from './listeners.ts'
import { isLoopback } from './own-addresses.ts'
import { settings } from './schema.ts'
import { resolveKafka, resolveRedis } from './services.ts'
import type { SettledValues } from './settled-values.ts'
import { resolveProxyThreads, resolveWorkers } from './threads.ts'
import type { Config } from './types.ts'

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
  findDoubtful(values)
  const { host: adminHost, port: adminPort } = values.get('admin')
  return {
    node: values.get('node'),
    listen,
    admin: { host: adminHost, port: adminPort },
    data: resolve(values.found('data')?.source.dir ?? cwd, values.get('data')),
    ...resolveDomains(values, listen, surroundings),
    redirectHosts: values.all('redirectHosts'),
    trustedProxies: values.all('trustedProxies'),
    proxyProtocol: values.get('proxyProtocol'),
    streamRanges: values.all('streamRanges'),
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
      company: resolveDatabase(values, 'geo.company', readFile),
      overrides: resolveFile(values, 'geo.overrides', readFile),
      detail: values.get('geo.detail'),
    },
    privacy: {
      rotationMs: parseDuration(values.get('privacy.rotation')) ?? 0,
      keyFile: resolveFile(values, 'privacy.keyFile', readFile),
      operator: values.get('privacy.operator'),
      contact: values.get('privacy.contact'),
      purpose: values.get('privacy.purpose'),
    },
    block: {
      countries: values.all('block.countries'),
      asns: values.all('block.asns'),
      types: values.all('block.types'),
      ranges: values.all('block.ranges'),
      companies: values.all('block.companies'),
    },
    ...resolveTokenKeys(values, readFile),
    limits: {
      headerBytes: values.get('limits.headerBytes'),
      connections: values.get('limits.connections'),
      connectionsPerClient: values.get('limits.connectionsPerClient'),
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

export function resolveSessions(values: SettledValues): Config['sessions'] {
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

function findDoubtful(values: SettledValues): void {
  const upstream = values.get('upstream')
  const { hostname, protocol } = new URL(upstream.origin)
  if (protocol === 'http:' && !isLoopback(hostname)) {
    values.warnings.push(`upstream: ${JSON.stringify(upstream.origin)}: is asked without TLS`)
  }
  for (const { key, value, shown, source } of values.foundAll('trustedProxies')) {
    if (String(value).endsWith('/0')) {
      values.warnings.push(problem(key, shown, source, 'lets every client say that it has another address'))
    }
  }
  if (values.get('proxyProtocol') && values.all('trustedProxies').length === 0) {
    values.warnings.push('proxyProtocol: on: has no effect without trustedProxies')
  }
  if (values.get('retention.events') === 0 && !values.isGiven('kafka.brokers')) {
    values.warnings.push('retention.events: off: without kafka package events are kept nowhere')
  }
  if (values.isGiven('privacy.keyFile') && !values.isGiven('redis.url')) {
    values.warnings.push('privacy.keyFile: has no effect without redis.url')
  }
}

function resolveDatabase(
  values: SettledValues,
  key: 'geo.city' | 'geo.asn' | 'geo.company',
  readFile: ReadFile,
): string | null {
  const found = values.found(key)
  if (found === undefined) return null
  const path = resolve(found.source.dir, String(found.value))
  const content = tryFindDatabase(readFile, path)
  if (!content.ok) values.refuse(key, `${content.why}; expected ${settings[key].kind.expected}`)
  return path
}

/** What is in it is for its reader to judge. */
function resolveFile(
  values: SettledValues,
  key: 'geo.overrides' | 'privacy.keyFile',
  readFile: ReadFile,
): string | null {
  const found = values.found(key)
  if (found === undefined) return null
  const path = resolve(found.source.dir, String(found.value))
  const content = tryReadText(readFile, path)
  if (!content.ok) values.refuse(key, `${content.why}; expected ${settings[key].kind.expected}`)
  return path
}

function resolveTokenKeys(
  values: SettledValues,
  readFile: ReadFile,
): Pick<Config, 'tokenKeys' | 'tokenKeyFile'> {
  const found = values.found('tokenKeys.file')
  if (found === undefined) return { tokenKeys: null, tokenKeyFile: null }
  const path = resolve(found.source.dir, String(found.value))
  const content = tryReadTokenKeys(readFile, path)
  if (content.ok) return { tokenKeys: content.content, tokenKeyFile: path }
  values.refuse('tokenKeys.file', `${content.why}; expected ${settings['tokenKeys.file'].kind.expected}`)
  return { tokenKeys: null, tokenKeyFile: null }
}
