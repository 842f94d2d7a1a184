/**
 * Finds upstreams that are this front itself, as far as it can be told without asking the DNS.
 */
import { formatHostPort, type UpstreamUrl } from './addresses.ts'
import { isWildcard } from './listeners.ts'
import type { Listener } from './types.ts'

const loopbackHosts = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/

export function isLoopback(hostname: string): boolean {
  return loopbackHosts.test(hostname)
}

export type OwnAddresses = {
  readonly listen: readonly Listener[]
  /** The domains; a port of theirs is that of the public URL, else that of any listener. */
  readonly names: readonly { readonly host: string; readonly publicUrl: string | null }[]
}

/** What is wrong with the upstream; null: nothing. */
export function findLoop({ origin }: UpstreamUrl, { listen, names }: OwnAddresses): string | null {
  const host = new URL(origin).hostname.replace(/^\[|\]$/g, '')
  const port = portOf(origin)
  const ports = [80, 443, ...listen.map((listener) => listener.port)]
  const domain = names.find((name) => {
    if (name.host.replace(/^\[|\]$/g, '') !== host) return false
    return name.publicUrl === null ? ports.includes(port) : portOf(name.publicUrl) === port
  })
  if (domain !== undefined)
    return `expected a registry, not this front itself: ${domain.host} is a domain of it`
  const own = listen.find((each) => each.port !== 0 && each.port === port && leadsTo(host, each.host))
  return own === undefined
    ? null
    : `expected a registry, not this front itself: it listens on ${formatHostPort(own)}`
}

function leadsTo(host: string, listenHost: string): boolean {
  if (host === listenHost) return true
  if (!isLoopback(host)) return false
  if (isWildcard(listenHost)) return true
  return isLoopback(listenHost) && (host === 'localhost' || listenHost === 'localhost')
}

export function portOf(origin: string): number {
  const { port, protocol } = new URL(origin)
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)
}
