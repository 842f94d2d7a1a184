/** Every network of MaxMind's test databases gives what its source says of it. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { isSpecialUse, parseAddress } from '../geo/address.ts'
import { createGeoLookup } from './geo.ts'
import { type GeoDatabase, loadDatabase } from './geo-database.ts'

const directory = new URL('../../../shared/data/maxmind/', import.meta.url)

async function load(name: string): Promise<GeoDatabase> {
  const database = await loadDatabase(new URL(`${name}.mmdb`, directory).pathname)
  if ('error' in database) throw new Error(`${name} ${database.error}`)
  return database
}

function bytesOf(text: string): Uint8Array {
  const address = parseAddress(text)
  if (address === null) throw new Error(`${text} is no address`)
  return address
}

type Source = Record<string, Record<string, never>>[]
function vectorsOf(name: string): [network: string, record: Record<string, never>, address: Uint8Array][] {
  const entries: Source = JSON.parse(readFileSync(new URL(`${name}.json`, directory), 'utf8'))
  return entries.flatMap((entry) =>
    Object.entries(entry).flatMap(([network, record]) => {
      const [base = ''] = network.split('/')
      // `::1.2.0.0/112` is 1.2.0.0/16.
      const four = /^::(?:ffff:)?(\d+\.\d+\.\d+\.\d+)$/.exec(base)?.[1]
      if (four === undefined && /^::/.test(base)) return []
      const address = bytesOf(four ?? base)
      return isSpecialUse(address) ? [] : [[network, record, address] as [string, typeof record, Uint8Array]]
    }),
  )
}

/** Networks that lie within others of the same file: what their base answers is the narrower record. */
function isOuter(vectors: ReturnType<typeof vectorsOf>, index: number): boolean {
  const base = vectors[index]![2].join()
  return vectors.some(([, , address], other) => other !== index && address.join() === base)
}

test.each([
  ['GeoLite2-ASN-Test', 'asn', 300],
  ['GeoIP2-ISP-Test', 'company', 1000],
  ['GeoIP2-Enterprise-Test', 'city', 15],
] as const)('every network of %s, used as %s, gives its number', async (name, role, least) => {
  const lookup = createGeoLookup({ [role]: await load(name), detail: 'city' })
  const vectors = vectorsOf(name)
  for (const [index, [network, record, address]] of vectors.entries()) {
    if (isOuter(vectors, index)) continue
    const traits: Record<string, never> = record['traits'] ?? record
    const { network: found } = lookup.network(address)
    expect(found.asn, network).toBe(traits['autonomous_system_number'] ?? null)
    if (traits['autonomous_system_organization'] !== undefined)
      expect(found.organization, network).not.toBeNull()
  }
  expect(vectors.length).toBeGreaterThan(least)
})

test.each([
  ['GeoLite2-Country-Test', 150],
  ['GeoIP2-Enterprise-Test', 15],
])('every network of %s gives its country', async (name, least) => {
  const { geo } = createGeoLookup({ city: await load(name), detail: 'country' })
  const vectors = vectorsOf(name)
  for (const [index, [network, record, address]] of vectors.entries()) {
    if (isOuter(vectors, index)) continue
    expect(geo(address).country, network).toBe(record['country']?.['iso_code'] ?? null)
  }
  expect(vectors.length).toBeGreaterThan(least)
})

test('every network of the types of lines gives its type', async () => {
  const company = await load('GeoIP2-Connection-Type-Test')
  const lookup = createGeoLookup({ company, detail: 'city' })
  const types = { 'Cable/DSL': 'isp', Cellular: 'mobile', Corporate: 'business', Satellite: 'isp' }
  const vectors = vectorsOf('GeoIP2-Connection-Type-Test')
  for (const [network, record, address] of vectors) {
    const type = types[record['connection_type'] as unknown as keyof typeof types]
    expect(lookup.network(address).network.type, network).toBe(type)
  }
  expect(vectors.length).toBeGreaterThan(15)
})

test('anonymising networks are hosting, and no company', async () => {
  const lookup = createGeoLookup({ company: await load('GeoIP2-Anonymous-IP-Test'), detail: 'city' })
  const found = lookup.network(bytesOf('71.160.223.1'))
  expect([found.network.type, found.company]).toEqual(['hosting', null])
})
