/**
 * What enrichment costs beside the bare city lookup that every pipeline with geography makes, for the same requests
 * in the same run: the steps that say who asks alone (city, ASN, network, company, tool, pseudonyms), and the whole
 * way from the ring to a line of the log.
 */
import { readFileSync } from 'node:fs'
import { Reader, type Response } from 'maxmind'
import { createRecordWriter } from '../src/record/encode.ts'
import { startMsOffset } from '../src/record/layout.ts'
import type { WaybillRecord } from '../src/record/record.ts'
import { createRingBuffer } from '../src/ring/layout.ts'
import { createRingReader } from '../src/ring/reader.ts'
import { createRingWriter } from '../src/ring/writer.ts'
import { createBatchTask } from '../src/workers/batch.ts'
import { createClientMemory } from '../src/workers/client-memory.ts'
import { type EnrichmentServices, enrichmentSteps } from '../src/workers/enrichment-steps.ts'
import { createGeoLookup } from '../src/workers/geo.ts'
import { type GeoDatabase, loadDatabase } from '../src/workers/geo-database.ts'
import { createKeyCarry } from '../src/workers/key-carry.ts'
import { createKeyReader } from '../src/workers/key-reader.ts'
import { createKeyring } from '../src/workers/keyring.ts'
import { createPseudonymizer } from '../src/workers/pseudonym.ts'
import { createUserAgentParser } from '../src/workers/user-agent.ts'
import { type Bench, medianOf, ratioOf } from './support/report.ts'
import { type Client, createSingleRequests, createTraffic } from './support/traffic.ts'

const folder = new URL('../../shared/data/maxmind/', import.meta.url)
/** As many as the dispatcher puts into a batch. */
const batchRecords = 512
const batchCount = 64
const capacityBytes = 1 << 20
const requests = batchCount * batchRecords
/**
 * Pulls under way at once: a node that is busy, and one of whose clients hardly any comes twice in a batch. `zipf`: no
 * pulls at all, each request is of a client by itself, of 100,000 of whom the nth asks 1/n times as often as the first.
 */
const mixes = [
  { name: 'pulls_64', of: (networks: string[]) => createTraffic(networks, requests, 64) },
  { name: 'pulls_512', of: (networks: string[]) => createTraffic(networks, requests, 512) },
  { name: 'zipf', of: (networks: string[]) => createSingleRequests(networks, requests, 100_000) },
] as const
/** Of sessions, as it is configured by default: the pseudonyms' keys are carried over so long. */
const idleMs = 60_000
/** The aim: at least 0.6 times as many records a second as lookups. */
const stepsAim = Number((1 / 0.6).toFixed(2))
const boot = '0123456789abcdef'

async function load(name: string): Promise<GeoDatabase> {
  const loaded = await loadDatabase(new URL(`${name}.mmdb`, folder).pathname)
  if ('error' in loaded) throw new Error(`${name} ${loaded.error}`)
  return loaded
}

function recordOf({ address, userAgent, nonce, digests }: Client, sequence: number): WaybillRecord {
  const digest = digests[sequence % digests.length]!
  return {
    kind: 'request',
    sequence,
    method: 'GET',
    class: 'blob',
    outcome: 'redirect',
    status: 307,
    upstreamStatus: 307,
    startMs: 1_790_000_000_000 + sequence / 8,
    durationMs: 20 + (sequence % 97) / 7,
    firstByteMs: 20 + (sequence % 89) / 7,
    bytesSent: 0,
    offset: 0,
    size: -1,
    aborted: false,
    hasNonce: true,
    domain: 0,
    upstream: 0,
    address,
    nonce,
    host: 'cr.example.test',
    repository: 'app/server',
    reference: digest,
    upstreamRepository: 'acme-org/app-server',
    userAgent,
    redirectHost: 'blobs.example.test',
    range: '',
    digest,
  }
}

/** Batches of a ring that lasts for all of them; they may run again as often as one likes. */
function createBatches(traffic: Client[]) {
  return Array.from({ length: batchCount }, (_, index) => {
    const sab = createRingBuffer(capacityBytes)
    const writer = createRecordWriter(createRingWriter(sab))
    const from = index * batchRecords
    for (const [place, client] of traffic.slice(from, from + batchRecords).entries()) {
      if (!writer.write(recordOf(client, from + place))) throw new Error('the ring is full')
    }
    const slice = createRingReader(sab, { timestampOffset: startMsOffset }).trySlice(batchRecords)
    if (slice?.records !== batchRecords) throw new Error('the ring does not hold the batch')
    return { ring: 0, sab, from: slice.from, to: slice.to }
  })
}

/** Microseconds of CPU time for each record, over rounds as long as asked. */
async function measure(roundMs: number, work: (batch: number) => unknown): Promise<number> {
  const until = performance.now() + roundMs
  const before = process.cpuUsage()
  let batches = 0
  while (performance.now() < until) await work(batches++ % batchCount)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / (batches * batchRecords)
}

/** As `maxmind.open` makes it: a cache of 10,000 records by their place in the file. */
function createBareReader({ sab }: GeoDatabase): Reader<Response> {
  const places = new Map<string | number, unknown>()
  const cache = { get: (key: string | number) => places.get(key), set: places.set.bind(places) }
  return new Reader<Response>(Buffer.from(sab), { cache })
}

export const run: Bench = async (report, { rounds, roundMs }) => {
  const city = await load('GeoLite2-City-Test')
  const asn = await load('GeoLite2-ASN-Test')
  const company = await load('GeoIP2-ISP-Test')
  const networks: object[] = JSON.parse(readFileSync(new URL('GeoLite2-City-Test.json', folder), 'utf8'))
  const keyring = await createKeyring({ now: Date.now })
  const keys = createKeyReader(keyring.memory)
  const services: EnrichmentServices = {
    domains: [{ host: 'cr.example.test' }],
    upstreams: [{ host: 'registry.example.test' }],
    node: 'bench',
    parseUserAgent: createUserAgentParser(),
    geo: createGeoLookup({ city, asn, company, detail: 'city' }),
    pseudonymize: createPseudonymizer(keys, createKeyCarry(keyring.memory, idleMs)),
  }
  try {
    for (const { name, of } of mixes) {
      await compare(name, of(networks.flatMap(Object.keys)), { city, services })
    }
  } finally {
    keys.close()
    keyring.close()
  }

  async function compare(
    mix: string,
    traffic: Client[],
    { city, services }: { city: GeoDatabase; services: EnrichmentServices },
  ): Promise<void> {
    const batches = createBatches(traffic)
    let countries = 0
    const clients = createClientMemory({ services })
    const enrich = createBatchTask({
      steps: enrichmentSteps,
      services,
      clients,
      boot,
      append: (_payload, _about, events) => {
        for (const event of events) if ('geo' in event && event.geo.country !== null) countries++
      },
    })
    const bare = createBareReader(city)
    const requestsOf = (batch: number) => traffic.slice(batch * batchRecords, (batch + 1) * batchRecords)
    const inBatches = Array.from({ length: batchCount }, (_, batch) => requestsOf(batch))
    let found = 0
    const lookUp = (batch: number): void => {
      for (const { text } of inBatches[batch]!) if (bare.get(text) !== null) found++
    }
    // The traffic comes again and again, and would be known by then: all is forgotten with each time, which is more
    // often than the minute that it lasts unless 550 records come a second.
    const forgetFirst = (batch: number): void => {
      if (batch === 0) clients.forget()
    }
    let located = 0
    // As the batch task does it.
    const runSteps = (batch: number): void => {
      forgetFirst(batch)
      clients.begin(Date.now())
      for (const { address, userAgent } of inBatches[batch]!) {
        const { client, geo } = clients.find(address, userAgent)
        if (client.id !== '' && geo.country !== null) located++
      }
      clients.end()
    }
    const runWhole = (batch: number): unknown => {
      forgetFirst(batch)
      return enrich(batches[batch]!)
    }

    // Once over everything: all must find the same, and V8 compiles what it is going to.
    for (let batch = 0; batch < batchCount; batch++) {
      await runWhole(batch)
      lookUp(batch)
      runSteps(batch)
    }
    if (found === 0 || countries === 0 || countries > found || located !== countries) {
      throw new Error(`${countries} and ${located} countries in ${found} places`)
    }
    const seen = inBatches.map((batch) => new Set(batch).size)
    const clientsPerBatch = Math.round(seen.reduce((sum, count) => sum + count, 0) / batchCount)
    const all = new Set(traffic).size
    const note = `${clientsPerBatch} clients in a batch of ${batchRecords}, ${all} in all`
    const pairs = []
    for (let round = 0; round < rounds; round++) {
      const lookup = await measure(roundMs, lookUp)
      const steps = await measure(roundMs, runSteps)
      pairs.push({ lookup, steps, whole: await measure(roundMs, runWhole) })
    }
    clients.close()
    const unit = 'µs CPU/record'
    const lookup = medianOf(pairs.map((pair) => pair.lookup))
    report({ name: `enrichment.${mix}.city_lookup_bare`, value: lookup, unit, note })
    for (const [name, part, aim] of [
      ['steps', 'steps', stepsAim],
      ['ring_to_line', 'whole', undefined],
    ] as const) {
      const value = medianOf(pairs.map((pair) => pair[part]))
      const ratio = ratioOf(pairs.map((pair) => pair[part] / pair.lookup))
      const line = { name: `enrichment.${mix}.${name}`, value, unit, ratio }
      report(aim === undefined ? line : { ...line, aim })
      report({ name: `enrichment.${mix}.${name}_rate`, value: 1e6 / value, unit: 'records/s and core' })
    }
  }
}
