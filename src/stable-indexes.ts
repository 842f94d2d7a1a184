/**
 * Domains and upstreams of one config after another: records name them by index, so an index, once given, always
 * means the same host and the same upstream. New ones are appended, and what is gone keeps its place.
 */
import type { Config, Domain, Route, Upstream } from './config/types.ts'

export type Tables = {
  domains: Domain[]
  upstreams: Upstream[]
  /** Indexes of what the present config uses. */
  active: { domains: readonly number[]; upstreams: readonly number[] }
}

export function tablesOf({ domains, upstreams }: Pick<Config, 'domains' | 'upstreams'>): Tables {
  return {
    domains,
    upstreams,
    active: { domains: [...domains.keys()], upstreams: [...upstreams.keys()] },
  }
}

/** The same connections and the same rights: another password is another upstream. */
function keyOf({ origin, ca, credentials }: Upstream): string {
  return JSON.stringify([origin, ca, credentials?.username ?? null, credentials?.password ?? null])
}

/** null: more than `upstreamRoom` upstreams since the start. */
export function growTables(
  tables: Tables,
  next: Pick<Config, 'domains' | 'upstreams'>,
  upstreamRoom: number,
): Tables | null {
  const upstreams = [...tables.upstreams]
  const known = new Map(upstreams.map((upstream, index) => [keyOf(upstream), index]))
  const indexes = next.upstreams.map((upstream) => {
    const index = known.get(keyOf(upstream)) ?? upstreams.push(upstream) - 1
    known.set(keyOf(upstream), index)
    return index
  })
  if (upstreams.length > upstreamRoom) return null
  const move = (route: Route): Route => ({
    ...route,
    upstream: indexes[route.upstream] as number,
    fallback: route.fallback && { ...route.fallback, upstream: indexes[route.fallback.upstream] as number },
  })
  const domains = [...tables.domains]
  const byHost = new Map(domains.map(({ host }, index) => [host, index]))
  const active = next.domains.map((domain) => {
    const index = byHost.get(domain.host) ?? domains.length
    domains[index] = { ...domain, routes: domain.routes.map(move) }
    byHost.set(domain.host, index)
    return index
  })
  return { domains, upstreams, active: { domains: active, upstreams: [...new Set(indexes)] } }
}
