/** Full events for tests: every field filled, or every field that may be null null. */
import type { Manifest, PackageEvent, RequestEvent } from '../../src/record/events.ts'

/** 32 hex digits from a number. */
export const hexId = (n: number) => n.toString(16).padStart(32, '0')
export const sha256 = (n: number) => `sha256:${n.toString(16).padStart(64, '0')}`

const shared = {
  client: {
    id: hexId(0xc1),
    endpoint_id: hexId(0xe1),
    tool: 'docker',
    version: '27.1.1',
    os: 'linux',
    arch: 'arm64',
    automation: 'probable',
    via: 'cache:harbor',
  },
  geo: { country: 'GB', region: 'ENG', city: 'London' },
  network: {
    asn: 64500,
    organization: 'Example Networks',
    type: 'cloud',
    cloud_provider: 'aws',
    cloud_region: 'eu-west-2',
  },
  company: { name: 'Example Ltd', domain: 'example.com', confidence: 'high', source: 'overrides' },
  data: { city_built_at: '2026-01-01T00:00:00.000Z', asn_built_at: '2026-01-02T00:00:00.000Z' },
  privacy: { key_epoch: '2026-02-03', key_scope: 'shared' },
  node: 'node-a',
} as const satisfies Partial<PackageEvent>

const unknown = {
  client: { ...shared.client, tool: null, version: null, os: null, arch: null, automation: 'no', via: null },
  geo: { country: null, region: null, city: null },
  network: { asn: null, organization: null, type: null, cloud_provider: null, cloud_region: null },
  company: null,
  data: { city_built_at: null, asn_built_at: null },
  privacy: { key_epoch: '2026-02-03', key_scope: 'node' },
} as const satisfies Partial<PackageEvent>

export function samplePackageEvent(n: number, fields: Partial<PackageEvent> = {}): PackageEvent {
  return {
    schema: 'waybill.package-event/1',
    id: hexId(n),
    session_ids: [hexId(n + 0x1000), hexId(n + 0x2000)],
    session_method: 'token',
    type: 'pull',
    kind: 'full',
    started_at: '2026-02-03T04:05:06.007Z',
    ended_at: '2026-02-03T04:05:09.010Z',
    duration_ms: 3003,
    domain: 'cr.example.io',
    repository: 'team/app',
    upstream: 'ghcr.io',
    upstream_repository: 'example/app',
    artifact: 'image',
    tag: '1.2.3',
    tag_source: 'requested',
    digest: sha256(1),
    platform: 'linux/arm64/v8',
    platform_digest: sha256(2),
    subject: sha256(3),
    batch_id: hexId(0xba),
    resumed: false,
    attempts: 1,
    fail_reason: '404',
    checks: {
      count: 2,
      first_at: '2026-02-03T00:00:00.000Z',
      last_at: '2026-02-03T04:00:00.000Z',
      digests: [sha256(1), sha256(4)],
    },
    requests: 8,
    manifest_gets: 2,
    manifest_heads: 1,
    blob_gets: 4,
    layers_requested: 3,
    layers_total: 3,
    bytes_sent: 3_421_000,
    bytes_unique: 3_420_000,
    bytes_expected: 3_420_000,
    bytes_basis: 'observed',
    counts: {
      hub_pulls: 1,
      dvp_action: 'pull_by_tag',
      scarf_pull: true,
      k8s_complete_pull: true,
      config_blob_pull: true,
    },
    ...shared,
    ...fields,
  }
}

/** The same with null wherever null is allowed. */
export function barePackageEvent(n: number): PackageEvent {
  return samplePackageEvent(n, {
    ...unknown,
    domain: null,
    upstream: null,
    upstream_repository: null,
    tag: null,
    tag_source: null,
    digest: null,
    platform: null,
    platform_digest: null,
    subject: null,
    batch_id: null,
    fail_reason: null,
    checks: null,
    layers_total: null,
    bytes_expected: null,
    counts: { ...samplePackageEvent(n).counts, dvp_action: null },
  })
}

export function sampleRequestEvent(n: number, fields: Partial<RequestEvent> = {}): RequestEvent {
  return {
    schema: 'waybill.request-event/1',
    id: hexId(n),
    time: '2026-02-03T04:05:06.007Z',
    session_id: hexId(n + 0x1000),
    session_method: 'token',
    method: 'GET',
    class: 'blob',
    domain: 'cr.example.io',
    repository: 'team/app',
    reference: sha256(2),
    digest: sha256(2),
    status: 206,
    outcome: 'relay',
    bytes_sent: 1000,
    range: 'bytes=10-1009',
    offset: 10,
    size: 5000,
    duration_ms: 12,
    first_byte_ms: 3,
    upstream: 'ghcr.io',
    upstream_repository: 'example/app',
    upstream_status: 206,
    redirect_host: 'cdn.example.net',
    aborted: false,
    ...shared,
    ...fields,
  }
}

/** A ping: null wherever null is allowed. */
export function bareRequestEvent(n: number): RequestEvent {
  return sampleRequestEvent(n, {
    ...unknown,
    session_id: null,
    session_method: null,
    class: 'ping',
    domain: null,
    repository: null,
    reference: null,
    digest: null,
    status: 401,
    outcome: 'local',
    range: null,
    offset: 0,
    size: null,
    first_byte_ms: null,
    upstream: null,
    upstream_repository: null,
    upstream_status: null,
    redirect_host: null,
  })
}

const descriptor = (n: number) => ({
  digest: sha256(n),
  size: n,
  media_type: 'application/vnd.oci.image.layer.v1.tar+gzip',
})

export function sampleManifest(n: number, fields: Partial<Manifest> = {}): Manifest {
  return {
    schema: 'waybill.manifest/1',
    digest: sha256(n),
    size: 1234,
    media_type: 'application/vnd.oci.image.manifest.v1+json',
    kind: 'image',
    artifact_type: 'application/vnd.example',
    subject: sha256(5),
    config: descriptor(6),
    layers: [{ ...descriptor(7), foreign: false }],
    manifests: [{ ...descriptor(8), platform: 'linux/amd64', attestation_of: sha256(9) }],
    platform: 'linux/amd64',
    ...fields,
  }
}

export function bareManifest(n: number): Manifest {
  return sampleManifest(n, {
    artifact_type: null,
    subject: null,
    config: null,
    layers: [],
    manifests: [{ ...descriptor(8), platform: null, attestation_of: null }],
    platform: null,
  })
}
