/**
 * The route table: from Host and repository to domain, upstream and the upstream's name of the repository.
 */
import type { Config, Domain, Route } from '../config/types.ts'

export type Resolved = {
  /** Index into `Config.upstreams`. */
  upstream: number
  upstreamRepository: string
  blobs: 'redirect' | 'stream'
  fallback: { upstream: number; upstreamRepository: string } | null
  /** Names (upstream, repository) and the fallback's: what a cache may be keyed by. */
  scope: string
}

export type RouteTable = {
  /** Index into `Config.domains`; -1: the host is not served. `host`: lower case, without port. */
  findDomain(host: string): number
  /** null: no route serves this repository. */
  findRoute(domain: number, repository: string): Resolved | null
}

// Resolved names are kept, as the same few repositories are asked for again and again.
const maxRemembered = 4096

export function createRouteTable(config: Pick<Config, 'domains' | 'upstreams'>): RouteTable {
  const byHost = new Map<string, number>()
  let anyHost = -1
  for (const [index, domain] of config.domains.entries()) {
    if (domain.host === null) anyHost = index
    else byHost.set(domain.host, index)
  }
  const remembered: Map<string, Resolved>[] = config.domains.map(() => new Map())
  return {
    findDomain: (host) => byHost.get(host) ?? anyHost,
    findRoute(domain, repository) {
      const known = remembered[domain]?.get(repository)
      if (known) return known
      const resolved = resolve(config.domains[domain], config.upstreams, repository)
      const memory = remembered[domain]
      if (resolved && memory) {
        if (memory.size >= maxRemembered) memory.clear()
        memory.set(repository, resolved)
      }
      return resolved
    },
  }
}

function resolve(
  domain: Domain | undefined,
  upstreams: Config['upstreams'],
  repository: string,
): Resolved | null {
  for (const route of domain?.routes ?? []) {
    const matched = matchPattern(route.repository, repository)
    if (matched === null) continue
    const own = nameUpstream(route, matched, upstreams)
    const fallback = route.fallback ? nameUpstream(route.fallback, matched, upstreams) : null
    return {
      ...own,
      blobs: route.blobs,
      fallback,
      scope: `${scopeOf(own)}${fallback ? ` ${scopeOf(fallback)}` : ''}`,
    }
  }
  return null
}

/** What the pattern's wildcard stands for in `repository` ('' without a wildcard); null: no match. */
export function matchPattern(pattern: string, repository: string): string | null {
  const star = pattern.indexOf('*')
  if (star < 0) return pattern === repository ? '' : null
  const wide = pattern.startsWith('**', star)
  const before = pattern.slice(0, star)
  const after = pattern.slice(star + (wide ? 2 : 1))
  if (repository.length <= before.length + after.length) return null
  if (!repository.startsWith(before) || !repository.endsWith(after)) return null
  const matched = repository.slice(before.length, repository.length - after.length)
  return wide || !matched.includes('/') ? matched : null
}

type Place = Pick<Route, 'upstream' | 'upstreamRepository'>

function nameUpstream(place: Place, matched: string, upstreams: Config['upstreams']): Place {
  const stars = place.upstreamRepository.includes('**') ? '**' : '*'
  const name = place.upstreamRepository.replace(stars, () => matched)
  const hub = upstreams[place.upstream]?.dockerHub && !name.includes('/')
  return { upstream: place.upstream, upstreamRepository: hub ? `library/${name}` : name }
}

function scopeOf(place: Place): string {
  return `${place.upstream} ${place.upstreamRepository}`
}
