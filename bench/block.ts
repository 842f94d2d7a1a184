/**
 * What `block` costs a request: nothing when it is off (the front compares with null), one search in a table when
 * it is on, whatever it was made of.
 */
import { readFileSync } from 'node:fs'
import { compileBlock } from '../src/block-ranges.ts'
import { createBlock } from '../src/proxy/block.ts'
import { loadDatabase, noGeoDatabases } from '../src/workers/geo-database.ts'
import { type Bench, medianOf } from './support/report.ts'
import { createTraffic } from './support/traffic.ts'

const folder = new URL('../../shared/data/maxmind/', import.meta.url)
const requests = 32_768
/** As long a list of ranges as anybody keeps by hand, and more. */
const rangeCount = 20_000

export const run: Bench = async (report, { rounds, roundMs }) => {
  const city = await loadDatabase(new URL('GeoLite2-City-Test.mmdb', folder).pathname, 'city')
  if ('error' in city) throw new Error(city.error)
  const networks: object[] = JSON.parse(readFileSync(new URL('GeoLite2-City-Test.json', folder), 'utf8'))
  const addresses = createTraffic(networks.flatMap(Object.keys), requests, 512).map(({ address }) => address)
  const ranges = Array.from(
    { length: rangeCount },
    (_, i) => `${1 + (i >> 8)}.${i & 255}.${(i * 7) & 255}.0/24`,
  )
  const memory = await compileBlock(
    { countries: ['GB', 'JP'], asns: [], types: [], companies: [], ranges },
    { ...noGeoDatabases, city },
  )
  const block = createBlock(memory)
  if (block === null) throw new Error('nobody is blocked')
  let refused = 0
  const measure = (decide: typeof block | null): number => {
    const until = performance.now() + roundMs
    const before = process.cpuUsage()
    let count = 0
    while (performance.now() < until) {
      for (const address of addresses) if ((decide?.(address) ?? null) !== null) refused++
      count += requests
    }
    const { user, system } = process.cpuUsage(before)
    return ((user + system) * 1000) / count
  }
  measure(block)
  if (refused === 0) throw new Error('nobody was refused')
  const off: number[] = []
  const on: number[] = []
  for (let round = 0; round < rounds; round++) {
    off.push(measure(null))
    on.push(measure(block))
  }
  report({ name: 'block.off', value: medianOf(off), unit: 'ns CPU/request' })
  report({ name: 'block.countries_and_20000_ranges', value: medianOf(on), unit: 'ns CPU/request' })
}
