import { expect, test } from 'vitest'
import type { Config } from '../config/types.ts'
import { createRouteTable, matchPattern } from './route.ts'

const patterns: [pattern: string, repository: string, matched: string | null][] = [
  ['**', 'a/b/c', 'a/b/c'],
  ['**', 'a', 'a'],
  ['*', 'a', 'a'],
  ['*', 'a/b', null],
  ['app', 'app', ''],
  ['app', 'apps', null],
  ['acme/**', 'acme/x/y', 'x/y'],
  ['acme/**', 'acme', null],
  ['acme/*', 'acme/x/y', null],
  ['acme/*/chart', 'acme/x/chart', 'x'],
]

test.each(patterns)('%s against %s gives %s', (pattern, repository, matched) => {
  expect(matchPattern(pattern, repository)).toBe(matched)
})

const anonymous = { ca: null, credentials: null }
const alone = { public: false, fallback: null }
const domain = { recording: true, tls: null, publicUrl: null }

const config: Pick<Config, 'domains' | 'upstreams'> = {
  upstreams: [
    { origin: 'https://ghcr.io', host: 'ghcr.io', dockerHub: false, ...anonymous },
    { origin: 'https://registry-1.docker.io', host: 'registry-1.docker.io', dockerHub: true, ...anonymous },
  ],
  domains: [
    {
      host: 'cr.example.io',
      ...domain,
      auth: 'token',
      routes: [
        { repository: 'app', upstream: 0, upstreamRepository: 'acme-org/app', blobs: 'stream', ...alone },
        { repository: 'hub/**', upstream: 1, upstreamRepository: '**', blobs: 'redirect', ...alone },
      ],
    },
    {
      host: null,
      ...domain,
      auth: 'open',
      routes: [
        { repository: '**', upstream: 0, upstreamRepository: 'prefix/**', blobs: 'redirect', ...alone },
      ],
    },
  ],
}

test('the first matching route names upstream and repository', () => {
  const table = createRouteTable(config)
  const domain = table.findDomain('cr.example.io')
  expect(table.findRoute(domain, 'app')).toEqual({
    upstream: 0,
    upstreamRepository: 'acme-org/app',
    blobs: 'stream',
    public: false,
    fallback: null,
    scope: '0 acme-org/app',
  })
  expect(table.findRoute(domain, 'hub/alpine')?.upstreamRepository).toBe('library/alpine')
  expect(table.findRoute(domain, 'hub/grafana/loki')?.upstreamRepository).toBe('grafana/loki')
  expect(table.findRoute(domain, 'unknown')).toBeNull()
  expect(table.findRoute(table.findDomain('any.example'), 'x/y')?.upstreamRepository).toBe('prefix/x/y')
})

test('a host without a domain is not served when every domain has a name', () => {
  const table = createRouteTable({ ...config, domains: config.domains.slice(0, 1) })
  expect(table.findDomain('other.example')).toBe(-1)
})

test('a fallback has names of its own, and caches of the route are not those of the first alone', () => {
  const routes = [
    {
      repository: 'hub/**',
      upstream: 0,
      upstreamRepository: 'mirror/**',
      blobs: 'redirect' as const,
      public: false,
      fallback: { upstream: 1, upstreamRepository: '**' },
    },
  ]
  const table = createRouteTable({ ...config, domains: [{ host: null, ...domain, auth: 'open', routes }] })
  expect(table.findRoute(0, 'hub/alpine')).toMatchObject({
    upstream: 0,
    upstreamRepository: 'mirror/alpine',
    fallback: { upstream: 1, upstreamRepository: 'library/alpine' },
    scope: '0 mirror/alpine 1 library/alpine',
  })
})

const hosts: [host: string, domain: string | null][] = [
  ['a.example', 'a.example'],
  ['x.a.example', '*.a.example'],
  ['y.x.a.example', '*.a.example'],
  ['b.a.example', '*.a.example'],
  ['c.b.a.example', '*.b.a.example'],
  ['exact.b.a.example', 'exact.b.a.example'],
  ['example', null],
  ['xa.example', null],
  ['.a.example', '*.a.example'],
  ['', null],
]
test.each(hosts)('host %s is served as %s', (host, wanted) => {
  const names = ['a.example', '*.a.example', '*.b.a.example', 'exact.b.a.example']
  const domains = names.map((name) => ({ ...domain, host: name, auth: 'open' as const, routes: [] }))
  const table = createRouteTable({ domains, upstreams: [] })
  expect(domains[table.findDomain(host)]?.host ?? null).toBe(wanted)
})

test('another config counts at once, and a domain that is gone is not served', () => {
  const table = createRouteTable(config)
  expect(table.findRoute(0, 'app')?.upstream).toBe(0)
  const [first, any] = config.domains as [(typeof config.domains)[0], (typeof config.domains)[0]]
  const [route] = first.routes as [(typeof first.routes)[0]]
  const moved = { ...first, routes: [{ ...route, upstream: 1 }] }
  table.replace({ ...config, domains: [moved, any] }, [0])
  expect(table.findRoute(0, 'app')?.upstream).toBe(1)
  expect(table.findDomain('any.example')).toBe(-1)
})
