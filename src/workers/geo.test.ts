import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { isSpecialUse } from '../geo/address.ts'
import { createGeoLookup, type GeoLookupOptions } from './geo.ts'
import { type GeoDatabase, loadDatabase } from './geo-database.ts'
import { cityOf, countryOf, networkNumberOf, networkOrganizationOf, regionOf } from './geo-fields.ts'

const directory = new URL('../../../shared/data/maxmind/', import.meta.url)
const temporary = mkdtempSync(join(tmpdir(), 'waybill-geo-'))
afterAll(() => rmSync(temporary, { recursive: true }))

function pathOf(name: string): string {
  return new URL(`${name}.mmdb`, directory).pathname
}

async function load(name: string): Promise<GeoDatabase> {
  const database = await loadDatabase(pathOf(name))
  if ('error' in database) throw new Error(`${name} ${database.error}`)
  return database
}

/** The 16 bytes of an address in text, by way of the URL parser for IPv6. */
function bytesOf(address: string): Uint8Array {
  const bytes = new Uint8Array(16)
  if (isIPv4(address)) {
    bytes.set([0xff, 0xff, ...address.split('.').map(Number)], 10)
    return bytes
  }
  const [head = '', tail = ''] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const groups = (part: string) =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))
  const first = groups(head)
  const last = groups(tail)
  const all = [...first, ...new Array(8 - first.length - last.length).fill(0), ...last]
  all.forEach((group, i) => {
    bytes[2 * i] = group >> 8
    bytes[2 * i + 1] = group & 255
  })
  return bytes
}

const city = await load('GeoLite2-City-Test')
const asn = await load('GeoLite2-ASN-Test')

function lookup(options: Partial<GeoLookupOptions> = {}) {
  return createGeoLookup({ city, asn, detail: 'city', ...options })
}

test.each([
  ['81.2.69.160', { country: 'GB', region: 'GB-ENG', city: 'London' }],
  ['2.125.160.216', { country: 'GB', region: 'GB-ENG', city: 'Boxford' }],
  ['89.160.20.112', { country: 'SE', region: 'SE-E', city: 'Linköping' }],
  ['67.43.156.1', { country: 'BT', region: null, city: null }],
  ['2001:218::1', { country: 'JP', region: null, city: null }],
  ['8.8.8.8', { country: null, region: null, city: null }],
])('%s is placed', (address, expected) => {
  expect(lookup().geo(bytesOf(address))).toEqual(expected)
})

test.each([
  ['1.128.0.1', 1221, 'Telstra', 'isp'],
  ['89.160.20.112', 29518, 'Bredband2', 'isp'],
  ['12.81.96.1', 7018, 'AT&T', 'isp'],
  ['2600:6000::1', 237, 'Merit Network', 'isp'],
])('the network of %s', (address, number, organization, type) => {
  expect(lookup().network(bytesOf(address))).toEqual({
    network: { asn: number, organization, type, cloud_provider: null, cloud_region: null },
    company: null,
    isCi: false,
  })
})

test('no more detail than was asked for', () => {
  const address = bytesOf('81.2.69.160')
  expect(lookup({ detail: 'country' }).geo(address)).toEqual({ country: 'GB', region: null, city: null })
  expect(lookup({ detail: 'region' }).geo(address)).toEqual({ country: 'GB', region: 'GB-ENG', city: null })
})

test('without databases all is null, build times too', () => {
  const nothing = lookup({ city: null, asn: null })
  expect(nothing.geo(bytesOf('81.2.69.160'))).toEqual({ country: null, region: null, city: null })
  expect(nothing.network(bytesOf('1.128.0.1')).network.asn).toBeNull()
  expect(nothing.data).toEqual({ city_built_at: null, asn_built_at: null })
})

test('build times are those of the files', () => {
  const { city_built_at, asn_built_at } = lookup().data
  expect(city_built_at).toBe(new Date(city.buildEpoch ?? 0).toISOString())
  expect(asn_built_at).toMatch(/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$/)
})

const special = [
  '0.1.2.3',
  '10.1.2.3',
  '100.64.0.1',
  '100.127.255.255',
  '127.0.0.1',
  '169.254.9.9',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.8',
  '192.0.2.1',
  '192.88.99.1',
  '192.168.1.1',
  '198.18.0.1',
  '198.19.255.255',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '64:ff9b::1',
  '100::1',
  '2001::1',
  '2001:1ff::1',
  '2001:db8::1',
  '2002:5102:45a0::1',
  '3fff:fff::1',
  'fc00::1',
  'fe80::1',
  'ff02::1',
]
test.each(special)('%s is never looked up', (address) => {
  expect(isSpecialUse(bytesOf(address))).toBe(true)
})

test.each([
  '1.1.1.1',
  '9.255.255.255',
  '11.0.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '172.15.255.255',
  '172.32.0.0',
  '192.0.1.0',
  '192.0.3.0',
  '198.17.255.255',
  '198.20.0.0',
  '223.255.255.255',
  '2001:200::1',
  '2001:db7::1',
  '2001:db9::1',
  '2003::1',
  '3fff:1000::1',
  '2606:4700::1111',
])('%s is an address of the internet', (address) => {
  expect(isSpecialUse(bytesOf(address))).toBe(false)
})

test('an IPv4 file is not asked about IPv6', () => {
  const four = lookup({ city: { ...city, ipVersion: 4 } })
  expect(four.geo(bytesOf('2001:218::1')).country).toBeNull()
  expect(four.geo(bytesOf('81.2.69.160')).country).toBe('GB')
})

test('an address that carries another inside is not taken for it', () => {
  // 6to4 and Teredo forms of 81.2.69.160, which the file itself would answer with GB.
  for (const address of ['2002:5102:45a0::1', '2001:0:5102:45a0::1']) {
    expect(lookup().geo(bytesOf(address)).country).toBeNull()
  }
})

test('every network of the test database gets its country, or nothing where it must', () => {
  const entries: Record<string, { country?: { iso_code: string } }>[] = JSON.parse(
    readFileSync(new URL('GeoLite2-City-Test.json', directory), 'utf8'),
  )
  const { geo } = lookup()
  let known = 0
  for (const [network = '', record] of entries.flatMap((entry) => Object.entries(entry))) {
    const [base = ''] = network.split('/')
    if (/^::(?:\d|$)/.test(base)) continue
    const bytes = bytesOf(base)
    const expected = isSpecialUse(bytes) ? null : (record.country?.iso_code ?? null)
    expect(geo(bytes).country, network).toBe(expected)
    if (expected !== null) known++
  }
  expect(known).toBeGreaterThan(150)
})

test.each([
  'GeoIP2-City-Test-Invalid-Node-Count',
  'MaxMind-DB-test-broken-pointers-24',
  'MaxMind-DB-test-broken-search-tree-24',
])('%s is refused', async (name) => {
  expect(await loadDatabase(pathOf(name))).toEqual({ error: 'is not a sound MaxMind DB file' })
})

test('a file whose damage cannot be seen answers something, and never throws', async () => {
  const broken = await load('GeoIP2-City-Test-Broken-Double-Format')
  const { geo, network } = lookup({ city: broken, asn: broken })
  for (let i = 0; i < 5000; i++) {
    const address = bytesOf(`${(i * 7) % 256}.${(i * 13) % 256}.${(i * 31) % 256}.${i % 256}`)
    const { country } = geo(address)
    if (country !== null) expect(country).toMatch(/^[A-Z]{2}$/)
    network(address)
  }
})

test.each([
  'GeoIP2-Anonymous-IP-Test',
  'GeoIP2-Connection-Type-Test',
  'GeoIP2-Enterprise-Test',
  'GeoIP2-ISP-Test',
  'GeoLite2-Country-Test',
])('%s is sound', async (name) => {
  expect(await loadDatabase(pathOf(name))).toMatchObject({ type: name.slice(0, -5), ipVersion: 6 })
})

test('a file that throws at a lookup is counted and says nothing of the address', async () => {
  const broken = readFileSync(pathOf('GeoLite2-City-Test'))
  const sab = new SharedArrayBuffer(broken.length)
  const bytes = Buffer.from(sab)
  broken.copy(bytes)
  const finder = lookup({ city: { ...city, sab } })
  // The data section, after the reader was made: each record decodes to an unknown type.
  bytes.fill(0x00, bytes.length >> 1)
  for (let i = 0; i < 32; i++) finder.geo(bytesOf(`81.2.69.${160 + i}`))
  finder.geo(bytesOf('89.160.20.112'))
  expect(finder.failures().city).toBeGreaterThan(0)
  expect(finder.failures().asn).toBe(0)
})

test.each([
  ['text', Buffer.from('not a database')],
  ['nothing', Buffer.alloc(0)],
  ['half a file', readFileSync(pathOf('GeoLite2-City-Test')).subarray(0, 9000)],
])('a file of %s is refused with a reason', async (name, content) => {
  const path = join(temporary, name)
  writeFileSync(path, content)
  expect(await loadDatabase(path)).toEqual({ error: expect.stringMatching(/^is /) })
})

test('a file that is not there is refused with the reason of the system', async () => {
  expect(await loadDatabase(join(temporary, 'none'))).toEqual({ error: 'cannot be read (ENOENT)' })
})

test.each([
  [
    { country_code: 'US', state1: 'California', city: 'San Francisco (South Beach)' },
    'US',
    'California',
    'San Francisco',
  ],
  [{ country_code: 'US', state1: '', city: '' }, 'US', null, null],
  [{ country: { iso_code: 'gb' }, subdivisions: 'x', city: { names: { en: 7 } } }, null, null, null],
  [{ country: { iso_code: 'GB' }, subdivisions: [{ iso_code: 'EN G' }] }, 'GB', null, null],
  [{ country_code: 'US', city: 'x'.repeat(300) }, 'US', null, null],
  ['garbage', null, null, null],
  [{ country: 'United States', country_code: 'US' }, 'US', null, null],
  [{ country: 'US', country_name: 'United States' }, 'US', null, null],
  [null, null, null, null],
  [12n, null, null, null],
])('record %# gives country, region, city', (record, country, region, cityName) => {
  expect([countryOf(record), regionOf(record, country), cityOf(record)]).toEqual([country, region, cityName])
})

test.each([
  [{ autonomous_system_number: 64500, autonomous_system_organization: 'Example' }, 64500, 'Example'],
  [{ asn: 'AS64500', as_name: 'Example' }, 64500, 'Example'],
  [{ autonomous_system_number: '64500' }, null, null],
  [{ autonomous_system_number: 1e12, autonomous_system_organization: {} }, null, null],
  [{ autonomous_system_number: 7n }, null, null],
])('record %# gives a network', (record, number, organization) => {
  expect([networkNumberOf(record), networkOrganizationOf(record)]).toEqual([number, organization])
})

test.each([
  ['GeoLite2-ASN-Test', 'city', 'is a GeoLite2-ASN database, which knows no countries'],
  ['GeoLite2-City-Test', 'asn', 'is a GeoLite2-City database, which knows no networks'],
  ['GeoLite2-Country-Test', 'company', 'is a GeoLite2-Country database, which knows no networks'],
] as const)('%s is refused as %s', async (name, role, error) => {
  expect(await loadDatabase(pathOf(name), role)).toEqual({ error })
})

test('an address in its mapped form is the address, in every file', async () => {
  const mapped = bytesOf('81.2.69.160')
  expect(mapped.subarray(0, 12).join()).toBe('0,0,0,0,0,0,0,0,0,0,255,255')
  for (const name of ['GeoLite2-City-Test', 'GeoIP2-Enterprise-Test', 'GeoLite2-Country-Test']) {
    expect(createGeoLookup({ city: await load(name), detail: 'country' }).geo(mapped).country).toBe('GB')
  }
})

test('an answer that somebody changed is not the next answer', () => {
  const { geo } = lookup()
  const first = geo(bytesOf('81.2.69.160'))
  expect(geo(bytesOf('81.2.69.161'))).toEqual(first)
  expect(Object.isFrozen(first)).toBe(true)
})
