/** Several registries behind several names: where each repository comes from, what it is called, and reloading. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readLog, readMetric } from './support/admin.ts'
import { createCertificates } from './support/certificates.ts'
import { type ConfiguredWaybill, startConfigured } from './support/domains.ts'
import { fetchToken, pullByHand, send } from './support/http-client.ts'
import { type Nginx, startNginx } from './support/nginx.ts'
import { freePort } from './support/processes.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'

let first: Registry
let second: Registry
let encrypted: Nginx
let waybill: ConfiguredWaybill
let config: { domains: { host: string; routes: object[] }[] }
const host = 'cr.example.test'

beforeAll(async () => {
  ;[first, second] = await Promise.all([startRegistry(), startRegistry()])
  const { ca, cert, key } = await createCertificates()
  const tlsPort = await freePort()
  encrypted = await startNginx(
    `listen 127.0.0.1:${tlsPort} ssl; ssl_certificate ${cert}; ssl_certificate_key ${key};
     location / { proxy_pass ${second.url}; }`,
  )
  await Promise.all([
    pushImage(first, 'team/real', '1.0'),
    pushImage(first, 'team/other', '2.0'),
    pushImage(second, 'deep/er/image', '3.0'),
    pushImage(second, 'moved', '1.0'),
    pushImage(first, 'moved', '1.0'),
  ])
  config = {
    domains: [
      {
        host,
        routes: [
          { repository: 'app', upstream: first.url, upstreamRepository: 'team/real' },
          { repository: 'team/*', upstream: `${first.url}/team`, upstreamRepository: '**' },
          {
            repository: 'secure/**',
            upstream: `https://127.0.0.1:${tlsPort}`,
            upstreamRepository: 'deep/**',
            upstreamTls: { ca },
          },
          { repository: 'moved', upstream: first.url },
          { repository: '**', upstream: second.url },
        ],
      },
      { host: '*.quiet.example.test', routes: [{ repository: '**', upstream: first.url }] },
    ],
  }
  Object.assign(config.domains[1] as object, { recording: 'off' })
  waybill = await startConfigured({ ...config, threads: { proxy: 2 } })
})
afterAll(async () => {
  await waybill?.stop()
  await encrypted?.stop()
  await Promise.all([first?.stop(), second?.stop()])
})

const as = (name: string, more: Record<string, string> = {}) => ({ headers: { host: name, ...more } })
async function get(name: string, path: string) {
  const authorization = `Bearer ${await fetchToken(waybill.url, as(name))}`
  return send(`${waybill.url}${path}`, as(name, { authorization }))
}

const pulls: [repository: string, tag: string][] = [
  ['app', '1.0'],
  ['team/other', '2.0'],
  ['secure/er/image', '3.0'],
  ['deep/er/image', '3.0'],
]
test.each(pulls)('%s:%s is pulled whole through its route', async (repository, tag) => {
  const { statuses } = await pullByHand(waybill.url, repository, tag, as(host))
  expect(statuses[0]).toBe(401)
  expect(new Set(statuses.slice(1))).toEqual(new Set([200]))
})

test('a list has the name that the client knows, on every page', async () => {
  const { body } = await get(host, '/v2/app/tags/list')
  expect(JSON.parse(body.toString())).toEqual({ name: 'app', tags: ['1.0'] })
  const page = await get(host, '/v2/team/other/tags/list?n=1')
  expect(JSON.parse(page.body.toString())).toMatchObject({ name: 'team/other' })
  expect(page.headers['link'] ?? '</v2/team/other/tags/list>').toMatch(/^<\/v2\/team\/other\/tags\/list/)
})

test('what no route and no domain serves does not exist', async () => {
  expect((await get(host, '/v2/team/a/b/tags/list')).status).toBe(404)
  const unknown = await send(`${waybill.url}/v2/`, as('other.example.test'))
  expect(unknown.status).toBe(404)
  expect(unknown.body.toString()).toContain('NAME_UNKNOWN')
  expect((await send(`${waybill.url}/v2/`, as('quiet.example.test'))).status).toBe(404)
})

test('a domain off the record is served, counted, and leaves nothing', async () => {
  const name = 'x.quiet.example.test'
  const before = (await readMetric(waybill, 'waybill_ring_records_total')) ?? 0
  const { statuses } = await pullByHand(waybill.url, 'team/real', '1.0', as(name))
  expect(new Set(statuses.slice(1))).toEqual(new Set([200]))
  const count = statuses.length + 1
  await expect.poll(() => readMetric(waybill, 'waybill_proxy_unrecorded_requests_total')).toBe(count)
  expect(await readMetric(waybill, 'waybill_ring_records_total')).toBe(before)
})

test('events say the public name, the upstream and the name there', async () => {
  const event = async () => (await waybill.events()).find(({ repository }) => repository === 'app')
  await expect.poll(event, { timeout: 20_000 }).toMatchObject({
    domain: host,
    upstream: first.host,
    upstream_repository: 'team/real',
  })
  expect((await waybill.events()).some(({ domain }) => domain?.includes('quiet'))).toBe(false)
})

test('a config that a reload cannot take is refused as a whole', async () => {
  const refused = () => readMetric(waybill, 'waybill_config_reloads_total', { result: 'refused' })
  waybill.reload({
    domains: [{ host: 'new.example.test' }],
    threads: { proxy: 1 },
    limits: { connections: 5 },
  })
  await expect.poll(refused).toBe(1)
  waybill.reload({ domains: [{ host: 'new.example.test', rutes: [] }], threads: { proxy: 2 } })
  await expect.poll(refused).toBe(2)
  const problems = readLog(waybill).flatMap(({ problem }) => problem ?? [])
  expect(problems).toEqual([
    'threads.proxy: cannot change before the next start',
    'limits.connections: cannot change before the next start',
    expect.stringMatching(/^domains\[0\]\.rutes: unknown key .* did you mean domains\[0\]\.routes\?$/),
  ])
  expect((await send(`${waybill.url}/v2/`, as(host))).status).toBe(401)
  expect((await send(`${waybill.url}/v2/`, as('new.example.test'))).status).toBe(404)
})

test('an upstream is switched during 1,000 pulls, and none fails', async () => {
  const total = 1000
  const digests = new Set<string>()
  const failures: string[] = []
  let started = 0
  const switched = structuredClone(config)
  const routes = switched.domains[0]?.routes as { repository: string; upstream: string }[]
  const route = routes.find(({ repository }) => repository === 'moved')
  const asked = (registry: Registry) =>
    readMetric(waybill, 'waybill_upstream_requests_total', { upstream: registry.host })
  const before = (await asked(second)) ?? 0
  const pull = async (): Promise<void> => {
    while (started < total) {
      const number = started++
      if (number === 300 || number === 600) {
        if (route) route.upstream = number === 300 ? second.url : first.url
        waybill.reload({ ...switched, threads: { proxy: 2 } })
      }
      try {
        const { digest, statuses } = await pullByHand(waybill.url, 'moved', '1.0', as(host))
        digests.add(digest)
        const wrong = statuses.slice(1).filter((status) => status !== 200)
        if (wrong.length > 0) failures.push(`pull ${number}: ${wrong}`)
      } catch (error) {
        failures.push(`pull ${number}: ${error}`)
      }
    }
  }
  await Promise.all(Array.from({ length: 8 }, pull))
  expect(failures).toEqual([])
  expect(digests.size).toBe(1)
  expect(await readMetric(waybill, 'waybill_config_reloads_total', { result: 'ok' })).toBe(2)
  expect(await asked(second)).toBeGreaterThan(before + 300)
})

test('a domain that a reload brings is served, named in events, and gone with the next', async () => {
  const name = 'late.example.test'
  const oks = () => readMetric(waybill, 'waybill_config_reloads_total', { result: 'ok' })
  const late = {
    host: name,
    routes: [{ repository: '**', upstream: first.url.replace('127.0.0.1', 'localhost') }],
  }
  const before = (await oks()) ?? 0
  waybill.reload({ domains: [...config.domains, late], threads: { proxy: 2 } })
  await expect.poll(oks, { timeout: 10_000 }).toBe(before + 1)
  await pullByHand(waybill.url, 'team/real', '1.0', as(name))
  const event = async () => (await waybill.events()).find(({ domain }) => domain === name)
  await expect
    .poll(event, { timeout: 20_000 })
    .toMatchObject({ repository: 'team/real', upstream: first.host.replace('127.0.0.1', 'localhost') })
  waybill.reload({ ...config, threads: { proxy: 2 } })
  await expect.poll(oks, { timeout: 10_000 }).toBe(before + 2)
  expect((await send(`${waybill.url}/v2/`, as(name))).status).toBe(404)
  const { dependencies } = (await (await fetch(`${waybill.admin}/readyz`)).json()) as { dependencies: object }
  expect(Object.keys(dependencies).filter((each) => each.includes('localhost'))).toEqual([])
})
