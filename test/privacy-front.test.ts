/** What a client may ask and wish for at the front: the page /privacy, not to be recorded, and who is refused. */
import { afterAll, expect, test } from 'vitest'
import { compileBlock } from '../src/block-ranges.ts'
import { parseAddress } from '../src/geo/address.ts'
import { compileOverrides } from '../src/geo/overrides.ts'
import { shareBytes } from '../src/geo/range-builder.ts'
import { createBlock } from '../src/proxy/block.ts'
import { type GeoDatabase, loadDatabase, noGeoDatabases } from '../src/workers/geo-database.ts'
import { startFront, type TestFront } from './support/front.ts'
import { sharedData } from './support/shared-data.ts'

async function load(name: string) {
  const loaded = await loadDatabase(sharedData(`maxmind/${name}.mmdb`))
  if ('error' in loaded) throw new Error(loaded.error)
  return loaded
}
function overridesOf(text: string): GeoDatabase {
  const compiled = compileOverrides(text, null)
  if ('problems' in compiled) throw new Error(compiled.problems.join())
  const sab = shareBytes(compiled.bytes)
  return { sab, format: 'table', type: 'overrides', buildEpoch: null, ipVersion: 6 }
}
const databases = {
  ...noGeoDatabases,
  city: await load('GeoLite2-City-Test'),
  asn: await load('GeoLite2-ASN-Test'),
  company: await load('GeoIP2-Enterprise-Test'),
  overrides: overridesOf('range,company,domain,type\n1.129.0.0/24,,,hosting\n'),
}
const nobody = { countries: [], asns: [], types: [], ranges: [], companies: [] }

const fronts: TestFront[] = []
afterAll(() => Promise.all(fronts.map((front) => front.stop())))
async function start(options: Partial<Parameters<typeof startFront>[0]> = {}): Promise<TestFront> {
  // Nothing listens there: what is asked of the registry is answered with 502, and recorded all the same.
  const front = await startFront({ upstream: 'http://127.0.0.1:9', ...options })
  fronts.push(front)
  return front
}
const pull = (front: TestFront, headers: Record<string, string> = {}) =>
  fetch(`${front.url}/v2/acme/app/tags/list`, { headers })

test.each([
  [{ DNT: '1' }, ['do_not_track']],
  [{ 'Sec-GPC': '1' }, ['global_privacy_control']],
  [{ DNT: '0', 'Sec-GPC': '?1' }, []],
])('%j', async (headers, reasons) => {
  const front = await start()
  const answer = await pull(front, headers as Record<string, string>)
  expect(answer.status).toBe(502)
  expect(front.unrecorded).toEqual(reasons)
  expect(front.records).toHaveLength(reasons.length === 0 ? 1 : 0)
})

test('under a name that is not recorded everybody is served and nobody recorded', async () => {
  const front = await start({ recording: false })
  expect((await fetch(`${front.url}/v2/`)).status).toBe(200)
  await pull(front, { DNT: '1' })
  expect(front.unrecorded).toEqual(['recording_off', 'recording_off'])
  expect(front.records).toEqual([])
})

test('the page /privacy is words for people and JSON for programs, and no part of it is markup of the config', async () => {
  const front = await start({ auth: 'token' })
  const words = await fetch(`${front.url}/privacy`, { headers: { Accept: 'text/html,*/*' } })
  expect(words.headers.get('content-type')).toBe('text/html; charset=utf-8')
  const html = await words.text()
  expect(html).toContain('Example &lt;Org&gt;')
  expect(html).not.toContain('<Org>')
  const json = await fetch(`${front.url}/privacy`, { headers: { Accept: 'application/json' } })
  expect(json.headers.get('content-type')).toBe('application/json')
  expect(await json.json()).toMatchObject({
    operator: 'Example <Org>',
    contact: null,
    address: { kept: false, pseudonyms: { key_rotation: '1 day', linkable_at_most: '1 day 30 minutes' } },
    kept_for: { package_events: '400 days', request_events: 'not kept here' },
    others_that_see_the_address: expect.stringContaining('redirected'),
  })
  const head = await fetch(`${front.url}/privacy`, { method: 'HEAD' })
  expect([head.status, Number(head.headers.get('content-length')) > 0]).toEqual([200, true])
  expect(front.records).toEqual([])
})

test('where layers are sent by the front, the page says that nobody else sees the address', async () => {
  const front = await start({ blobs: 'stream' })
  const json = await fetch(`${front.url}/privacy`, { headers: { Accept: 'application/json' } })
  expect(await json.json()).toMatchObject({ others_that_see_the_address: expect.stringContaining('nobody') })
})

const cases: [
  name: string,
  block: Partial<typeof nobody> | object,
  address: string,
  reason: string | null,
][] = [
  ['a range', { ranges: ['192.0.2.0/24'] }, '192.0.2.7', 'range'],
  ['beside the range', { ranges: ['192.0.2.0/24'] }, '192.0.3.0', null],
  ['a range of IPv6', { ranges: ['2001:db8::/32'] }, '2001:db8::7', 'range'],
  ['a country', { countries: ['GB'] }, '81.2.69.160', 'country'],
  ['a country, IPv6', { countries: ['JP'] }, '2001:218::1', 'country'],
  ['another country', { countries: ['GB'] }, '89.160.20.112', null],
  ['a network', { asns: [29518] }, '89.160.20.112', 'asn'],
  ['a network, IPv6', { asns: [237] }, '2600:6000::1', 'asn'],
  ['a company by its name', { companies: ['Mercedes-Benz'] }, '53.16.0.1', 'company'],
  ['a company by its domain', { companies: ['mercedes-benz.com'] }, '53.16.0.1', 'company'],
  ['a type of network', { types: ['hosting', 'isp'] }, '1.128.0.1', 'type'],
  ['a type of network, IPv6', { types: ['isp'] }, '2600:6000::1', 'type'],
  ['another type of network', { types: ['hosting'] }, '1.128.0.1', null],
  ['a type that a database of companies tells', { types: ['government'] }, '89.160.20.112', 'type'],
  ['a type that a database of companies knows better', { types: ['isp'] }, '89.160.20.112', null],
  ['a type that the operator tells', { types: ['hosting'] }, '1.129.0.1', 'type'],
  ['a type that the operator knows better', { types: ['isp'] }, '1.129.0.1', null],
  ['beside what the operator knows', { types: ['isp'] }, '1.129.1.1', 'type'],
  ['a country, nowhere', { countries: ['GB'] }, '10.0.0.1', null],
]
test.each(cases)('blocked: %s', async (_name, block, address, reason) => {
  const memory = await compileBlock({ ...nobody, ...block }, databases)
  expect(createBlock(memory)?.(parseAddress(address)!) ?? null).toBe(reason)
})

test('nobody blocked is nothing to look up', async () => {
  expect(await compileBlock(nobody, databases)).toBeNull()
  expect(createBlock(null)).toBeNull()
})

test('a blocked client gets DENIED for everything but the page /privacy, and is counted', async () => {
  const block = (await compileBlock({ ...nobody, ranges: ['127.0.0.0/8'] }, noGeoDatabases))!
  const front = await start({ block, auth: 'token' })
  for (const path of ['/v2/', '/token', '/v2/acme/app/manifests/latest', '/elsewhere']) {
    const answer = await fetch(`${front.url}${path}`)
    expect([path, answer.status]).toEqual([path, 403])
    expect(await answer.json()).toEqual({ errors: [{ code: 'DENIED', message: expect.any(String) }] })
  }
  expect(front.refusals).toEqual(Array(4).fill('blocked_range'))
  expect((await fetch(`${front.url}/privacy`)).status).toBe(200)
  expect((await fetch(`${front.url}/readyz`)).status).toBe(200)
  front.proxy.setBlock(null)
  expect((await fetch(`${front.url}/v2/`)).status).toBe(401)
})

test('behind a trusted proxy it is the client that is blocked', async () => {
  const block = (await compileBlock({ ...nobody, countries: ['GB'] }, databases))!
  const front = await start({ block, trustedProxies: ['127.0.0.0/8'] })
  const ping = (address: string) => fetch(`${front.url}/v2/`, { headers: { 'X-Forwarded-For': address } })
  expect((await ping('81.2.69.160')).status).toBe(403)
  expect((await ping('89.160.20.112')).status).toBe(200)
})
