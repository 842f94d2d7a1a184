/**
 * Where an upstream's redirect may lead, whether a client or the front itself goes there.
 */
import type { Ask } from './ask.ts'
import { isPublicHost } from './public-host.ts'

export type RedirectRules = {
  /** By index: the upstream's own origin. */
  origins: readonly string[]
  /** Host names or `*.suffix`; empty: any https host. */
  redirectHosts: readonly string[]
}

export const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
const maxHops = 3

/** Where the answer to `ask` leads that came after `hops` redirects; null: nowhere that is allowed. */
export function redirectTarget(location: string, ask: Ask, hops: number, rules: RedirectRules): URL | null {
  const origin = rules.origins[ask.upstream] as string
  const base = (ask.origin === '' ? origin : ask.origin) + ask.path
  const url = URL.canParse(location, base) ? new URL(location, base) : null
  return url && hops < maxHops && mayGo(url, origin, rules.redirectHosts) ? url : null
}

/** The same question, asked there. */
export function askThere(ask: Ask, url: URL, { origins }: RedirectRules): Ask {
  const isOwn = url.origin === origins[ask.upstream]
  return { ...ask, path: url.pathname + url.search, origin: isOwn ? '' : url.origin }
}

/** Whether an answer of the upstream at `origin` may lead there, by the client's own feet or by the front's. */
function mayGo(url: URL, origin: string, redirectHosts: readonly string[]): boolean {
  if (url.username !== '' || url.password !== '') return false
  if (url.origin === origin) return true
  // An upstream without TLS stands in one's own network, and so may its storage.
  const plain = origin.startsWith('http:')
  if (url.protocol !== 'https:' && !(plain && url.protocol === 'http:')) return false
  if (url.hostname === new URL(origin).hostname) return true
  if (redirectHosts.length === 0) return plain || isPublicHost(url.hostname)
  return redirectHosts.some((host) => isNamed(url.hostname, host))
}

/** `pattern`: a host name, or `*.suffix`. */
export function isNamed(hostname: string, pattern: string): boolean {
  return pattern.startsWith('*.') ? hostname.endsWith(pattern.slice(1)) : hostname === pattern
}
