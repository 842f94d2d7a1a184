import { expect, test } from 'vitest'
import type { Domain, Upstream } from './config/types.ts'
import { growTables, tablesOf } from './stable-indexes.ts'

const upstream = (host: string, password?: string): Upstream => ({
  origin: `https://${host}`,
  host,
  dockerHub: false,
  ca: null,
  credentials: password === undefined ? null : { username: 'u', password },
})
const domain = (host: string | null, ...upstreams: number[]): Domain => ({
  ...{ host, publicUrl: null, auth: 'open', recording: true, tls: null },
  routes: upstreams.map((index) => ({
    ...{
      repository: `r${index}`,
      upstream: index,
      upstreamRepository: 'x',
      blobs: 'redirect',
      public: false,
    },
    fallback: { upstream: upstreams[0] as number, upstreamRepository: 'y' },
  })),
})

test('an index means the same through every config', () => {
  const first = tablesOf({
    domains: [domain('a', 0), domain('b', 1)],
    upstreams: [upstream('x'), upstream('y')],
  })
  const second = growTables(
    first,
    { domains: [domain('c', 0), domain('a', 1, 0)], upstreams: [upstream('z'), upstream('y')] },
    9,
  )
  expect(second?.domains.map(({ host }) => host)).toEqual(['a', 'b', 'c'])
  expect(second?.upstreams.map(({ host }) => host)).toEqual(['x', 'y', 'z'])
  expect(second?.active).toEqual({ domains: [2, 0], upstreams: [2, 1] })
  const routes = second?.domains[0]?.routes
  expect(routes?.map((route) => route.upstream)).toEqual([1, 2])
  expect(routes?.map((route) => route.fallback?.upstream)).toEqual([1, 1])
  const third = growTables(second!, { domains: [domain('b', 0)], upstreams: [upstream('x')] }, 9)
  expect(third?.active).toEqual({ domains: [1], upstreams: [0] })
  expect(third?.domains.map(({ host }) => host)).toEqual(['a', 'b', 'c'])
})

test('another password is another upstream, and there is room for so many', () => {
  const first = tablesOf({ domains: [domain('a', 0)], upstreams: [upstream('x', 'p')] })
  const next = { domains: [domain('a', 0)], upstreams: [upstream('x', 'q')] }
  expect(growTables(first, next, 2)?.active.upstreams).toEqual([1])
  expect(growTables(first, next, 1)).toBeNull()
})
