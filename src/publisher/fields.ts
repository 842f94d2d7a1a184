/**
 * The published fields in their order: what the CSV columns, the schemas and the checks of both follow.
 */
import type { Manifest, PackageEvent, RequestEvent } from '../record/events.ts'
import type { DeadLetter } from './dead-letter.ts'

/** `value`: one scalar; `list`: an array of scalars; `[tree]`: an array of objects; a tree: an object, or null. */
export type FieldTree = { readonly [name: string]: FieldNode }
export type FieldNode = 'value' | 'list' | FieldTree | readonly [FieldTree]

type NodeOf<V> = V extends readonly (infer Item)[]
  ? Item extends object
    ? readonly [TreeOf<Item>]
    : 'list'
  : V extends object
    ? TreeOf<V>
    : 'value'
type TreeOf<T> = { readonly [K in keyof T]-?: NodeOf<NonNullable<T[K]>> }

const client = {
  id: 'value',
  endpoint_id: 'value',
  tool: 'value',
  version: 'value',
  os: 'value',
  arch: 'value',
  automation: 'value',
  via: 'value',
} as const

const geo = { country: 'value', region: 'value', city: 'value' } as const

const network = {
  asn: 'value',
  organization: 'value',
  type: 'value',
  cloud_provider: 'value',
  cloud_region: 'value',
} as const

const company = { name: 'value', domain: 'value', confidence: 'value', source: 'value' } as const

const data = { city_built_at: 'value', asn_built_at: 'value' } as const

const privacy = { key_epoch: 'value', key_scope: 'value' } as const

const origin = { client, geo, network, company, data, privacy, node: 'value' } as const

const descriptor = { digest: 'value', size: 'value', media_type: 'value' } as const

export const packageEventFields = {
  schema: 'value',
  id: 'value',
  session_ids: 'list',
  session_method: 'value',
  type: 'value',
  kind: 'value',
  started_at: 'value',
  ended_at: 'value',
  duration_ms: 'value',
  domain: 'value',
  repository: 'value',
  upstream: 'value',
  upstream_repository: 'value',
  artifact: 'value',
  tag: 'value',
  tag_source: 'value',
  digest: 'value',
  platform: 'value',
  platform_digest: 'value',
  subject: 'value',
  batch_id: 'value',
  resumed: 'value',
  attempts: 'value',
  fail_reason: 'value',
  checks: { count: 'value', first_at: 'value', last_at: 'value', digests: 'list' },
  requests: 'value',
  manifest_gets: 'value',
  manifest_heads: 'value',
  blob_gets: 'value',
  layers_requested: 'value',
  layers_total: 'value',
  bytes_sent: 'value',
  bytes_unique: 'value',
  bytes_expected: 'value',
  bytes_basis: 'value',
  counts: {
    hub_pulls: 'value',
    dvp_action: 'value',
    scarf_pull: 'value',
    k8s_complete_pull: 'value',
    config_blob_pull: 'value',
  },
  ...origin,
} as const satisfies TreeOf<PackageEvent>

export const requestEventFields = {
  schema: 'value',
  id: 'value',
  time: 'value',
  session_id: 'value',
  session_method: 'value',
  method: 'value',
  class: 'value',
  domain: 'value',
  repository: 'value',
  reference: 'value',
  digest: 'value',
  status: 'value',
  outcome: 'value',
  bytes_sent: 'value',
  range: 'value',
  offset: 'value',
  size: 'value',
  duration_ms: 'value',
  first_byte_ms: 'value',
  upstream: 'value',
  upstream_repository: 'value',
  upstream_status: 'value',
  redirect_host: 'value',
  aborted: 'value',
  ...origin,
} as const satisfies TreeOf<RequestEvent>

export const manifestFields = {
  schema: 'value',
  digest: 'value',
  size: 'value',
  media_type: 'value',
  kind: 'value',
  artifact_type: 'value',
  subject: 'value',
  config: descriptor,
  layers: [{ ...descriptor, foreign: 'value' }],
  manifests: [{ ...descriptor, platform: 'value', attestation_of: 'value' }],
  platform: 'value',
} as const satisfies TreeOf<Manifest>

export const deadLetterFields = {
  schema: 'value',
  id: 'value',
  time: 'value',
  reason: 'value',
  stream: 'value',
  key: 'value',
  bytes: 'value',
  entry: 'value',
  node: 'value',
} as const satisfies TreeOf<DeadLetter>
