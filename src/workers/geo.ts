/** Place, network and company of an address, from the databases the operator configured. */
import { Reader, type Response } from 'maxmind'
import { formatAddress, isMappedIpv4, isSpecialUse } from '../geo/address.ts'
import { openTable, type RangeTable } from '../geo/range-table.ts'
import type { Geo } from '../record/events.ts'
import { classifyNetwork, mergeFacts, type NetworkFinding } from './classify-network.ts'
import { type GeoDatabase, type GeoDatabases, knowsNetworks } from './geo-database.ts'
import { cityOf, countryOf, type NetworkFacts, networkFactsOf, regionOf } from './geo-fields.ts'

export type GeoLookup = {
  /** `address`: 16 bytes, IPv4 mapped. All null when nothing is known; never throws. */
  geo(address: Uint8Array): Geo
  /** The answer is shared by all who ask for that network. */
  network(address: Uint8Array): NetworkFinding
  /** RFC 3339 build times of the two files. */
  data: { city_built_at: string | null; asn_built_at: string | null }
  /** Lookups that threw since the start: a damaged file. */
  failures(): { city: number; asn: number; company: number }
}

export type GeoLookupOptions = Partial<GeoDatabases> & {
  /**
   * `region`: ISO 3166-2 code (`GB-ENG`), or the region's name where the file has no codes; `city` adds the
   * city's English name.
   */
  detail: 'country' | 'region' | 'city'
}

/** Decoded records, keyed by their place in the file and so by network, never by address. */
const maxCachedRecords = 20_000

/** Remembers what was made of a record or of a row; forgets all at once, which costs one answer each. */
function remember<Key, Value>(make: (key: Key) => Value): (key: Key) => Value {
  const known = new Map<Key, Value>()
  return (key) => {
    let value = known.get(key)
    if (value === undefined) {
      value = make(key)
      if (known.size >= maxCachedRecords) known.clear()
      known.set(key, value)
    }
    return value
  }
}

function createRecordCache() {
  const records = new Map<string | number, unknown>()
  return {
    get: (key: string | number) => records.get(key),
    set(key: string | number, value: unknown) {
      if (records.size >= maxCachedRecords) {
        const oldest = records.keys().next()
        if (!oldest.done) records.delete(oldest.value)
      }
      records.set(key, value)
    },
  }
}

/** `key`: of a table the number of a row, of a MaxMind file the decoded record; null: nothing is known. */
type Finder = { find(address: Uint8Array): unknown; table: RangeTable | null; failures(): number }

const nowhere: Finder = { find: () => null, table: null, failures: () => 0 }

function createFinder(database: GeoDatabase | null | undefined): Finder {
  if (!database) return nowhere
  return database.format === 'table' ? createTableFinder(database) : createRecordFinder(database)
}

function createTableFinder({ sab }: GeoDatabase): Finder {
  const table = openTable(sab)
  // It was sound when it was loaded, and nobody writes into it.
  if ('error' in table) return nowhere
  return { find: (address) => table.find(address) || null, table, failures: () => 0 }
}

function createRecordFinder({ sab, ipVersion }: GeoDatabase): Finder {
  let failures = 0
  // Without a cache a city record costs 20 µs instead of half a one.
  const reader = new Reader<Response>(Buffer.from(sab), { cache: createRecordCache() })
  return {
    find(address) {
      // A file of IPv4 alone would walk the first 32 bits of an IPv6 address and answer something.
      if (ipVersion === 4 && !isMappedIpv4(address)) return null
      try {
        return reader.get(formatAddress(address))
      } catch {
        // What was thrown can hold anything of a damaged file; it is counted and forgotten.
        failures++
        return null
      }
    },
    table: null,
    failures: () => failures,
  }
}

function timeOf(database: GeoDatabase | null | undefined): string | null {
  const builtMs = database?.buildEpoch ?? null
  return builtMs === null ? null : new Date(builtMs).toISOString()
}

function orNull(text: string | undefined): string | null {
  return text === undefined || text === '' ? null : text
}

/** Of a table of networks: number, name, and whether it is too large for a company. */
function factsOfRow(table: RangeTable, row: number): NetworkFacts {
  const [asn = '', owner = '', size = ''] = table.row(row)
  const facts = networkFactsOf({ asn: `AS${asn}`, as_name: owner })
  return { ...facts, isLarge: size === 'large' }
}

export function createGeoLookup({ detail, ...databases }: GeoLookupOptions): GeoLookup {
  const places = createFinder(databases.city)
  const networks = createFinder(databases.asn)
  const companies = createFinder(databases.company)
  const clouds = createFinder(databases.cloud)
  const overrides = createFinder(databases.overrides)

  const placeOf = remember((key: unknown): Geo => {
    if (places.table !== null) {
      const [country, region, city] = places.table.row(key as number)
      return Object.freeze({
        country: orNull(country),
        region: detail === 'country' ? null : orNull(region),
        city: detail === 'city' ? orNull(city) : null,
      })
    }
    const country = countryOf(key)
    return Object.freeze({
      country,
      region: detail === 'country' ? null : regionOf(key, country),
      city: detail === 'city' ? cityOf(key) : null,
    })
  })
  const factsOf = ({ table }: Finder) =>
    remember((key: unknown) => (table === null ? networkFactsOf(key) : factsOfRow(table, key as number)))
  const sources = [
    { finder: networks, facts: factsOf(networks) },
    { finder: companies, facts: factsOf(companies) },
    // An Enterprise file, or IPinfo Lite.
    ...(knowsNetworks(databases.city) ? [{ finder: places, facts: factsOf(places) }] : []),
  ]
  const cloudOf = remember((row: number) => {
    const [provider = '', region = '', use = ''] = clouds.table?.row(row) ?? []
    return { provider, region, use }
  })
  const overrideOf = remember((row: number) => {
    const [company = '', domain = '', type = ''] = overrides.table?.row(row) ?? []
    return { company, domain, type }
  })
  const nowhereAtAll: Geo = Object.freeze({ country: null, region: null, city: null })

  // One number for each record that is known, so that a list of numbers names what all files say together.
  const numbers = new Map<unknown, number>()
  const findings = new Map<string, NetworkFinding>()
  function numberOf(key: unknown): number {
    let number = numbers.get(key)
    if (number === undefined) {
      number = numbers.size + 1
      numbers.set(key, number)
    }
    return number
  }

  return {
    geo(address) {
      if (isSpecialUse(address)) return nowhereAtAll
      const key = places.find(address)
      return key === null ? nowhereAtAll : placeOf(key)
    },
    network(address) {
      // Between two names, so that no name is made of numbers of before and after.
      if (numbers.size >= maxCachedRecords) {
        numbers.clear()
        findings.clear()
      }
      const isSpecial = isSpecialUse(address)
      const keys = isSpecial ? [] : sources.map(({ finder }) => finder.find(address))
      const cloud = isSpecial ? null : (clouds.find(address) as number | null)
      const override = overrides.find(address) as number | null
      let name = isSpecial ? 'special' : `${cloud ?? ''}`
      name += `/${override ?? ''}`
      for (const key of keys)
        name += typeof key === 'object' && key !== null ? `/${numberOf(key)}` : `/r${key}`
      let finding = findings.get(name)
      if (finding === undefined) {
        finding = classifyNetwork({
          isSpecial,
          facts: mergeFacts(keys.map((key, place) => sources[place]!.facts(key))),
          cloud: cloud === null ? null : cloudOf(cloud),
          override: override === null ? null : overrideOf(override),
        })
        if (findings.size >= maxCachedRecords) findings.clear()
        findings.set(name, finding)
      }
      return finding
    },
    data: { city_built_at: timeOf(databases.city), asn_built_at: timeOf(databases.asn) },
    failures: () => ({ city: places.failures(), asn: networks.failures(), company: companies.failures() }),
  }
}
