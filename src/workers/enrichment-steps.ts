/** The steps that turn a record into a request event, in order. Each fills the fields it is named for. */
import type { Heartbeat, RequestEvent } from '../record/events.ts'
import type { WaybillRecord } from '../record/record.ts'
import { type ClientFindings, type ClientServices, unknownFindings } from './client-steps.ts'
import { createTimeFormatter } from './iso-time.ts'
import type { sessionOf } from './session-id.ts'

/** A heartbeat has the same fields under its own schema. */
export type EventDraft = Omit<RequestEvent, 'schema'> & { schema: (RequestEvent | Heartbeat)['schema'] }

/** What the steps look things up in; handed in by the thread's entry. */
export type EnrichmentServices = ClientServices & {
  /** `Config.domains` and `Config.upstreams`: records name them by index. */
  domains: readonly { host: string | null }[]
  upstreams: readonly { host: string }[]
  /** Name of this node. */
  node: string
}

/** What was found out already, of clients and of the batch's sessions. */
export type BatchFindings = {
  /** By the record's address and User-Agent: what `findClient` says or said. */
  client(address: Uint8Array, userAgent: string): ClientFindings
  /** `sessionOf`, once for each session. */
  session: typeof sessionOf
}

export type StepContext = {
  record: WaybillRecord
  found: BatchFindings
  services: EnrichmentServices
}

/** Objects within an event are shared with others of its batch: a step replaces them, and changes none. */
export type Step = (event: EventDraft, context: StepContext) => void

function orNull(text: string): string | null {
  return text === '' ? null : text
}

/** To a microsecond, the resolution of the proxy's clock. */
function roundMs(durationMs: number): number {
  return Math.round(durationMs * 1000) / 1000
}

const formatTime = createTimeFormatter()

const time: Step = (event, { record }) => {
  event.time = formatTime(record.startMs)
  event.duration_ms = roundMs(record.durationMs)
  event.first_byte_ms = record.firstByteMs < 0 ? null : roundMs(record.firstByteMs)
}

const request: Step = (event, { record, services }) => {
  event.method = record.method
  event.class = record.class
  const domain = services.domains[record.domain]
  event.domain = domain === undefined ? null : (domain.host ?? orNull(record.host))
  const named = record.class !== 'ping' && record.class !== 'token'
  event.repository = named ? orNull(record.repository) : null
  event.reference = orNull(record.reference)
  event.digest = orNull(record.digest)
  event.range = orNull(record.range)
}

const answer: Step = (event, { record }) => {
  event.status = record.status
  event.outcome = record.outcome
  event.bytes_sent = record.bytesSent
  event.offset = record.offset
  event.size = record.size < 0 ? null : record.size
  event.redirect_host = orNull(record.redirectHost)
  event.aborted = record.aborted
}

const upstream: Step = (event, { record, services }) => {
  event.upstream = services.upstreams[record.upstream]?.host ?? null
  event.upstream_repository = orNull(record.upstreamRepository)
  event.upstream_status = record.upstreamStatus === 0 ? null : record.upstreamStatus
}

/** Place, network, company, tool and pseudonyms. After this step the address is gone: no later one can see it. */
const client: Step = (event, { record, found }) => {
  const findings = found.client(record.address, record.userAgent)
  record.address.fill(0)
  event.client = findings.client
  event.geo = findings.geo
  event.network = findings.network
  event.company = findings.company
  event.data = findings.data
  event.privacy = findings.privacy
}

const session: Step = (event, { record, found }) => {
  const { session_id, session_method } = found.session(record, event.domain, event.client)
  event.session_id = session_id
  event.session_method = session_method
}

export const enrichmentSteps: readonly Step[] = [time, request, answer, upstream, client, session]

/** Every field of the schema, in its order; null until a step knows better. */
export function createDraft(id: string, record: WaybillRecord, node: string): EventDraft {
  return {
    schema: record.kind === 'heartbeat' ? 'waybill.heartbeat/1' : 'waybill.request-event/1',
    id,
    time: '',
    session_id: null,
    session_method: null,
    method: record.method,
    class: record.class,
    domain: null,
    repository: null,
    reference: null,
    digest: null,
    status: record.status,
    outcome: record.outcome,
    bytes_sent: 0,
    range: null,
    offset: 0,
    size: null,
    duration_ms: 0,
    first_byte_ms: null,
    upstream: null,
    upstream_repository: null,
    upstream_status: null,
    redirect_host: null,
    aborted: false,
    client: unknownFindings.client,
    geo: unknownFindings.geo,
    network: unknownFindings.network,
    company: null,
    data: unknownFindings.data,
    privacy: unknownFindings.privacy,
    node,
  }
}
