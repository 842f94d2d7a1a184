/** Place, network and company of an address, from the databases the operator configured. */
import { Reader, type Response } from 'maxmind'
import { formatAddress, isMappedIpv4, isSpecialUse } from '../geo/address.ts'
import { createTreeFinder } from '../geo/mmdb-tree.ts'
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
function remember<Value>(make: (key: number, address: Uint8Array) => Value) {
  const known = new Map<number, Value>()
  return (key: number, address: Uint8Array): Value => {
    let value = known.get(key)
    if (value === undefined) {
      value = make(key, address)
      if (known.size >= maxCachedRecords) known.clear()
      known.set(key, value)
    }
    return value
  }
}

/** A name in the upper bits, and below them what a finder found: 32 bits hold the largest number of a record. */
const nameUnit = 2 ** 32

/**
 * The same for what several finders say together: each thing found leads from a name to the next one, the last of
 * them is remembered.
 */
function rememberAll<Value>(finders: readonly Finder[], make: (address: Uint8Array) => Value) {
  const names = new Map<number, number>()
  let values: Value[] = []

  function nameOf(address: Uint8Array): number {
    let name = 0
    for (const { find } of finders) {
      const key = name * nameUnit + find(address)
      const known = names.get(key)
      name = known ?? names.size + 1
      if (known === undefined) names.set(key, name)
    }
    return name
  }

  return (address: Uint8Array): Value => {
    if (names.size >= maxCachedRecords) {
      names.clear()
      values = []
    }
    const name = nameOf(address)
    const known = values[name]
    if (known !== undefined) return known
    const value = make(address)
    values[name] = value
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

type Finder = {
  /** Number of a row of a table, or of a record in a MaxMind file; 0: nothing is known. */
  find(address: Uint8Array): number
  /** The record that `find` named, read for that address; null of a table. */
  read(address: Uint8Array): unknown
  table: RangeTable | null
  failures(): number
}

const nowhere: Finder = { find: () => 0, read: () => null, table: null, failures: () => 0 }

function createFinder(database: GeoDatabase | null | undefined): Finder {
  if (!database) return nowhere
  return database.format === 'table' ? createTableFinder(database) : createRecordFinder(database)
}

function createTableFinder({ sab }: GeoDatabase): Finder {
  const table = openTable(sab)
  // It was sound when it was loaded, and nobody writes into it.
  if ('error' in table) return nowhere
  return { find: table.find, read: () => null, table, failures: () => 0 }
}

function createRecordFinder({ sab, ipVersion }: GeoDatabase): Finder {
  let failures = 0
  const bytes = Buffer.from(sab)
  // Records share their parts: without a cache a city record costs 20 µs.
  const reader = new Reader<Response>(bytes, { cache: createRecordCache() })
  const { nodeCount, recordSize, ipVersion: inFile } = reader.metadata
  const findNumber = createTreeFinder(bytes, { nodeCount, recordSize, ipVersion: inFile })
  const base = new Uint8Array(new ArrayBuffer(16))

  /** The first address of the same record: readers take text, which would stay in the heap for a while. */
  function baseOf(address: Uint8Array): Uint8Array {
    base.set(address)
    const number = findNumber(address)
    for (let bit = 127; bit >= (isMappedIpv4(address) ? 96 : 0); bit--) {
      const place = bit >> 3
      const before = base[place]!
      base[place] = before & ~(0x80 >> (bit & 7))
      if (findNumber(base) === number) continue
      base[place] = before
      break
    }
    return base
  }

  return {
    find: (address) => (ipVersion === 4 && !isMappedIpv4(address) ? 0 : findNumber(address)),
    read(address) {
      try {
        return reader.get(formatAddress(baseOf(address)))
      } catch {
        // What was thrown can hold anything of a damaged file; it is counted and forgotten.
        failures++
        return null
      } finally {
        base.fill(0)
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

  const placeOf = remember((key, address): Geo => {
    if (places.table !== null) {
      const [country, region, city] = places.table.row(key)
      return Object.freeze({
        country: orNull(country),
        region: detail === 'country' ? null : orNull(region),
        city: detail === 'city' ? orNull(city) : null,
      })
    }
    const record = places.read(address)
    const country = countryOf(record)
    return Object.freeze({
      country,
      region: detail === 'country' ? null : regionOf(record, country),
      city: detail === 'city' ? cityOf(record) : null,
    })
  })
  const noFacts = networkFactsOf(null)
  const factsOf = ({ table, read }: Finder) => {
    const known = remember((key, address) =>
      table === null ? networkFactsOf(read(address)) : factsOfRow(table, key),
    )
    return (key: number, address: Uint8Array) => (key === 0 ? noFacts : known(key, address))
  }
  // A file of places may know networks: an Enterprise file, or IPinfo Lite.
  const sources = [networks, companies, ...(knowsNetworks(databases.city) ? [places] : [])]
    .filter((finder) => finder !== nowhere)
    .map((finder) => ({ finder, facts: factsOf(finder) }))
  const cloudOf = remember((row) => {
    const [provider = '', region = '', use = ''] = clouds.table?.row(row) ?? []
    return { provider, region, use }
  })
  const overrideOf = remember((row) => {
    const [company = '', domain = '', type = ''] = overrides.table?.row(row) ?? []
    return { company, domain, type }
  })
  const nowhereAtAll: Geo = Object.freeze({ country: null, region: null, city: null })

  const special = classifyNetwork({ isSpecial: true, facts: noFacts, cloud: null, override: null })
  const specialOf = remember((override, address) =>
    classifyNetwork({
      isSpecial: true,
      facts: noFacts,
      cloud: null,
      override: overrideOf(override, address),
    }),
  )

  function classify(address: Uint8Array): NetworkFinding {
    const cloud = clouds.find(address)
    const override = overrides.find(address)
    return classifyNetwork({
      isSpecial: false,
      facts: mergeFacts(sources.map(({ finder, facts }) => facts(finder.find(address), address))),
      cloud: cloud === 0 ? null : cloudOf(cloud, address),
      override: override === 0 ? null : overrideOf(override, address),
    })
  }

  const finders = [overrides, clouds, ...sources.map(({ finder }) => finder)].filter((one) => one !== nowhere)
  const findingOf = rememberAll(finders, classify)

  return {
    geo(address) {
      if (isSpecialUse(address)) return nowhereAtAll
      const key = places.find(address)
      return key === 0 ? nowhereAtAll : placeOf(key, address)
    },
    network(address) {
      if (!isSpecialUse(address)) return findingOf(address)
      const override = overrides.find(address)
      return override === 0 ? special : specialOf(override, address)
    },
    data: { city_built_at: timeOf(databases.city), asn_built_at: timeOf(databases.asn) },
    failures: () => ({ city: places.failures(), asn: networks.failures(), company: companies.failures() }),
  }
}
