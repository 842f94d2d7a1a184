/**
 * What a manifest says of platforms: the config that tells that of an image, or the images whose index tells it.
 */
import { imageConfigTypes } from '../record/image-config.ts'

export type ImageParts = {
  /** Of an image; null for anything else. */
  config: { digest: string; size: number; mediaType: string } | null
  /** Of an index: digests of the images whose platform it says. */
  placed: string[]
}

// The largest public indexes, and images of 127 layers, are below 64 KiB; more would keep the thread for too long.
const maxReadBytes = 256 * 1024
// Labels and history make a few hundred KB of the longest; it is held in memory, and parsed as a whole.
const maxConfigBytes = 1024 * 1024

/** Signatures and attestations carry the config of an image as well, which says nothing. */
const imageLayer = /^application\/vnd\.(?:oci\.image\.layer|docker\.image\.rootfs)\./
const digestPattern = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/

const nothing: ImageParts = { config: null, placed: [] }

/** Bytes whose digest is right need not be a manifest. */
export function readImageParts(bytes: Buffer): ImageParts {
  if (bytes.length > maxReadBytes) return nothing
  const manifest = parse(bytes)
  if (Array.isArray(manifest['manifests'])) {
    return { config: null, placed: manifest['manifests'].map(fieldsOf).filter(isPlaced).map(digestIn) }
  }
  return { config: configOf(manifest), placed: [] }
}

type Fields = Record<string, unknown>

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {}
}

function parse(bytes: Buffer): Fields {
  try {
    return fieldsOf(JSON.parse(bytes.toString()))
  } catch {
    return {}
  }
}

function digestIn({ digest }: Fields): string {
  return typeof digest === 'string' && digestPattern.test(digest) ? digest : ''
}

function isPlaced(descriptor: Fields): boolean {
  const { os, architecture } = fieldsOf(descriptor['platform']) as { os?: unknown; architecture?: unknown }
  const isSaid = (word: unknown): boolean => typeof word === 'string' && word !== '' && word !== 'unknown'
  return digestIn(descriptor) !== '' && isSaid(os) && isSaid(architecture)
}

function configOf(manifest: Fields): ImageParts['config'] {
  const config = fieldsOf(manifest['config'])
  const { size, mediaType } = config as { size?: unknown; mediaType?: unknown }
  const digest = digestIn(config)
  if (digest === '' || typeof mediaType !== 'string' || !imageConfigTypes.has(mediaType)) return null
  if (typeof size !== 'number' || !(size > 0 && size <= maxConfigBytes)) return null
  const layers = Array.isArray(manifest['layers']) ? manifest['layers'].map(fieldsOf) : []
  const isImage = layers.length === 0 || layers.some((layer) => imageLayer.test(String(layer['mediaType'])))
  return isImage ? { digest, size, mediaType } : null
}
