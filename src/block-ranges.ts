/**
 * Compiles who is refused (`block` in the config) into one table of ranges, with what the geo databases say at that
 * time, so that a proxy thread decides with one search.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Reader, type Response } from 'maxmind'
import { type CollectSpans, findTypedRanges, type TypeReader } from './block-types.ts'
import type { Config } from './config/types.ts'
import { formatAddress, parseAddress } from './geo/address.ts'
import { walkTree } from './geo/mmdb-tree.ts'
import { normaliseName } from './geo/network-names.ts'
import { createTableBuilder, parseCidr, shareBytes } from './geo/range-builder.ts'
import { openTable } from './geo/range-table.ts'
import { classifyNetwork, mergeFacts } from './workers/classify-network.ts'
import type { GeoDatabase, GeoDatabases } from './workers/geo-database.ts'
import { countryOf, type NetworkFacts, networkFactsOf } from './workers/geo-fields.ts'

export type BlockReason = 'range' | 'asn' | 'company' | 'country' | 'type'

type Block = Config['block']
type Range<Key> = { start: Key; end: Key; reason: BlockReason }
type Ranges = { ipv4: Range<number>[]; ipv6: Range<bigint>[] }

export function isBlocking(block: Block): boolean {
  return Object.values(block).some(({ length }) => length > 0)
}

const nothing = { isSpecial: false, cloud: null, override: null }
const typeOf = (facts: NetworkFacts): string | null =>
  classifyNetwork({ ...nothing, facts: mergeFacts([facts]) }).network.type

/** A row of a table of networks: number, owner, and whether it is large. */
function factsOfRow([number = '', owner = '', size = '']: string[]): NetworkFacts {
  return { ...networkFactsOf({ asn: `AS${number}`, as_name: owner }), isLarge: size === 'large' }
}

const ofNetworks: TypeReader = {
  record: (record) => typeOf(networkFactsOf(record)),
  row: (fields) => typeOf(factsOfRow(fields)),
}
/** These two are tables of our own. */
const typeReaders = {
  overrides: { record: () => null, row: ([, , type = '']: string[]) => type || null },
  cloud: { record: () => null, row: ([, , use]: string[]) => (use === 'cdn' ? 'cdn' : 'hosting') },
  company: ofNetworks,
  asn: ofNetworks,
}

const collectSpans: CollectSpans = (database, into, judge) => {
  const reasonIf = (picked: boolean): BlockReason | null => (picked ? 'type' : null)
  const ranges = into as Ranges
  return collect(
    database,
    ranges,
    (record) => reasonIf(judge.record(record)),
    (fields) => reasonIf(judge.row(fields)),
  )
}

/** Whether the record of a network, as a file says it, is one that is refused. */
function createJudge({ countries, asns, companies }: Block) {
  const blockedCountries = new Set(countries)
  const blockedAsns = new Set(asns)
  const names = new Set(companies.map((name) => normaliseName(name).toLowerCase()))
  const isNamed = (text: string | null): boolean =>
    text !== null && (names.has(text.toLowerCase()) || names.has(normaliseName(text).toLowerCase()))

  return {
    country: (record: unknown): BlockReason | null =>
      blockedCountries.has(countryOf(record) ?? '') ? 'country' : null,
    network(facts: NetworkFacts): BlockReason | null {
      if (facts.asn !== null && blockedAsns.has(facts.asn)) return 'asn'
      if (names.size === 0) return null
      const { company } = classifyNetwork({ ...nothing, facts: mergeFacts([facts]) })
      return company !== null && (isNamed(company.name) || isNamed(company.domain)) ? 'company' : null
    },
    override: (company: string, domain: string): BlockReason | null =>
      isNamed(company) || isNamed(domain) ? 'company' : null,
  }
}

async function collect(
  database: GeoDatabase,
  into: Ranges,
  judgeRecord: (record: unknown) => BlockReason | null,
  judgeRow: (fields: string[]) => BlockReason | null,
): Promise<void> {
  if (database.format === 'table') {
    const table = openTable(database.sab)
    if ('error' in table) return
    const reasons = Array.from({ length: table.rows }, (_, row) =>
      row === 0 ? null : judgeRow(table.row(row)),
    )
    table.forEachIpv4((start, end, row) => {
      const reason = reasons[row] ?? null
      if (reason !== null) into.ipv4.push({ start, end, reason })
    })
    await nextTurn()
    table.forEachIpv6((start, end, row) => {
      const reason = reasons[row] ?? null
      if (reason !== null) into.ipv6.push({ start, end, reason })
    })
    return
  }
  const bytes = Buffer.from(database.sab)
  const reader = new Reader<Response>(bytes)
  const known = new Map<number, BlockReason | null>()
  const reasonOf = (pointer: number, address: () => Uint8Array): BlockReason | null => {
    let reason = known.get(pointer)
    if (reason === undefined) {
      reason = judgeRecord(tryGet(reader, address()))
      known.set(pointer, reason)
    }
    return reason
  }
  const { nodeCount, recordSize, ipVersion } = reader.metadata
  const walk = walkTree(
    bytes,
    { nodeCount, recordSize, ipVersion },
    {
      ipv4(start, bits, pointer) {
        const reason = reasonOf(pointer, () => addressOf(0, start, true))
        if (reason !== null) into.ipv4.push({ start, end: start + 2 ** (32 - bits), reason })
      },
      ipv6(high, low, bits, pointer) {
        const reason = reasonOf(pointer, () => addressOf(high, low, false))
        if (reason === null) return
        const start = (BigInt(high) << 32n) | BigInt(low)
        into.ipv6.push({ start, end: start + (1n << BigInt(64 - bits)), reason })
      },
    },
  )
  // Between the steps the thread does what else it has to.
  for (const _ of walk) await nextTurn()
}

function addressOf(high: number, low: number, isIpv4: boolean): Uint8Array {
  const address = new Uint8Array(16)
  const view = new DataView(address.buffer)
  if (isIpv4) {
    view.setUint16(10, 0xffff)
    view.setUint32(12, low)
  } else {
    view.setUint32(0, high)
    view.setUint32(4, low)
  }
  return address
}

function tryGet(reader: Reader<Response>, address: Uint8Array): unknown {
  try {
    return reader.get(formatAddress(address))
  } catch {
    return null
  }
}

function addConfigured(ranges: readonly string[], into: Ranges): void {
  for (const text of ranges) {
    const cidr = parseCidr(text, parseAddress)
    // The config has brought them to this form, and refused what is none.
    if (cidr === null) continue
    if (cidr.family === 4) {
      const start = Number(cidr.start)
      into.ipv4.push({ start, end: start + 2 ** (32 - cidr.bits), reason: 'range' })
    } else {
      into.ipv6.push({ start: cidr.start, end: cidr.start + (1n << BigInt(64 - cidr.bits)), reason: 'range' })
    }
  }
}

/** null: nobody is refused. */
export async function compileBlock(block: Block, databases: GeoDatabases): Promise<SharedArrayBuffer | null> {
  if (!isBlocking(block)) return null
  const judge = createJudge(block)
  const ranges: Ranges = { ipv4: [], ipv6: [] }
  addConfigured(block.ranges, ranges)
  const { city, asn, company, overrides } = databases
  if (city !== null && block.countries.length > 0) {
    await collect(city, ranges, judge.country, ([country]) => judge.country({ country_code: country }))
  }
  if (block.asns.length + block.companies.length > 0) {
    for (const database of [asn, company]) {
      if (database === null) continue
      await collect(
        database,
        ranges,
        (record) => judge.network(networkFactsOf(record)),
        (fields) => judge.network(factsOfRow(fields)),
      )
    }
  }
  if (overrides !== null && block.companies.length > 0) {
    await collect(
      overrides,
      ranges,
      () => null,
      ([name = '', domain = '']) => judge.override(name, domain),
    )
  }
  if (block.types.length > 0) {
    const typed = await findTypedRanges(block.types, databases, typeReaders, collectSpans)
    for (const span of typed.ipv4) ranges.ipv4.push({ ...span, reason: 'type' })
    for (const span of typed.ipv6) ranges.ipv6.push({ ...span, reason: 'type' })
  }
  const builder = createTableBuilder({ kind: 'block', builtMs: null, source: 'block' }, 64)
  ranges.ipv4.sort((a, b) => a.start - b.start)
  ranges.ipv6.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0))
  for (const { start, end, reason } of ranges.ipv4) builder.addIpv4(start, end, builder.rowOf(reason))
  for (const { start, end, reason } of ranges.ipv6) builder.addIpv6(start, end, builder.rowOf(reason))
  return shareBytes(builder.encode())
}
