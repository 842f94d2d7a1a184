/** The steps that turn a record into a request event, in order. Each fills the fields it is named for. */
import type { Client, Geo, Heartbeat, Network, Privacy, RequestEvent } from '../record/events.ts'
import type { WaybillRecord } from '../record/record.ts'
import { automationOf } from './automation.ts'
import type { NetworkFinding } from './classify-network.ts'
import { createTimeFormatter } from './iso-time.ts'
import type { Pseudonymizer } from './pseudonym.ts'
import { sessionOf } from './session-id.ts'
import type { Agent } from './user-agent.ts'

/** A heartbeat has the same fields under its own schema. */
export type EventDraft = Omit<RequestEvent, 'schema'> & { schema: (RequestEvent | Heartbeat)['schema'] }

/** What the steps look things up in; handed in by the thread's entry. */
export type EnrichmentServices = {
  /** `Config.domains` and `Config.upstreams`: records name them by index. */
  domains: readonly { host: string | null }[]
  upstreams: readonly { host: string }[]
  /** Name of this node. */
  node: string
  /** `createUserAgentParser`. */
  parseUserAgent(userAgent: string): Agent
  /** `createGeoLookup`. */
  geo: {
    geo(address: Uint8Array): Geo
    network(address: Uint8Array): NetworkFinding
    data: RequestEvent['data']
  }
  /** `createPseudonymizer`. */
  pseudonymize: Pseudonymizer
}

/** What the batch knows already of the record's address; never the address itself. */
export type SeenAddress = {
  geo: Geo | null
  network: NetworkFinding | null
  privacy: Privacy | null
  clients: Map<Agent, Client>
}

export type StepContext = {
  record: WaybillRecord
  seen: SeenAddress
  /** Unix ms of the enrichment: it chooses the key of the pseudonyms. */
  nowMs: number
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

/** After `network`, which says something of automation too. */
const tool: Step = (event, { record, seen, services }) => {
  const agent = services.parseUserAgent(record.userAgent)
  const known = seen.clients.get(agent)
  if (known === undefined) {
    const { tool: name, version, os, arch, via } = agent
    const automation = automationOf(agent.automation, seen.network)
    event.client = { id: '', endpoint_id: '', tool: name, version, os, arch, automation, via }
    seen.clients.set(agent, event.client)
  } else event.client = known
}

const geo: Step = (event, { record, seen, services }) => {
  seen.geo ??= services.geo.geo(record.address)
  event.geo = seen.geo
  event.data = services.geo.data
}

const network: Step = (event, { record, seen, services }) => {
  seen.network ??= services.geo.network(record.address)
  event.network = seen.network.network
  event.company = seen.network.company
}

/** After this step the address is gone: no later one can see it. */
const pseudonym: Step = (event, { record, seen, nowMs, services }) => {
  // The client is that of the step `tool`: of this address and agent in this batch, and new without an id.
  if (event.client.id === '' || seen.privacy === null) {
    const { family } = services.parseUserAgent(record.userAgent)
    const { endpointId, clientId, epoch, scope } = services.pseudonymize(record.address, family, nowMs)
    event.client.id = clientId
    event.client.endpoint_id = endpointId
    seen.privacy ??= { key_epoch: epoch, key_scope: scope }
  }
  event.privacy = seen.privacy
  record.address.fill(0)
}

const session: Step = (event, { record }) => {
  const { session_id, session_method } = sessionOf(record, event.domain, event.client)
  event.session_id = session_id
  event.session_method = session_method
}

export const enrichmentSteps: readonly Step[] = [
  time,
  request,
  answer,
  upstream,
  geo,
  network,
  tool,
  pseudonym,
  session,
]

const unknownClient = Object.freeze<Client>({
  id: '',
  endpoint_id: '',
  tool: null,
  version: null,
  os: null,
  arch: null,
  automation: 'no',
  via: null,
})
const unknownGeo = Object.freeze<Geo>({ country: null, region: null, city: null })
const unknownNetwork = Object.freeze<Network>({
  asn: null,
  organization: null,
  type: null,
  cloud_provider: null,
  cloud_region: null,
})
const unknownData = Object.freeze<RequestEvent['data']>({ city_built_at: null, asn_built_at: null })
const unknownPrivacy = Object.freeze<Privacy>({ key_epoch: '', key_scope: 'node' })

export function createSeenAddress(): SeenAddress {
  return { geo: null, network: null, privacy: null, clients: new Map() }
}

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
    client: unknownClient,
    geo: unknownGeo,
    network: unknownNetwork,
    company: null,
    data: unknownData,
    privacy: unknownPrivacy,
    node,
  }
}
