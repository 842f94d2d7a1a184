/** Request events for the tests of the session store. */
import { createHash } from 'node:crypto'
import type { Client, Heartbeat, Manifest, RequestEvent } from '../../src/record/events.ts'

/** Long past for every store's clock, so that the watermark alone decides what is due. */
export const startMs = Date.parse('2026-03-01T12:00:00.000Z')

export function hexId(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}

export function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}

/** boot, ring, sequence */
export function recordId(sequence: number, ring = 1): string {
  return `00c0ffee00c0ffee${ring.toString(16).padStart(4, '0')}${sequence.toString(16).padStart(12, '0')}`
}

const client: Client = {
  id: hexId('client'),
  endpoint_id: hexId('endpoint'),
  tool: 'containerd',
  version: '1.7.20',
  os: 'linux',
  arch: 'amd64',
  automation: 'probable',
  via: null,
}

export type RequestFields = Partial<Omit<RequestEvent, 'client' | 'schema'>> & {
  /** Ms after `startMs`. */
  at?: number
  client?: Partial<Client>
}

export function request(id: string, fields: RequestFields = {}): RequestEvent {
  const { at = 0, client: clientFields, ...rest } = fields
  const digest = fields.digest === undefined ? digestOf('layer') : fields.digest
  return {
    schema: 'waybill.request-event/1',
    id,
    time: new Date(startMs + at).toISOString(),
    session_id: hexId('session'),
    session_method: 'token',
    method: 'GET',
    class: 'blob',
    domain: 'cr.example.io',
    repository: 'acme/app',
    reference: digest,
    digest,
    status: 200,
    outcome: 'relay',
    bytes_sent: 3_402_100,
    range: null,
    offset: 0,
    size: 3_402_100,
    duration_ms: 0,
    first_byte_ms: 12,
    upstream: 'ghcr.io',
    upstream_repository: 'acme-org/app',
    upstream_status: 200,
    redirect_host: null,
    aborted: false,
    client: { ...client, ...clientFields },
    geo: { country: 'GB', region: 'ENG', city: null },
    network: {
      asn: 64_496,
      organization: 'Example Networks Ltd',
      type: 'hosting',
      cloud_provider: 'aws',
      cloud_region: 'eu-west-2',
    },
    company: { name: 'Example Ltd', domain: 'example.com', confidence: 'high', source: 'asn' },
    data: { city_built_at: '2026-02-27T06:00:00.000Z', asn_built_at: '2026-02-26T06:00:00.000Z' },
    privacy: { key_epoch: '2026-03-01', key_scope: 'node' },
    node: hexId('node'),
    ...rest,
  }
}

export function heartbeat(id: string, fields: RequestFields = {}): Heartbeat {
  return { ...request(id, fields), schema: 'waybill.heartbeat/1' }
}

export function manifestRequest(
  id: string,
  method: 'GET' | 'HEAD',
  reference: string,
  fields: RequestFields = {},
): RequestEvent {
  const digest = reference.includes(':') ? reference : digestOf('index')
  return request(id, { method, class: 'manifest', bytes_sent: 800, size: 800, digest, ...fields, reference })
}

export function imageManifest(name: string): Manifest {
  return {
    schema: 'waybill.manifest/1',
    digest: digestOf(name),
    size: 800,
    media_type: 'application/vnd.oci.image.manifest.v1+json',
    kind: 'image',
    artifact_type: null,
    subject: null,
    config: {
      digest: digestOf(`${name} config`),
      size: 1500,
      media_type: 'application/vnd.oci.image.config.v1+json',
    },
    layers: [],
    manifests: [],
    platform: null,
  }
}

export function indexManifest(name: string, children: readonly string[]): Manifest {
  return {
    ...imageManifest(name),
    media_type: 'application/vnd.oci.image.index.v1+json',
    kind: 'index',
    config: null,
    manifests: children.map((child) => ({
      digest: digestOf(child),
      size: 800,
      media_type: 'application/vnd.oci.image.manifest.v1+json',
      platform: 'linux/amd64',
      attestation_of: null,
    })),
  }
}
