/** A record with everything in it, a ring that holds it, and the services of a worker over test databases. */
import { createRecordWriter } from '../record/encode.ts'
import { startMsOffset } from '../record/layout.ts'
import type { WaybillRecord } from '../record/record.ts'
import { createRingBuffer } from '../ring/layout.ts'
import { createRingReader } from '../ring/reader.ts'
import { createRingWriter } from '../ring/writer.ts'
import type { EnrichmentServices } from './enrichment-steps.ts'
import { createGeoLookup } from './geo.ts'
import { loadDatabase } from './geo-database.ts'
import { createKeyReader } from './key-reader.ts'
import { createKeyring } from './keyring.ts'
import { createPseudonymizer } from './pseudonym.ts'
import { createUserAgentParser } from './user-agent.ts'

export const noon = Date.UTC(2026, 10, 21, 12)
export const digest = `sha256:${'ab'.repeat(32)}`
const userAgent = 'docker/28.1.1 go/go1.23.8 git-commit/01f442b kernel/6.8.0 os/linux arch/amd64'
/** 81.2.69.173, of MaxMind's test database. */
export const london = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 81, 2, 69, 173])

async function database(name: string) {
  const file = new URL(`../../../shared/data/maxmind/${name}.mmdb`, import.meta.url)
  const loaded = await loadDatabase(file.pathname)
  if ('error' in loaded) throw new Error(loaded.error)
  return loaded
}

const keyring = await createKeyring({ now: () => noon })
export const services: EnrichmentServices = {
  domains: [{ host: 'cr.example.test' }, { host: null }],
  upstreams: [{ host: 'registry.example.test' }],
  node: 'node-1',
  parseUserAgent: createUserAgentParser(),
  geo: createGeoLookup({
    city: await database('GeoLite2-City-Test'),
    asn: await database('GeoLite2-ASN-Test'),
    detail: 'region',
  }),
  pseudonymize: createPseudonymizer(createKeyReader(keyring.memory)),
}

export function createRecord(changes: Partial<WaybillRecord> = {}): WaybillRecord {
  return {
    kind: 'request',
    sequence: 26,
    method: 'GET',
    class: 'blob',
    outcome: 'relay',
    status: 206,
    upstreamStatus: 200,
    startMs: noon,
    durationMs: 12.345678,
    firstByteMs: 1.0004999,
    bytesSent: 4000,
    offset: 1000,
    size: 5000,
    aborted: false,
    hasNonce: false,
    domain: 0,
    upstream: 0,
    address: london,
    nonce: new Uint8Array(16),
    host: 'host.example.test',
    repository: 'acme/app',
    reference: digest,
    upstreamRepository: 'acme-org/app',
    userAgent,
    redirectHost: '',
    range: 'bytes=1000-',
    digest,
    ...changes,
  }
}

export function createBatch(records: WaybillRecord[]) {
  const sab = createRingBuffer(64 * 1024)
  const writer = createRecordWriter(createRingWriter(sab))
  const reader = createRingReader(sab, { timestampOffset: startMsOffset })
  for (const record of records) writer.write(record)
  const slice = reader.trySlice(1000)
  if (slice === null) throw new Error('nothing was written')
  return { ring: 3, sab, from: slice.from, to: slice.to }
}
