/**
 * The routes of a domain: each with its upstream, its name there, and what it must not be.
 */
import type { UpstreamUrl } from './addresses.ts'
import { routeSettings } from './domain-schema.ts'
import type { ReadFile } from './files.ts'
import type { GroupReading } from './findings.ts'
import { createGroupValues, type GroupValues } from './group-values.ts'
import { isLoopback } from './own-addresses.ts'
import { covers, hasWildcard } from './repository-pattern.ts'
import type { Domain, Route, Upstream } from './types.ts'
import { joinRepository, resolveAuthorities, type UpstreamList } from './upstreams.ts'

type RouteValues = GroupValues<typeof routeSettings>

export type RouteContext = {
  readonly readFile: ReadFile
  readonly problems: string[]
  readonly warnings: string[]
  /** The `upstream` of the top. */
  readonly upstream: UpstreamUrl
  readonly upstreams: UpstreamList
  readonly domain: Pick<Domain, 'auth'> & { readonly blobs: Route['blobs'] }
  /** What is wrong with asking this registry, like that it is the front itself. */
  judgeUpstream(url: UpstreamUrl): string | null
}

export function resolveRoutes(readings: readonly GroupReading[], context: RouteContext): Route[] {
  const seen: { key: string; pattern: string }[] = []
  return readings.flatMap((reading) => {
    const values = createGroupValues(routeSettings, reading)
    const pattern = values.get('repository')
    const route = resolveRoute(values, pattern, context)
    if (pattern === null) return []
    const earlier = seen.find((other) => covers(other.pattern, pattern))
    if (earlier !== undefined) {
      const tail = `is never reached: ${earlier.key}.repository ${JSON.stringify(earlier.pattern)} matches all that it does`
      context.warnings.push(values.describe('repository', tail))
    }
    seen.push({ key: values.key, pattern })
    return [route]
  })
}

function resolveRoute(values: RouteValues, pattern: string | null, context: RouteContext): Route {
  const { problems, upstreams } = context
  const url = values.get('upstream') ?? context.upstream
  refuseUpstream(values, 'upstream', url, context)
  const ca = resolveAuthorities(problems, values.found('upstreamTls.ca'), context.readFile)
  if (ca !== null && url.origin.startsWith('http:')) {
    problems.push(
      values.describe('upstreamTls.ca', 'expected an upstream with https://, as only that has TLS'),
    )
  }
  const isPublic = values.get('public') ?? false
  const credentials = resolveCredentials(values, pattern, isPublic, context)
  return {
    repository: pattern ?? '**',
    upstream: upstreams.add(url, ca, credentials),
    upstreamRepository: joinRepository(
      url.prefix,
      resolveName(values, 'upstreamRepository', pattern, problems),
    ),
    blobs: values.get('blobs') ?? context.domain.blobs,
    public: isPublic,
    fallback: resolveFallback(values, pattern, url, context),
  }
}

function refuseUpstream(
  values: RouteValues,
  key: 'upstream' | 'fallback.upstream',
  url: UpstreamUrl,
  context: RouteContext,
): void {
  // That of the top is judged where it stands.
  if (values.found(key) === undefined) return
  const why = context.judgeUpstream(url)
  if (why !== null) context.problems.push(values.describe(key, why))
  const { protocol, hostname } = new URL(url.origin)
  if (protocol === 'http:' && !isLoopback(hostname)) {
    context.warnings.push(values.describe(key, 'is asked without TLS'))
  }
}

/** What the front may read with these must be what everybody may read: nothing private is published by accident. */
function resolveCredentials(
  values: RouteValues,
  pattern: string | null,
  isPublic: boolean,
  { problems, domain }: RouteContext,
): Upstream['credentials'] {
  const given = values.givenBelow('credentials.')
  if (given === undefined) return null
  for (const key of ['credentials.username', 'credentials.password'] as const) {
    const missing = values.describeMissing(key, given)
    if (missing !== undefined) problems.push(missing)
  }
  const place = `${values.key}.credentials`
  const line = values.found(given)?.source.name ?? 'the config file'
  const refuse = (tail: string): void => {
    problems.push(`${place}: given (${line}): ${tail}`)
  }
  if (!isPublic)
    refuse('expected "public: true" beside them: with them the front serves to everybody what they may read')
  if (pattern !== null && hasWildcard(pattern)) {
    const shown = JSON.stringify(pattern)
    refuse(
      `expected a repository without wildcard instead of ${shown}, so that nothing private is served by accident`,
    )
  }
  if (domain.auth === 'passthrough')
    refuse('expected none with auth: passthrough, where clients sign in themselves')
  const username = values.get('credentials.username')
  const password = values.get('credentials.password')
  return username === null || password === null ? null : { username, password }
}

function resolveName(
  values: RouteValues,
  key: 'upstreamRepository' | 'fallback.upstreamRepository',
  pattern: string | null,
  problems: string[],
): string {
  const name = values.get(key)
  if (name === null || pattern === null) return pattern ?? '**'
  if (hasWildcard(pattern) && !hasWildcard(name)) {
    const tail = `expected "**" in it, as repository ${JSON.stringify(pattern)} stands for many names that must not become one`
    problems.push(values.describe(key, tail))
  }
  if (!hasWildcard(pattern) && hasWildcard(name)) {
    problems.push(
      values.describe(
        key,
        `expected no wildcard, as repository ${JSON.stringify(pattern)} has none to stand for`,
      ),
    )
  }
  return name
}

function resolveFallback(
  values: RouteValues,
  pattern: string | null,
  first: UpstreamUrl,
  context: RouteContext,
): Route['fallback'] {
  const { problems, upstreams } = context
  const given = values.givenBelow('fallback.')
  if (given === undefined) return null
  const missing = values.describeMissing('fallback.upstream', given)
  if (missing !== undefined) problems.push(missing)
  const url = values.get('fallback.upstream')
  if (url === null) return null
  refuseUpstream(values, 'fallback.upstream', url, context)
  if (url.origin === first.origin) {
    problems.push(
      values.describe('fallback.upstream', 'expected another registry than that which has failed'),
    )
  }
  const ca = resolveAuthorities(problems, values.found('fallback.upstreamTls.ca'), context.readFile)
  const name = resolveName(values, 'fallback.upstreamRepository', pattern, problems)
  return { upstream: upstreams.add(url, ca), upstreamRepository: joinRepository(url.prefix, name) }
}
