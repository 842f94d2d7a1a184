/** Files as IPinfo and DB-IP publish them, from their bytes to what events say. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { createMmdb } from '../../test/support/mmdb.ts'
import { networksOfTests, providerDatabases } from '../../test/support/provider-databases.ts'
import { parseAddress } from '../geo/address.ts'
import { createGeoLookup } from './geo.ts'
import { type GeoDatabases, type GeoRole, loadDatabase } from './geo-database.ts'

const folder = mkdtempSync(join(tmpdir(), 'waybill-providers-'))
afterAll(() => rmSync(folder, { recursive: true }))

async function lookUp(provider: keyof typeof providerDatabases, recordSize: 24 | 28 | 32) {
  const databases: { -readonly [Role in GeoRole]?: GeoDatabases[Role] } = {}
  for (const [name, database] of Object.entries(providerDatabases[provider])) {
    const path = join(folder, `${provider}-${name}.mmdb`)
    writeFileSync(path, createMmdb({ ...database, recordSize }))
    const role = name as GeoRole
    const loaded = await loadDatabase(path, role)
    if ('error' in loaded) throw new Error(`${provider} ${name} ${loaded.error}`)
    databases[role] = loaded
  }
  const { geo, network } = createGeoLookup({ ...databases, detail: 'city' })
  return networksOfTests.map((cidr) => {
    const address = parseAddress(cidr.split('/')[0]!)!
    const { country, region, city } = geo(address)
    const { network: found, company } = network(address)
    const who = company === null ? null : [company.name, company.domain, company.confidence].join()
    return [country, region, city, found.asn, found.organization, found.type, who]
  })
}

test.each([
  [
    'ipinfo',
    [
      ['GB', 'England', 'London', 64500, 'Example Telecom', 'business', 'Example Steel,steel.example,high'],
      ['SE', 'Östergötland', 'Linköping', 64501, 'Example Servers', 'hosting', null],
      ['JP', 'Tokyo', 'Tokyo', 64502, 'Example Motors', 'education', null],
    ],
  ],
  [
    'ipinfoLite',
    [
      ['GB', null, null, 64500, 'Example Telecom', 'isp', null],
      ['SE', null, null, 64501, 'Example Servers', 'hosting', null],
      ['JP', null, null, 64502, 'Example Motors', 'business', 'Example Motors,motors.example,low'],
    ],
  ],
  [
    'dbip',
    [
      ['GB', 'England', 'London', 64500, 'Example Telecom', 'business', 'Example Steel,,high'],
      ['SE', 'Östergötland County', 'Linköping', 64501, 'Example Servers', 'hosting', null],
      ['JP', 'Tokyo', 'Chiyoda City', 64502, 'Example Motors', 'isp', null],
    ],
  ],
] as const)('the databases of %s', async (provider, expected) => {
  for (const recordSize of [24, 28, 32] as const) {
    expect(await lookUp(provider, recordSize), `${recordSize} bits`).toEqual(expected)
  }
})

test('a file of IPinfo that knows networks alone tells who owns them', async () => {
  const path = join(folder, 'asn.mmdb')
  writeFileSync(path, createMmdb(providerDatabases.ipinfo.asn))
  const asn = await loadDatabase(path, 'asn')
  if ('error' in asn) throw new Error(asn.error)
  const { network } = createGeoLookup({ asn, detail: 'city' })
  const found = networksOfTests.map((cidr) => network(parseAddress(cidr.split('/')[0]!)!))
  expect(
    found.map(({ network, company }) => [network.organization, network.type, company?.name ?? null]),
  ).toEqual([
    ['Example Telecom', 'isp', null],
    ['Example Servers', 'hosting', null],
    ['Example Motors', 'business', 'Example Motors'],
  ])
})

test('a database for another use is refused, by what it says it is', async () => {
  const path = join(folder, 'wrong.mmdb')
  writeFileSync(path, createMmdb(providerDatabases.dbip.asn))
  expect(await loadDatabase(path, 'city')).toEqual({
    error: 'is a DBIP-ASN-Lite (compat=GeoLite2-ASN) database, which knows no countries',
  })
  writeFileSync(path, createMmdb(providerDatabases.dbip.city))
  expect(await loadDatabase(path, 'asn')).toEqual({
    error: 'is a DBIP-City-Lite database, which knows no networks',
  })
})
