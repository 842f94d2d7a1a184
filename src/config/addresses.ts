/**
 * Kinds of values that name places in a network: listeners, URLs, ranges, host names.
 */
import { isIPv4, isIPv6 } from 'node:net'
import type { Kind } from './kinds.ts'

export type HostPort = { host: string; port: number }
export type UpstreamUrl = { origin: string; host: string; dockerHub: boolean; prefix: string }
export type RedisUrl = { url: string; tls: boolean; database: number }

const hostNamePattern =
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/

/** RFC 1123 names and the underscores of container networks; never a mistyped IPv4 address. */
export function isHostName(host: string): boolean {
  return hostNamePattern.test(host) && !/(^|\.)\d+$/.test(host)
}

function parseHostPort(text: string, lowestPort: number): HostPort | undefined {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text)
  if (match === null) return undefined
  const port = Number(match[3])
  const host = (match[1] ?? match[2] ?? '').toLowerCase()
  const valid = match[1] === undefined ? isIPv4(host) || isHostName(host) : isIPv6(host)
  return valid && port >= lowestPort && port <= 65535 ? { host, port } : undefined
}

/** Brackets around IPv6 again, as URLs and messages want it. */
export function formatHostPort({ host, port }: HostPort): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
}

function explainHostPort(text: string): string | undefined {
  const port = /^\*?:(\d{1,5})$/.exec(text)
  if (port !== null)
    return `expected HOST:PORT; for every address write 0.0.0.0:${port[1]} or [::]:${port[1]}`
  const last = text.lastIndexOf(':')
  if (isIPv6(text.slice(0, last)) && !text.startsWith('[')) {
    return `expected an IPv6 address in brackets, like [${text.slice(0, last)}]${text.slice(last)}`
  }
  return undefined
}

function hostPort(lowestPort: number): Kind<HostPort> {
  return {
    placeholder: 'HOST:PORT',
    expected: 'HOST:PORT, like 127.0.0.1:8080, localhost:8080 or [::1]:8080',
    jsonSchema: { type: 'string', pattern: '^(\\[[0-9A-Fa-f:.]+\\]|[^:\\[\\]]+):[0-9]{1,5}$' },
    read: (text) => parseHostPort(text, lowestPort),
    explain: explainHostPort,
  }
}

/** Port 0: any free one. */
export const listenAddress = hostPort(0)

const brokerAddress = hostPort(1)
export const broker: Kind<string> = {
  ...brokerAddress,
  expected: 'HOST:PORT, like kafka-1.example.io:9092',
  jsonSchema: { type: 'string', pattern: '^[^:\\[\\]]+:[0-9]{1,5}$' },
  read: (text) => {
    const address = brokerAddress.read(text)
    return address === undefined || isIPv6(address.host) ? undefined : formatHostPort(address)
  },
  // kafkajs takes what is before the first colon for the host.
  explain: (text) =>
    text.startsWith('[')
      ? 'expected a host name instead of an IPv6 address, which the Kafka client cannot read'
      : explainHostPort(text),
}

function parseUrl(text: string, protocols: readonly string[]): URL | undefined {
  // The URL parser forgives much (spaces, backslashes, missing slashes) that is a mistake in a config.
  if (!/^[a-z]+:\/\/[^\s\\]+$/i.test(text) || !URL.canParse(text)) return undefined
  const url = new URL(text)
  return protocols.includes(url.protocol) && url.port !== '0' && !text.includes('?') && !text.includes('#')
    ? url
    : undefined
}

function parseHttpUrl(text: string): URL | undefined {
  const url = parseUrl(text, ['http:', 'https:'])
  return url !== undefined && url.username === '' && url.password === '' ? url : undefined
}

function explainUrl(text: string): string | undefined {
  if (!text.includes('://')) return 'expected a URL that starts with https:// or http://'
  return text.includes('@') ? 'expected a URL without user name and password' : undefined
}

/** The names under which people know the one registry of Docker Hub. */
const dockerHubHosts: readonly string[] = ['registry-1.docker.io', 'index.docker.io', 'docker.io']
const dockerHub = { origin: 'https://registry-1.docker.io', host: 'registry-1.docker.io' }

/** A part of a repository name (OCI distribution spec, "Pulling manifests"). */
export const namePart = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$/

export const upstreamUrl: Kind<UpstreamUrl> = {
  placeholder: 'URL',
  expected: 'the URL of a registry, like https://ghcr.io or https://ghcr.io/acme-org',
  jsonSchema: { type: 'string', pattern: '^[Hh][Tt][Tt][Pp][Ss]?://[^\\s?#@]+$' },
  read: (text) => {
    const url = parseHttpUrl(text)
    if (url === undefined) return undefined
    const parts = url.pathname.replace(/^\/|\/$/g, '').split('/')
    const prefix = parts.join('/')
    if (parts[0] === 'v1' || parts[0] === 'v2' || url.hostname === 'hub.docker.com') return undefined
    if (prefix !== '' && !parts.every((part) => namePart.test(part))) return undefined
    const isHub = dockerHubHosts.includes(url.host)
    return { ...(isHub ? dockerHub : { origin: url.origin, host: url.host }), dockerHub: isHub, prefix }
  },
  explain: (text) => {
    const url = parseHttpUrl(text)
    if (url === undefined) return explainUrl(text)
    if (url.hostname === 'hub.docker.com') {
      return 'expected a registry, not its web site; Docker Hub is https://registry-1.docker.io'
    }
    if (/^\/v[12](\/|$)/.test(url.pathname)) {
      return 'expected a URL without /v2: its path is put before every repository'
    }
    return url.pathname === '/' ? undefined : 'expected a path of lower-case repository names, like /acme-org'
  },
}

/** Read to its origin: no slash at the end, default port left out. */
export const publicUrl: Kind<string> = {
  placeholder: 'URL',
  expected: 'a URL without a path, like https://cr.example.io',
  jsonSchema: { type: 'string', pattern: '^[Hh][Tt][Tt][Pp][Ss]?://[^\\s/?#@]+/?$' },
  read: (text) => {
    const url = parseHttpUrl(text)
    return url !== undefined && url.pathname === '/' ? url.origin : undefined
  },
  explain: explainUrl,
}

/** The Redis client decodes user and password, and throws on what this refuses. */
function isPercentEncoded(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

export const redisUrl: Kind<RedisUrl> = {
  placeholder: 'URL',
  expected: 'redis:// or rediss:// with host, and port, user, password and database where needed',
  jsonSchema: { type: 'string', pattern: '^[Rr][Ee][Dd][Ii][Ss][Ss]?://[^\\s?#]+$' },
  read: (text) => {
    const url = parseUrl(text, ['redis:', 'rediss:'])
    const database = /^\/?(\d{0,4})$/.exec(url?.pathname ?? 'none')
    if (url === undefined || url.hostname === '' || database === null) return undefined
    if (!isPercentEncoded(url.username) || !isPercentEncoded(url.password)) return undefined
    return { url: text, tls: url.protocol === 'rediss:', database: Number(database[1]) }
  },
  explain: (text) =>
    text.includes('?')
      ? 'expected a URL without options after "?"'
      : text.includes('%')
        ? 'expected user and password with each special character percent-encoded'
        : undefined,
}

export const redirectHost: Kind<string> = {
  placeholder: 'HOST',
  expected: 'a host name without port, like cdn.example.io or *.example.io',
  jsonSchema: { type: 'string', pattern: '^(\\*\\.)?[A-Za-z0-9_.-]+$' },
  read: (text) => {
    const host = text.toLowerCase()
    if (host.startsWith('*.')) return isHostName(host.slice(2)) ? host : undefined
    return isHostName(host) || isIPv4(host) ? host : undefined
  },
}
