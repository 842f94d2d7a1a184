/** Small images with real layers, written as an OCI layout; the same options give the same bytes. */
import { createCipheriv, createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

export type ImageOptions = {
  /** `os/arch[/variant]`; linux/amd64 and linux/arm64. */
  platforms?: readonly string[]
  /** Layers of each platform: 3. */
  layers?: number
  /** Bytes of content in each layer, which do not compress: 64 KiB. */
  layerBytes?: number
  /** The first so many layers depend on the seed's name alone: other tags of it share them. */
  sharedLayers?: number
  /** One attestation manifest for each platform, as BuildKit adds them. */
  attestation?: boolean
  /** The manifest of the first platform alone, without an index. */
  single?: boolean
}

export type Blob = { digest: string; size: number; mediaType: string }
export type PlatformImage = {
  platform: string
  manifest: Blob
  config: Blob
  layers: Blob[]
  /** Of the layers, uncompressed. */
  diffIds: string[]
}
export type Image = {
  /** What the tag resolves to: the index, or the manifest of a single image. */
  digest: string
  index: Blob | null
  images: PlatformImage[]
  /** `subject`: digest of the manifest that it speaks of. */
  attestations: (PlatformImage & { subject: string })[]
}

const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  inToto: 'application/vnd.in-toto+json',
} as const
const created = '2024-01-01T00:00:00Z'

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** A key stream: as random as compression can tell, and the same for the same seed. */
function seededBytes(seed: string, length: number): Buffer {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16)
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}

/** One regular file in POSIX ustar format (IEEE Std 1003.1, pax: 512-byte header, content, two zero blocks). */
function tar(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512)
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, '0')}\0`
  header.write(name, 0)
  header.write(octal(0o644, 7), 100)
  header.write(octal(0, 7), 108)
  header.write(octal(0, 7), 116)
  header.write(octal(content.length, 11), 124)
  header.write(octal(Date.parse(created) / 1000, 11), 136)
  // The checksum is counted with its own field as spaces.
  header.write('        0', 148)
  header.write('ustar\u000000', 257)
  header.write(
    `${octal(
      header.reduce((sum, byte) => sum + byte, 0),
      6,
    )} `,
    148,
  )
  return Buffer.concat([
    header,
    content,
    Buffer.alloc((512 - (content.length % 512)) % 512),
    Buffer.alloc(1024),
  ])
}

/** Writes the layout of one tag into `folder`; `name` and `tag` are the seed. */
export function writeImage(folder: string, name: string, tag: string, options: ImageOptions = {}): Image {
  const { layers = 3, layerBytes = 65_536, sharedLayers = 0 } = options
  const blobs = join(folder, 'blobs', 'sha256')
  mkdirSync(blobs, { recursive: true })
  const put = (content: Uint8Array | object, mediaType: string): Blob => {
    const bytes = content instanceof Uint8Array ? content : Buffer.from(JSON.stringify(content))
    const digest = sha256(bytes)
    writeFileSync(join(blobs, digest.slice(7)), bytes)
    return { digest, size: bytes.length, mediaType }
  }
  const putImage = (platform: string, parts: Blob[], diffIds: string[]): PlatformImage => {
    const [os, architecture, variant] = platform.split('/')
    const config = put(
      {
        ...{ created, os, architecture, ...(variant && { variant }), config: { Cmd: ['/none'] } },
        rootfs: { type: 'layers', diff_ids: diffIds },
        history: diffIds.map(() => ({ created, created_by: 'test' })),
      },
      mediaTypes.config,
    )
    const content = { schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers: parts }
    return { platform, manifest: put(content, mediaTypes.manifest), config, layers: parts, diffIds }
  }

  const platforms = (options.platforms ?? ['linux/amd64', 'linux/arm64']).slice(
    0,
    options.single ? 1 : undefined,
  )
  const images = platforms.map((platform) => {
    const tars = Array.from({ length: layers }, (_, i) => {
      const seed = i < sharedLayers ? `${name}/${platform}/${i}` : `${name}:${tag}/${platform}/${i}`
      return tar(`data-${i}`, seededBytes(seed, layerBytes))
    })
    const parts = tars.map((bytes) => put(gzipSync(bytes, { level: 1 }), mediaTypes.layer))
    return putImage(platform, parts, tars.map(sha256))
  })
  const attestations = (options.attestation ? images : []).map(({ manifest }) => {
    const statement = Buffer.from(
      JSON.stringify({ _type: 'https://in-toto.io/Statement/v0.1', subject: [{ digest: manifest.digest }] }),
    )
    const image = putImage('unknown/unknown', [put(statement, mediaTypes.inToto)], [sha256(statement)])
    return { ...image, subject: manifest.digest }
  })

  const describe = (image: PlatformImage, annotations?: Record<string, string>) => {
    const [os, architecture, variant] = image.platform.split('/')
    return { ...image.manifest, platform: { os, architecture, variant }, annotations }
  }
  const first = images[0]
  if (!first) throw new Error('an image needs a platform')
  const index = options.single
    ? null
    : put(
        {
          ...{ schemaVersion: 2, mediaType: mediaTypes.index },
          manifests: [
            ...images.map((image) => describe(image)),
            ...attestations.map((image) =>
              describe(image, {
                'vnd.docker.reference.digest': image.subject,
                'vnd.docker.reference.type': 'attestation-manifest',
              }),
            ),
          ],
        },
        mediaTypes.index,
      )
  const top = index ?? first.manifest
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  const annotations = { 'org.opencontainers.image.ref.name': tag }
  writeFileSync(
    join(folder, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...top, annotations }] }),
  )
  return { digest: top.digest, index, images, attestations }
}
