/** Reads a manifest, or an image's config, into one node of the graph that sessions are understood by. */
import type { Descriptor, Manifest } from '../record/events.ts'
import { imageConfigTypes } from '../record/image-config.ts'
import { emptyMediaType, kindOf } from './manifest-kinds.ts'

/** Docker images have at most 127 layers, the largest public indexes under a hundred entries. */
const maxEntries = 4096

/** Media types and artifact types longer than this are no names but cargo (RFC 6838: 127 each side). */
const maxTextLength = 255

/** OCI image-spec: `algorithm:encoded`; 255 bytes is what a record holds. */
const digestPattern = /^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[\w=-]{32,}$/

/** What is looked for in an object of which nothing is known. */
type Fields = {
  readonly [field in
    | 'annotations'
    | 'architecture'
    | 'artifactType'
    | 'config'
    | 'digest'
    | 'layers'
    | 'manifests'
    | 'mediaType'
    | 'os'
    | 'platform'
    | 'size'
    | 'subject'
    | 'urls'
    | 'variant']?: unknown
}

function fieldsOf(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' && value.length <= maxTextLength ? value : null
}

function digestOf(value: unknown): string | null {
  const text = textOf(value)
  return text !== null && digestPattern.test(text) ? text : null
}

function descriptorOf(value: unknown): Descriptor | null {
  const fields = fieldsOf(value)
  const digest = digestOf(fields?.digest)
  const size = fields?.size
  if (digest === null || typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return null
  return { digest, size, media_type: textOf(fields?.mediaType) ?? '' }
}

/** All or nothing: a graph with a hole would call a pull complete that is not. */
function listOf<T>(value: unknown, read: (entry: unknown) => T | null): T[] | null {
  if (!Array.isArray(value) || value.length > maxEntries) return null
  const list: T[] = []
  for (const entry of value) {
    const item = read(entry)
    if (item === null) return null
    list.push(item)
  }
  return list
}

/** Bytes that another server is to hand out: `urls`, or the types Windows base layers have. */
function isForeign(fields: Fields, mediaType: string): boolean {
  const urls = fields.urls
  return (Array.isArray(urls) && urls.length > 0) || /\.nondistributable\.|\.foreign\./.test(mediaType)
}

function layerOf(value: unknown): Manifest['layers'][number] | null {
  const descriptor = descriptorOf(value)
  const fields = fieldsOf(value)
  if (descriptor === null || fields === null) return null
  return { ...descriptor, foreign: isForeign(fields, descriptor.media_type) }
}

function platformOf(value: unknown): string | null {
  const platform = fieldsOf(value)
  const parts = [platform?.os, platform?.architecture]
  const variant = platform?.variant
  if (variant !== undefined && variant !== '') parts.push(variant)
  const text = parts.join('/')
  const valid = parts.every((part) => typeof part === 'string' && /^[A-Za-z0-9._-]{1,32}$/.test(part))
  return valid && text !== 'unknown/unknown' ? text : null
}

function annotationOf(value: unknown, name: string): unknown {
  const annotations = fieldsOf(fieldsOf(value)?.annotations)
  return (annotations as Record<string, unknown> | null)?.[name]
}

/** BuildKit lists the attestations of a platform beside it, marked by annotations. */
function attestedBy(value: unknown): string | null {
  if (annotationOf(value, 'vnd.docker.reference.type') !== 'attestation-manifest') return null
  return digestOf(annotationOf(value, 'vnd.docker.reference.digest'))
}

function entryOf(value: unknown): Manifest['manifests'][number] | null {
  const descriptor = descriptorOf(value)
  if (descriptor === null) return null
  const attestation = attestedBy(value)
  const platform = attestation === null ? platformOf(fieldsOf(value)?.platform) : null
  return { ...descriptor, platform, attestation_of: attestation }
}

function withoutRepeats<T extends Descriptor>(list: T[]): T[] {
  return [...new Map(list.map((item) => [item.digest, item] as const)).values()]
}

function parseJson(bytes: Uint8Array): Fields | null {
  try {
    return fieldsOf(JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()))
  } catch {
    return null
  }
}

function indexOf(fields: Fields): Pick<Manifest, 'kind' | 'config' | 'layers' | 'manifests'> | null {
  const manifests = listOf(fields.manifests, entryOf)
  return manifests === null ? null : { kind: 'index', config: null, layers: [], manifests }
}

function manifestOf(fields: Fields): Pick<Manifest, 'kind' | 'config' | 'layers' | 'manifests'> | null {
  const config = descriptorOf(fields.config)
  const layers = listOf(fields.layers, layerOf)
  if (config === null || layers === null) return null
  const kind = kindOf({
    artifactType: textOf(fields.artifactType),
    config: config.media_type === '' ? null : config.media_type,
    layers: layers.map(({ media_type }) => media_type).filter((type) => type !== emptyMediaType),
    predicate: textOf(annotationOf(fields, 'dev.sigstore.bundle.predicateType')),
  })
  return { kind, config, layers: withoutRepeats(layers), manifests: [] }
}

/** Null for a config that says no platform, as those of attestations do. */
function configOf(fields: Fields, bytes: Uint8Array, mediaType: string, digest: string): Manifest | null {
  const platform = platformOf(fields)
  if (platform === null) return null
  // What an image calls its config may be a manifest, whose node must stay what it is.
  if (fields.layers !== undefined || fields.manifests !== undefined) return null
  return {
    schema: 'waybill.manifest/1',
    digest,
    size: bytes.byteLength,
    media_type: mediaType,
    kind: 'other',
    artifact_type: null,
    subject: null,
    config: null,
    layers: [],
    manifests: [],
    platform,
  }
}

/**
 * `digest`: of `bytes`, already checked. `mediaType`: the Content-Type it came with, used where the manifest
 * does not say its own; that of an image's config, if the bytes are one. Null for anything that is no OCI or Docker
 * schema 2 manifest or index, and no config with a platform.
 */
export function parseManifest(bytes: Uint8Array, mediaType: string, digest: string): Manifest | null {
  const fields = parseJson(bytes)
  if (fields === null || digestOf(digest) === null) return null
  if (imageConfigTypes.has(mediaType)) return configOf(fields, bytes, mediaType, digest)
  const isIndex = fields.manifests !== undefined
  // Both readings at once is how CVE-2021-41190 confused clients.
  if (isIndex && (fields.layers !== undefined || fields.config !== undefined)) return null
  const content = isIndex ? indexOf(fields) : manifestOf(fields)
  if (content === null) return null
  const { kind, config, layers, manifests } = content
  return {
    schema: 'waybill.manifest/1',
    digest,
    size: bytes.byteLength,
    media_type: textOf(fields.mediaType) ?? textOf(mediaType.split(';', 1)[0]?.trim()) ?? '',
    kind,
    artifact_type: textOf(fields.artifactType),
    subject: digestOf(fieldsOf(fields.subject)?.digest),
    config,
    layers,
    manifests,
    platform: null,
  }
}
