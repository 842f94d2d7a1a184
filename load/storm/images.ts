/** What the storm's registry has: images made from their names. */
import { createHash } from 'node:crypto'
import { imageTypes } from '../../test/support/traced-registry.ts'

export type Part = {
  digest: string
  size: number
  role: 'index' | 'platform' | 'attestation' | 'signature' | 'config' | 'layer' | 'attached'
  /** `os/arch[/variant]` of a platform manifest. */
  platform: string | null
  /** Of manifests: config and layers, or the manifests listed. */
  contains: string[]
}

export type StormImage = {
  repository: string
  tag: string
  /** What the tag resolves to. */
  digest: string
  /** An index, a manifest without one, or a chart. */
  shape: 'platforms' | 'single' | 'helm'
  /** Digest by the name that traces use: I, M, C, L1 … */
  names: Map<string, string>
  parts: Map<string, Part>
}

export type Stored = { headers: Record<string, string>; body: Buffer }

export type ImageStore = {
  add(repository: string, tag: string, shape: StormImage['shape']): StormImage
  /** By path, without a query. */
  find(path: string): Stored | undefined
}

// Enough to be cut in the middle, little enough for twenty thousand pulls on one machine.
const layerBytes = 8192
const pullsOfRepository = 50
const tagsOfRepository = 3

type Descriptor = { mediaType: string; digest: string; size: number }

export function createImageStore(): ImageStore {
  const stored = new Map<string, Stored>()
  const tags = new Map<string, string[]>()
  return {
    add(repository, tag, shape) {
      const known = [...(tags.get(repository) ?? []), tag]
      tags.set(repository, known)
      const body = Buffer.from(JSON.stringify({ name: repository, tags: known }))
      stored.set(`/v2/${repository}/tags/list`, { headers: { 'Content-Type': 'application/json' }, body })
      return addImage((path, one) => stored.set(`/v2/${repository}/${path}`, one), repository, tag, shape)
    },
    find: (path) => stored.get(path),
  }
}

/** As many as so many pulls are spread over. */
export function addImages(add: ImageStore['add'], pulls: number): StormImage[] {
  const count = Math.max(4, Math.round(pulls / pullsOfRepository))
  return Array.from({ length: count }, (_, index) => {
    const shape = index % 8 === 3 ? 'helm' : index % 4 === 1 ? 'single' : 'platforms'
    return Array.from({ length: tagsOfRepository }, (_, tag) =>
      add(`team-${index % 5}/app-${index}`, `v${tag + 1}`, shape),
    )
  }).flat()
}

function addImage(
  store: (path: string, stored: Stored) => void,
  repository: string,
  tag: string,
  shape: StormImage['shape'],
): StormImage {
  const names = new Map<string, string>()
  const parts = new Map<string, Part>()

  function put(
    name: string,
    mediaType: string,
    content: Buffer | object,
    rest: Pick<Part, 'role'> & Partial<Part>,
  ): Descriptor {
    const body = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content))
    const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`
    names.set(name, digest)
    parts.set(digest, { digest, size: body.length, platform: null, contains: [], ...rest })
    const isManifest = mediaType === imageTypes.index || mediaType === imageTypes.manifest
    const headers = {
      'Content-Type': isManifest ? mediaType : 'application/octet-stream',
      'Docker-Content-Digest': digest,
    }
    store(`${isManifest ? 'manifests' : 'blobs'}/${digest}`, { headers, body })
    if (name === 'I') store(`manifests/${tag}`, { headers, body })
    if (name === 'S') {
      store(`manifests/${names.get('I')?.replace(':', '-')}.sig`, { headers, body })
    }
    return { mediaType, digest, size: body.length }
  }

  /** All tags of a repository share what is `base`. */
  function blob(name: string, mediaType: string, role: Part['role'] = 'layer', of = tag): Descriptor {
    const text = `${repository} ${of} ${name} `
    const bytes = role === 'layer' ? layerBytes : 512
    return put(name, mediaType, Buffer.alloc(bytes, text), { role })
  }
  /** One that says its platform, as those of images do. */
  function config(name: string, architecture: string): Descriptor {
    const content = {
      architecture,
      os: 'linux',
      of: `${repository} ${tag} ${name}`,
      rootfs: { type: 'layers' },
    }
    return put(name, imageTypes.config, content, { role: 'config' })
  }
  function manifest(
    name: string,
    own: Descriptor,
    layers: Descriptor[],
    rest: Pick<Part, 'role'> & Partial<Part>,
  ): Descriptor {
    const content = { schemaVersion: 2, mediaType: imageTypes.manifest, config: own, layers }
    return put(name, imageTypes.manifest, content, {
      ...rest,
      contains: [own, ...layers].map(({ digest }) => digest),
    })
  }

  if (shape === 'helm') {
    const chart = [blob('L1', imageTypes.helmChart)]
    manifest('I', blob('C', imageTypes.helmConfig, 'config'), chart, { role: 'platform' })
  } else {
    const base = blob('L1', imageTypes.layer, 'layer', 'base')
    const own = [base, blob('L2', imageTypes.layer), blob('L3', imageTypes.layer)]
    const platform = 'linux/amd64'
    const first = manifest(shape === 'single' ? 'I' : 'M', config('C', 'amd64'), own, {
      role: 'platform',
      platform,
    })
    if (shape === 'single') names.set('M', first.digest)
    else {
      const others = [base, blob('L2.2', imageTypes.layer), blob('L2.3', imageTypes.layer)]
      const second = manifest('M2', config('C2', 'arm64'), others, {
        role: 'platform',
        platform: 'linux/arm64/v8',
      })
      const statement = [blob('A.layer1', imageTypes.inToto, 'attached')]
      const attestation = manifest('A', blob('A.config', imageTypes.config, 'attached'), statement, {
        role: 'attestation',
      })
      const manifests = [
        { ...first, platform: { os: 'linux', architecture: 'amd64' } },
        { ...second, platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } },
        {
          ...attestation,
          platform: { os: 'unknown', architecture: 'unknown' },
          annotations: {
            'vnd.docker.reference.digest': first.digest,
            'vnd.docker.reference.type': 'attestation-manifest',
          },
        },
      ]
      const content = { schemaVersion: 2, mediaType: imageTypes.index, manifests }
      put('I', imageTypes.index, content, { role: 'index', contains: manifests.map(({ digest }) => digest) })
      const signed = [blob('S.layer1', imageTypes.signature, 'attached')]
      manifest('S', blob('S.config', imageTypes.config, 'attached'), signed, { role: 'signature' })
    }
  }
  const digest = names.get('I')
  if (digest === undefined) throw new Error('an image without root')
  return { repository, tag, digest, shape, names, parts }
}
