/**
 * The domains and their upstreams; without any, one that takes every Host.
 */
import { formatHostPort, type UpstreamUrl } from './addresses.ts'
import { resolveCertificate } from './certificates.ts'
import { domainSettings } from './domain-schema.ts'
import type { ReadFile } from './files.ts'
import { createGroupValues, type GroupValues } from './group-values.ts'
import { findLoop, type OwnAddresses, portOf } from './own-addresses.ts'
import { resolveRoutes } from './routes.ts'
import type { SettledValues } from './settled-values.ts'
import type { Config, Domain, Listener, Route } from './types.ts'
import { createUpstreamList, joinRepository, type UpstreamList } from './upstreams.ts'

type Surroundings = { readonly readFile: ReadFile; readonly nowMs: number }
type DomainValues = GroupValues<typeof domainSettings>

export function resolveDomains(
  values: SettledValues,
  listen: readonly Listener[],
  surroundings: Surroundings,
): Pick<Config, 'domains' | 'upstreams'> {
  const upstream = values.get('upstream')
  const publicUrl = values.get('publicUrl')
  const upstreams = createUpstreamList()
  const groups = values.groups('domains')
  if (groups.length === 0) {
    refuseLoop(values, upstream, publicUrl, listen)
    const { auth, blobs } = { auth: values.get('auth'), blobs: values.get('blobs') }
    const routes = [catchAll(upstream, upstreams, blobs)]
    const domain: Domain = { host: null, publicUrl, auth, recording: true, tls: null, routes }
    return { domains: [domain], upstreams: upstreams.all }
  }
  if (publicUrl !== null)
    values.refuse('publicUrl', 'expected it as domains[].publicUrl, as there are domains')
  const all = groups.map((group) => createGroupValues(domainSettings, group)).filter(({ isWhole }) => isWhole)
  refuseRepeatedHosts(all, values.problems)
  const own: OwnAddresses = {
    listen,
    names: all.map((each) => ({ host: each.get('host') ?? '', publicUrl: each.get('publicUrl') })),
  }
  const judgeUpstream = (url: UpstreamUrl) => findLoop(url, own)
  const ownTop = judgeUpstream(upstream)
  if (ownTop !== null && values.isGiven('upstream')) values.refuse('upstream', ownTop)
  const domains = all.map((each): Domain => {
    const host = each.get('host')
    const auth = each.get('auth') ?? values.get('auth')
    const blobs = each.get('blobs') ?? values.get('blobs')
    warnOfOtherHost(each, host, values.warnings)
    const readings = each.groups('routes')
    const { problems, warnings } = values
    const context = { ...surroundings, problems, warnings, upstream, upstreams, judgeUpstream }
    const routes =
      readings.length === 0
        ? [catchAll(upstream, upstreams, blobs)]
        : resolveRoutes(readings, { ...context, domain: { auth, blobs } })
    return {
      host,
      publicUrl: each.get('publicUrl'),
      auth,
      recording: each.get('recording') ?? true,
      tls: resolveTls(values, each, listen, surroundings),
      routes,
    }
  })
  return { domains, upstreams: upstreams.all }
}

function catchAll(upstream: UpstreamUrl, upstreams: UpstreamList, blobs: Route['blobs']): Route {
  return {
    repository: '**',
    upstream: upstreams.add(upstream),
    upstreamRepository: joinRepository(upstream.prefix, '**'),
    blobs,
    public: false,
    fallback: null,
  }
}

function refuseLoop(
  values: SettledValues,
  upstream: UpstreamUrl,
  publicUrl: string | null,
  listen: readonly Listener[],
): void {
  if (publicUrl !== null && new URL(publicUrl).hostname === new URL(upstream.origin).hostname) {
    if (portOf(publicUrl) === portOf(upstream.origin)) {
      const key = values.found('upstream') === undefined ? 'publicUrl' : 'upstream'
      values.refuse(key, 'expected a registry, not this front itself: upstream and publicUrl are the same')
      return
    }
  }
  const why = findLoop(upstream, { listen, names: [] })
  if (why !== null) values.refuse('upstream', why)
}

function refuseRepeatedHosts(domains: readonly DomainValues[], problems: string[]): void {
  const places = new Map<string, string>()
  for (const each of domains) {
    const host = each.get('host') ?? ''
    const first = places.get(host)
    if (first === undefined) places.set(host, `${each.key}.host`)
    else problems.push(each.describe('host', `expected another host than that of ${first}`))
  }
}

function warnOfOtherHost(values: DomainValues, host: string | null, warnings: string[]): void {
  const publicUrl = values.get('publicUrl')
  if (publicUrl === null || host === null) return
  const { hostname } = new URL(publicUrl)
  const isBelow = host.startsWith('*.') && hostname.endsWith(host.slice(1))
  if (hostname !== host && !isBelow) {
    warnings.push(values.describe('publicUrl', `leads clients to another host than ${host}`))
  } else if (isBelow) {
    warnings.push(values.describe('publicUrl', `leads the clients of every host of ${host} to one of them`))
  }
}

function resolveTls(
  values: SettledValues,
  domain: DomainValues,
  listen: readonly Listener[],
  surroundings: Surroundings,
): Domain['tls'] {
  const { problems } = values
  for (const [key, other] of [
    ['tls.cert', 'tls.key'],
    ['tls.key', 'tls.cert'],
  ] as const) {
    const missing = domain.found(other) === undefined ? undefined : domain.describeMissing(key, other)
    if (missing !== undefined) problems.push(missing)
  }
  const cert = domain.found('tls.cert')
  const key = domain.found('tls.key')
  if (cert !== undefined && listen.length > 0 && listen.every(({ tls }) => tls === null)) {
    const where = listen.map(formatHostPort).join(', ')
    problems.push(
      domain.describe('tls.cert', `expected a listener with TLS, but there is only ${where}: set tls`),
    )
  }
  return resolveCertificate(values, cert, key, surroundings, domain.get('host') ?? undefined)
}
