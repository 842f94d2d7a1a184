/**
 * Entries on their way to another thread: what many share goes once, and no names of fields go at all. A clone
 * of the entries themselves costs both threads together four times as much (measured).
 */
import type { Heartbeat, LogEntry, Manifest, RequestEvent } from '../record/events.ts'

type Event = RequestEvent | Heartbeat

const sharedFields = [
  'session_method',
  'domain',
  'repository',
  'upstream',
  'upstream_repository',
  'client',
  'geo',
  'network',
  'company',
  'data',
  'privacy',
  'node',
] as const satisfies readonly (keyof Event)[]

type Shared = Pick<Event, (typeof sharedFields)[number]>

/** In the order of `unpackRow`; the last is an index into `shared`. */
type Row = [
  schema: Event['schema'],
  id: string,
  time: string,
  session: string | null,
  method: Event['method'],
  kind: Event['class'],
  reference: string | null,
  digest: string | null,
  status: number,
  outcome: Event['outcome'],
  bytesSent: number,
  range: string | null,
  offset: number,
  size: number | null,
  durationMs: number,
  firstByteMs: number | null,
  upstreamStatus: number | null,
  redirectHost: string | null,
  aborted: boolean,
  shared: number,
]

/** Plain data for a structured clone. */
export type PackedEntries = { shared: Shared[]; rows: Row[]; manifests: Manifest[] }

/** More candidates than this are not compared: a client of hundreds of repositories in one batch is rare. */
const maxCompared = 16

function isSame(a: Shared, b: Shared): boolean {
  for (const name of sharedFields) if (a[name] !== b[name]) return false
  return true
}

/** Events and heartbeats keep their order, manifests theirs. */
export function packEntries(entries: readonly LogEntry[]): PackedEntries {
  const packed: PackedEntries = { shared: [], rows: [], manifests: [] }
  const byClient = new Map<Event['client'], number[]>()

  function indexOf(event: Event): number {
    const candidates = byClient.get(event.client) ?? []
    for (const index of candidates) if (isSame(packed.shared[index]!, event)) return index
    const { session_method, domain, repository, upstream, upstream_repository } = event
    const { client, geo, network, company, data, privacy, node } = event
    const own = { session_method, domain, repository, upstream, upstream_repository }
    const index = packed.shared.push({ ...own, client, geo, network, company, data, privacy, node }) - 1
    if (candidates.length < maxCompared) byClient.set(event.client, [...candidates, index])
    return index
  }

  for (const entry of entries) {
    if (entry.schema === 'waybill.manifest/1') {
      packed.manifests.push(entry)
      continue
    }
    packed.rows.push([
      entry.schema,
      entry.id,
      entry.time,
      entry.session_id,
      entry.method,
      entry.class,
      entry.reference,
      entry.digest,
      entry.status,
      entry.outcome,
      entry.bytes_sent,
      entry.range,
      entry.offset,
      entry.size,
      entry.duration_ms,
      entry.first_byte_ms,
      entry.upstream_status,
      entry.redirect_host,
      entry.aborted,
      indexOf(entry),
    ])
  }
  return packed
}

/** The same entries, manifests last; objects may be shared among them. */
export function unpackEntries({ shared, rows, manifests }: PackedEntries): LogEntry[] {
  return [...rows.map((row) => unpackRow(row, shared[row[19]]!)), ...manifests]
}

function unpackRow(row: Row, shared: Shared): Event {
  return {
    schema: row[0] as 'waybill.request-event/1',
    id: row[1],
    time: row[2],
    session_id: row[3],
    session_method: shared.session_method,
    method: row[4],
    class: row[5],
    domain: shared.domain,
    repository: shared.repository,
    reference: row[6],
    digest: row[7],
    status: row[8],
    outcome: row[9],
    bytes_sent: row[10],
    range: row[11],
    offset: row[12],
    size: row[13],
    duration_ms: row[14],
    first_byte_ms: row[15],
    upstream: shared.upstream,
    upstream_repository: shared.upstream_repository,
    upstream_status: row[16],
    redirect_host: row[17],
    aborted: row[18],
    client: shared.client,
    geo: shared.geo,
    network: shared.network,
    company: shared.company,
    data: shared.data,
    privacy: shared.privacy,
    node: shared.node,
  }
}
