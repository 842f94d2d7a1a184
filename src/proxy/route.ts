/**
 * The route table: from Host and repository to domain, upstream and the upstream's name of the repository.
 */
import type { Config, Domain, Route } from '../config/types.ts'

export type Place = {
  /** Index into `Config.upstreams`. */
  upstream: number
  upstreamRepository: string
}

export type Resolved = Place & {
  blobs: 'redirect' | 'stream'
  public: boolean
  /** Asked when the first one fails. */
  fallback: Place | null
  /** Names (upstream, repository) and the fallback's: what a cache may be keyed by. */
  scope: string
}

export type RouteTable = {
  /** Index into `Config.domains`; -1: the host is not served. `host`: lower case, without port. */
  findDomain(host: string): number
  /** null: no route serves this repository. */
  findRoute(domain: number, repository: string): Resolved | null
  /** Another config; `active`: indexes of the domains that are served, null: all. */
  replace(config: RoutedConfig, active: readonly number[] | null): void
}

export type RoutedConfig = Pick<Config, 'domains' | 'upstreams'>

// Resolved names are kept, as the same few repositories are asked for again and again; in all domains together, as
// clients can make up names under each.
const maxRemembered = 8192

export function createRouteTable(given: RoutedConfig): RouteTable {
  let config = given
  /** Hosts, and suffixes with `*.` before them. */
  let byHost = new Map<string, number>()
  let anyHost = -1
  let remembered: Map<string, Resolved>[] = []
  let maxOfDomain = maxRemembered

  const replace: RouteTable['replace'] = (next, active) => {
    config = next
    byHost = new Map()
    anyHost = -1
    for (const index of active ?? next.domains.keys()) {
      const host = next.domains[index]?.host
      if (host === null) anyHost = index
      else if (host !== undefined) byHost.set(host, index)
    }
    remembered = next.domains.map(() => new Map())
    maxOfDomain = Math.ceil(maxRemembered / Math.max(1, remembered.length))
  }
  replace(given, null)

  return {
    replace,
    findDomain: (host) => byHost.get(host) ?? findSuffix(byHost, host) ?? anyHost,
    findRoute(domain, repository) {
      const known = remembered[domain]?.get(repository)
      if (known) return known
      const resolved = resolve(config.domains[domain], config.upstreams, repository)
      const memory = remembered[domain]
      if (resolved && memory) {
        if (memory.size >= maxOfDomain) memory.clear()
        memory.set(repository, resolved)
      }
      return resolved
    },
  }
}

/** From the first dot on: the longest suffix comes first. */
function findSuffix(byHost: ReadonlyMap<string, number>, host: string): number | undefined {
  for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
    const index = byHost.get(`*${host.slice(dot)}`)
    if (index !== undefined) return index
  }
  return undefined
}

function resolve(
  domain: Domain | undefined,
  upstreams: Config['upstreams'],
  repository: string,
): Resolved | null {
  for (const route of domain?.routes ?? []) {
    const matched = matchPattern(route.repository, repository)
    if (matched === null) continue
    const own = placeOf(route, matched, upstreams)
    const fallback = route.fallback && placeOf(route.fallback, matched, upstreams)
    return {
      ...own,
      blobs: route.blobs,
      public: route.public,
      fallback,
      scope: `${scopeOf(own)}${fallback ? ` ${scopeOf(fallback)}` : ''}`,
    }
  }
  return null
}

function placeOf(
  target: Pick<Route, 'upstream' | 'upstreamRepository'>,
  matched: string,
  upstreams: Config['upstreams'],
): Place {
  const stars = target.upstreamRepository.includes('**') ? '**' : '*'
  const name = target.upstreamRepository.replace(stars, () => matched)
  const hub = upstreams[target.upstream]?.dockerHub && !name.includes('/')
  return { upstream: target.upstream, upstreamRepository: hub ? `library/${name}` : name }
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

function scopeOf(place: Place): string {
  return `${place.upstream} ${place.upstreamRepository}`
}
