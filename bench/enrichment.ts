/**
 * What the whole enrichment of a record costs (decode, city, network, tool, pseudonym, session, JSON) beside the
 * bare city lookup that every pipeline with geography makes, for the same addresses in the same run.
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
import { enrichmentSteps } from '../src/workers/enrichment-steps.ts'
import { createGeoLookup } from '../src/workers/geo.ts'
import { type GeoDatabase, loadDatabase } from '../src/workers/geo-database.ts'
import { createKeyReader } from '../src/workers/key-reader.ts'
import { createKeyring } from '../src/workers/keyring.ts'
import { createPseudonymizer } from '../src/workers/pseudonym.ts'
import { createUserAgentParser } from '../src/workers/user-agent.ts'
import { type Bench, medianOf, ratioOf } from './support/report.ts'
import { type Client, createTraffic } from './support/traffic.ts'

const folder = new URL('../../shared/data/maxmind/', import.meta.url)
/** As many as the dispatcher puts into a batch. */
const batchRecords = 512
const batchCount = 64
const capacityBytes = 1 << 20
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

export const run: Bench = async (report, { rounds, roundMs }) => {
  const city = await load('GeoLite2-City-Test')
  const networks: object[] = JSON.parse(readFileSync(new URL('GeoLite2-City-Test.json', folder), 'utf8'))
  const traffic = createTraffic(networks.flatMap(Object.keys), batchCount * batchRecords)
  const batches = createBatches(traffic)
  const keyring = await createKeyring({ now: Date.now })
  const keys = createKeyReader(keyring.memory)
  let countries = 0
  const enrich = createBatchTask({
    steps: enrichmentSteps,
    services: {
      domains: [{ host: 'cr.example.test' }],
      upstreams: [{ host: 'registry.example.test' }],
      node: 'bench',
      parseUserAgent: createUserAgentParser(),
      geo: createGeoLookup({ city, asn: await load('GeoLite2-ASN-Test'), detail: 'city' }),
      pseudonymize: createPseudonymizer(keys),
    },
    boot,
    append: (_payload, _about, events) => {
      for (const event of events) if ('geo' in event && event.geo.country !== null) countries++
    },
  })
  // As `maxmind.open` makes it: a cache of 10,000 records by their place in the file.
  const places = new Map<string | number, unknown>()
  const cache = { get: (key: string | number) => places.get(key), set: places.set.bind(places) }
  const bare = new Reader<Response>(Buffer.from(city.sab), { cache })
  const texts = traffic.map(({ text }) => text)
  let found = 0
  const lookUp = (batch: number): void => {
    for (let i = batch * batchRecords; i < (batch + 1) * batchRecords; i++) {
      if (bare.get(texts[i]!) !== null) found++
    }
  }

  try {
    // Once over everything: both must find the same, and V8 compiles what it is going to.
    for (let batch = 0; batch < batchCount; batch++) {
      await enrich(batches[batch]!)
      lookUp(batch)
    }
    if (found === 0 || countries === 0 || countries > found) {
      throw new Error(`${countries} countries in ${found} places`)
    }
    const pairs = []
    for (let round = 0; round < rounds; round++) {
      const lookup = await measure(roundMs, lookUp)
      pairs.push({ lookup, step: await measure(roundMs, (batch) => enrich(batches[batch]!)) })
    }
    const step = medianOf(pairs.map((pair) => pair.step))
    const unit = 'µs CPU/record'
    report({ name: 'enrichment.city_lookup_bare', value: medianOf(pairs.map((pair) => pair.lookup)), unit })
    report({
      name: 'enrichment.whole_step',
      value: step,
      unit,
      ratio: ratioOf(pairs.map((pair) => pair.step / pair.lookup)),
    })
    report({ name: 'enrichment.whole_step_rate', value: 1e6 / step, unit: 'records/s and core' })
  } finally {
    keys.close()
    keyring.close()
  }
}
