/** Small databases with the names and fields that providers publish, of networks that test data have. */
import type { GeoRole } from '../../src/workers/geo-database.ts'
import type { MmdbOptions, MmdbValue } from './mmdb.ts'

/** An access network with a company behind it, a hoster, and IPv6. */
export const networksOfTests = ['81.2.69.160/27', '89.160.20.112/28', '2001:218::/32'] as const

type Database = Pick<MmdbOptions, 'databaseType' | 'networks'>

const over = (...records: [MmdbValue, MmdbValue, MmdbValue]): MmdbOptions['networks'] =>
  networksOfTests.map((network, place) => [network, records[place]!])

const ipinfoCity = (city: string, region: string, country: string, postal: string) => ({
  ...{ city, region, country, lat: '51.50853', lng: '-0.12574', postal_code: postal },
  ...{ timezone: 'Europe/London', geoname_id: '2643743' },
})
const ipinfoAsn = (asn: string, name: string, domain: string, type: string, country: string) => ({
  ...{ asn, name, domain, type, country, route: '192.0.2.0/24' },
})
const ipinfoLite = (countryCode: string, country: string, asn: string, name: string, domain: string) => ({
  ...{ country_code: countryCode, country, continent_code: 'EU', continent: 'Europe' },
  ...{ asn, as_name: name, as_domain: domain },
})
const dbip = (country: string, region: string, city: string, more: Record<string, MmdbValue> = {}) => ({
  city: { geoname_id: 2643743, names: { en: city, de: city } },
  continent: { code: 'EU', geoname_id: 6255148, names: { en: 'Europe' } },
  country: { geoname_id: 2635167, is_in_european_union: false, iso_code: country, names: { en: country } },
  location: { latitude: 51.5072, longitude: -0.127586 },
  subdivisions: [{ names: { en: region } }],
  ...more,
})
const dbipAsn = (number: number, name: string) => ({
  autonomous_system_number: number,
  autonomous_system_organization: name,
})
const dbipIsp = (number: number, name: string, organization: string, userType: string) => ({
  traits: {
    ...dbipAsn(number, name),
    isp: name,
    organization,
    connection_type: 'Corporate',
    user_type: userType,
  },
})

export const providerDatabases = {
  ipinfo: {
    city: {
      databaseType: 'ipinfo standard_location_mmdb_v4.mmdb',
      networks: over(
        ipinfoCity('London', 'England', 'GB', 'EC1A'),
        ipinfoCity('Linköping', 'Östergötland', 'SE', '581 00'),
        ipinfoCity('Tokyo', 'Tokyo', 'JP', '101-8656'),
      ),
    },
    asn: {
      databaseType: 'ipinfo standard_asn_mmdb_v4.mmdb',
      networks: over(
        ipinfoAsn('AS64500', 'Example Telecom Ltd', 'telecom.example', 'isp', 'GB'),
        ipinfoAsn('AS64501', 'Example Servers AB', 'servers.example', 'hosting', 'SE'),
        ipinfoAsn('AS64502', 'Example Motors Co., Ltd.', 'motors.example', 'business', 'JP'),
      ),
    },
    company: {
      databaseType: 'ipinfo standard_company_mmdb_v4.mmdb',
      networks: over(
        {
          ...{ name: 'Example Steel Ltd', domain: 'steel.example', type: 'business', country: 'GB' },
          ...{ asn: 'AS64500', as_name: 'Example Telecom Ltd', as_domain: 'telecom.example', as_type: 'isp' },
        },
        {
          ...{ name: 'Example Servers AB', domain: 'servers.example', type: 'hosting', country: 'SE' },
          ...{
            asn: 'AS64501',
            as_name: 'Example Servers AB',
            as_domain: 'servers.example',
            as_type: 'hosting',
          },
        },
        {
          ...{ name: 'Example University', domain: 'ac.example', type: 'education', country: 'JP' },
          ...{ asn: 'AS64502', as_name: 'Example Motors Co., Ltd.', as_domain: '', as_type: 'business' },
        },
      ),
    },
  },
  ipinfoLite: {
    city: {
      databaseType: 'ipinfo bundle_location_lite.mmdb',
      networks: over(
        ipinfoLite('GB', 'United Kingdom', 'AS64500', 'Example Telecom Ltd', 'telecom.example'),
        ipinfoLite('SE', 'Sweden', 'AS64501', 'Example Servers AB', 'servers.example'),
        ipinfoLite('JP', 'Japan', 'AS64502', 'Example Motors Co., Ltd.', 'motors.example'),
      ),
    },
  },
  dbip: {
    city: {
      databaseType: 'DBIP-City-Lite',
      networks: over(
        dbip('GB', 'England', 'London (City of London)'),
        dbip('SE', 'Östergötland County', 'Linköping'),
        dbip('JP', 'Tokyo', 'Chiyoda City'),
      ),
    },
    asn: {
      databaseType: 'DBIP-ASN-Lite (compat=GeoLite2-ASN)',
      networks: over(
        dbipAsn(64500, 'Example Telecom Ltd'),
        dbipAsn(64501, 'Example Servers AB'),
        dbipAsn(64502, 'Example Motors Co., Ltd.'),
      ),
    },
    company: {
      databaseType: 'DBIP-ISP (compat=GeoIP2-ISP)',
      networks: over(
        dbipIsp(64500, 'Example Telecom Ltd', 'Example Steel Ltd', 'business'),
        dbipIsp(64501, 'Example Servers AB', 'Example Servers AB', 'hosting'),
        dbipIsp(64502, 'Example Motors Co., Ltd.', 'Example Motors Co., Ltd.', 'residential'),
      ),
    },
  },
} as const satisfies Record<string, Partial<Record<GeoRole, Database>>>
