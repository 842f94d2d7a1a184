/**
 * The shapes that leave the pool: request events, heartbeats, manifests and package events.
 * Names and meanings are those of the schemas in `schemas/`; one line of the log is one `LogEntry`.
 */
import type { Method, Outcome, RequestClass } from './record.ts'

export type Automation = 'yes' | 'probable' | 'no'

/** All ids are 32 lower-case hex digits. */
export type Client = {
  /** Pseudonym of address and tool family. */
  id: string
  /** Pseudonym of the address alone (IPv6: its /64). */
  endpoint_id: string
  tool: string | null
  version: string | null
  os: string | null
  arch: string | null
  automation: Automation
  /** `cache:<kind>` when a cache or mirror asks on behalf of others. */
  via: string | null
}

export type Geo = { country: string | null; region: string | null; city: string | null }

export type Network = {
  asn: number | null
  organization: string | null
  type: string | null
  cloud_provider: string | null
  cloud_region: string | null
}

export type Company = { name: string; domain: string | null; confidence: string; source: string } | null

export type Privacy = { key_epoch: string; key_scope: 'node' | 'shared' }

/** Who asked, as far as it is known, by what, and which node was asked. */
export type Origin = {
  client: Client
  geo: Geo
  network: Network
  company: Company
  /** Build dates of the databases that geo and network came from. */
  data: { city_built_at: string | null; asn_built_at: string | null }
  privacy: Privacy
  node: string
}

/** `schemas/request-event.json`. Times RFC 3339 UTC with ms, durations in ms, sizes in bytes. */
export type RequestEvent = {
  schema: 'waybill.request-event/1'
  /** The record's id: boot (16 hex digits), ring (4), sequence (12). */
  id: string
  time: string
  /** Hash of nonce and repository, or of pseudonym, tool family and repository; null where no session counts it. */
  session_id: string | null
  session_method: 'token' | 'client' | null
  method: Method
  class: RequestClass
  domain: string | null
  repository: string | null
  reference: string | null
  digest: string | null
  status: number
  outcome: Outcome
  bytes_sent: number
  range: string | null
  /** Position in the representation of the first body byte. */
  offset: number
  /** Complete length of the representation. */
  size: number | null
  duration_ms: number
  first_byte_ms: number | null
  upstream: string | null
  upstream_repository: string | null
  upstream_status: number | null
  redirect_host: string | null
  aborted: boolean
} & Origin

/** A transfer still running: a request event with cumulative bytes, under the id its end will have. Never published. */
export type Heartbeat = Omit<RequestEvent, 'schema'> & { schema: 'waybill.heartbeat/1' }

export type Descriptor = { digest: string; size: number; media_type: string }

/**
 * `schemas/manifest.json`: one node of the manifest graph, a pure function of the bytes of a manifest, or of an image's
 * config: that is a node of its own (`kind` other, known by its media type), so that no order matters.
 */
export type Manifest = {
  schema: 'waybill.manifest/1'
  digest: string
  size: number
  media_type: string
  /** `index`: it lists manifests. Otherwise what its config, artifactType and layers say it is. */
  kind: 'index' | 'image' | 'helm' | 'signature' | 'attestation' | 'sbom' | 'other'
  artifact_type: string | null
  subject: string | null
  config: Descriptor | null
  /** Without repeats. `foreign`: fetched from elsewhere (`urls`, non-distributable media types). */
  layers: (Descriptor & { foreign: boolean })[]
  /** Of an index. `platform`: `os/arch[/variant]`, null when absent or unknown/unknown. */
  manifests: (Descriptor & { platform: string | null; attestation_of: string | null })[]
  /** Of an image's config alone: `os/arch[/variant]`. */
  platform: string | null
}

export type LogEntry = RequestEvent | Heartbeat | Manifest

/** `schemas/package-event.json`, fields in the order of the contract. */
export type PackageEvent = {
  schema: 'waybill.package-event/1'
  id: string
  session_ids: string[]
  session_method: 'token' | 'client'
  type: 'pull' | 'check' | 'check_summary' | 'verify' | 'discovery'
  kind:
    | 'full'
    | 'incremental'
    | 'manifest_only'
    | 'interrupted'
    | 'lazy'
    | 'failed'
    | 'check'
    | 'verify'
    | 'discovery'
  started_at: string
  ended_at: string
  duration_ms: number
  domain: string | null
  repository: string
  upstream: string | null
  upstream_repository: string | null
  artifact: 'image' | 'helm' | 'signature' | 'attestation' | 'sbom' | 'other'
  tag: string | null
  tag_source: 'requested' | 'inferred' | null
  digest: string | null
  platform: string | null
  platform_digest: string | null
  subject: string | null
  batch_id: string | null
  resumed: boolean
  attempts: number
  fail_reason: string | null
  checks: { count: number; first_at: string; last_at: string; digests: string[] } | null
  requests: number
  manifest_gets: number
  manifest_heads: number
  blob_gets: number
  layers_requested: number
  layers_total: number | null
  bytes_sent: number
  bytes_unique: number
  bytes_expected: number | null
  bytes_basis: 'observed' | 'redirected' | 'mixed'
  counts: {
    hub_pulls: number
    dvp_action: 'pull_by_tag' | 'pull_by_digest' | 'version_check' | null
    scarf_pull: boolean
    k8s_complete_pull: boolean
    config_blob_pull: boolean
  }
} & Origin
