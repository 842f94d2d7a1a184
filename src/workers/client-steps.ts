/**
 * The steps that say who asks: place, network, company, tool, pseudonyms. They run once for each client (address and
 * User-Agent) that is not remembered, in order, and each fills the fields it is named for.
 */
import type { Client, Company, Geo, Network, Privacy, RequestEvent } from '../record/events.ts'
import { automationOf } from './automation.ts'
import type { NetworkFinding } from './classify-network.ts'
import type { Pseudonymizer } from './pseudonym.ts'
import type { Agent } from './user-agent.ts'

/** What the steps look things up in; handed in by the thread's entry. */
export type ClientServices = {
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

/** What all events of the client share for as long as it is remembered; never its address. */
export type ClientFindings = {
  client: Client
  geo: Geo
  network: Network
  company: Company
  data: RequestEvent['data']
  privacy: Privacy
}

type ClientStep = (
  found: ClientFindings,
  request: { address: Uint8Array; userAgent: string; nowMs: number },
  services: ClientServices,
) => void

const place: ClientStep = (found, { address }, { geo }) => {
  found.geo = geo.geo(address)
  found.data = geo.data
}

/** The network says something of automation too. */
const networkAndTool: ClientStep = (found, { address, userAgent }, services) => {
  const finding = services.geo.network(address)
  const agent = services.parseUserAgent(userAgent)
  found.network = finding.network
  found.company = finding.company
  found.client = {
    id: '',
    endpoint_id: '',
    tool: agent.tool,
    version: agent.version,
    os: agent.os,
    arch: agent.arch,
    automation: automationOf(agent.automation, finding),
    via: agent.via,
  }
}

/** The last one that sees the address. */
const pseudonym: ClientStep = (found, { address, userAgent, nowMs }, services) => {
  const { family } = services.parseUserAgent(userAgent)
  const { endpointId, clientId, epoch, scope } = services.pseudonymize(address, family, nowMs)
  found.client.id = clientId
  found.client.endpoint_id = endpointId
  found.privacy = { key_epoch: epoch, key_scope: scope }
}

const clientSteps: readonly ClientStep[] = [place, networkAndTool, pseudonym]

/** What is said of a client before anybody has looked; shared, and changed by nobody. */
export const unknownFindings: Readonly<ClientFindings> = Object.freeze({
  client: Object.freeze<Client>({
    ...{ id: '', endpoint_id: '', tool: null, version: null, os: null, arch: null },
    ...{ automation: 'no', via: null },
  }),
  geo: Object.freeze<Geo>({ country: null, region: null, city: null }),
  network: Object.freeze<Network>({
    ...{ asn: null, organization: null, type: null, cloud_provider: null, cloud_region: null },
  }),
  company: null,
  data: Object.freeze<RequestEvent['data']>({ city_built_at: null, asn_built_at: null }),
  privacy: Object.freeze<Privacy>({ key_epoch: '', key_scope: 'node' }),
})

/** `address`: 16 bytes, which are only read. `nowMs` chooses the key of the pseudonyms. */
export function findClient(
  address: Uint8Array,
  userAgent: string,
  nowMs: number,
  services: ClientServices,
): ClientFindings {
  const { client, geo, network, company, data, privacy } = unknownFindings
  const found: ClientFindings = { client, geo, network, company, data, privacy }
  const request = { address, userAgent, nowMs }
  for (const step of clientSteps) step(found, request, services)
  return found
}
