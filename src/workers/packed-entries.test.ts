import { expect, test } from 'vitest'
import { createRandom } from '../../test/support/random.ts'
import type { Heartbeat, LogEntry, Manifest, RequestEvent } from '../record/events.ts'
import { packEntries, unpackEntries } from './packed-entries.ts'
import { range } from './ring.fixture.ts'

const manifest: Manifest = {
  schema: 'waybill.manifest/1',
  digest: `sha256:${'ab'.repeat(32)}`,
  size: 2,
  media_type: 'application/vnd.oci.image.index.v1+json',
  kind: 'index',
  artifact_type: null,
  subject: null,
  config: null,
  layers: [],
  manifests: [],
  platform: null,
}

/** Entries whose every field varies, and whose objects are sometimes shared. */
function createEntries(seed: number, count: number): LogEntry[] {
  const { next: random } = createRandom(seed)
  const pick = <Value>(...values: Value[]): Value => values[Math.floor(random() * values.length)]!
  const text = () => pick('a', 'é', '')
  const number = () => pick(0, 1, 2.5)
  const client = (): RequestEvent['client'] => ({
    id: text(),
    endpoint_id: text(),
    tool: pick(null, text()),
    version: pick(null, text()),
    os: pick(null, text()),
    arch: pick(null, text()),
    automation: pick('yes', 'probable', 'no'),
    via: pick(null, text()),
  })
  const clients = range(3).map(client)
  const geos = range(2).map(() => ({ country: pick(null, text()), region: pick(null, text()), city: null }))
  const network = () => ({
    asn: pick(null, number()),
    organization: pick(null, text()),
    type: null,
    cloud_provider: null,
    cloud_region: null,
  })
  const networks = range(2).map(network)
  const event = (): RequestEvent | Heartbeat => ({
    schema: pick<'waybill.request-event/1'>('waybill.request-event/1', 'waybill.heartbeat/1' as never),
    id: text(),
    time: text(),
    session_id: pick(null, text()),
    session_method: pick(null, 'token', 'client'),
    method: pick('GET', 'HEAD'),
    class: pick('manifest', 'blob', 'tags'),
    domain: pick(null, text()),
    repository: pick(null, text()),
    reference: pick(null, text()),
    digest: pick(null, text()),
    status: number(),
    outcome: pick('local', 'relay'),
    bytes_sent: number(),
    range: pick(null, text()),
    offset: number(),
    size: pick(null, number()),
    duration_ms: number(),
    first_byte_ms: pick(null, number()),
    upstream: pick(null, text()),
    upstream_repository: pick(null, text()),
    upstream_status: pick(null, number()),
    redirect_host: pick(null, text()),
    aborted: pick(true, false),
    client: pick(...clients, client()),
    geo: pick(...geos),
    network: pick(...networks),
    company: pick(null, { name: text(), domain: pick(null, text()), confidence: text(), source: text() }),
    data: { city_built_at: pick(null, text()), asn_built_at: pick(null, text()) },
    privacy: { key_epoch: text(), key_scope: pick('node', 'shared') },
    node: text(),
  })
  return range(count).map(event)
}

test.each(range(20))('seed %i: entries are the same on the other side', (seed) => {
  const entries = createEntries(seed, 60)
  const arrived = unpackEntries(structuredClone(packEntries([manifest, ...entries])))
  expect(arrived).toEqual([...entries, manifest])
  // As the store writes some of them as JSON.
  expect(arrived.map((entry) => JSON.stringify(entry))).toEqual(
    [...entries, manifest].map((entry) => JSON.stringify(entry)),
  )
})

test('entries that differ in one thing alone stay apart', () => {
  const [first, ...others] = createEntries(2, 40) as RequestEvent[]
  const names = Object.keys(first!) as (keyof RequestEvent)[]
  const entries = others.flatMap((other) => names.map((name) => ({ ...first!, [name]: other[name] })))
  expect(unpackEntries(structuredClone(packEntries(entries)))).toEqual(entries)
})

test('what entries share goes once, however many repositories a client has', () => {
  const [first] = createEntries(1, 1) as RequestEvent[]
  const entries = range(100).map((i) => ({ ...first!, repository: `acme/app-${i % 4}` }))
  const packed = structuredClone(packEntries(entries))
  expect(packed.shared.length).toBe(4)
  expect(new Set(packed.shared.map(({ client }) => client)).size).toBe(1)
  const many = range(500).map((i) => ({ ...first!, repository: `acme/app-${i}` }))
  expect(unpackEntries(packEntries(many))).toEqual(many)
})
