/** A registry that has, for each repository, the image that the recorded requests of a client speak of. */
import { createHash } from 'node:crypto'
import { type Answer, type FaultUpstream, startFaultUpstream } from './fault-upstream.ts'

export type TracedImage = {
  /** Digest by the name that traces use: I, M, C, L1 … */
  digests: Map<string, string>
  tag: string
}

export type TracedRegistry = {
  url: string
  add(repository: string, options?: TracedOptions): TracedImage
  stop(): Promise<void>
}

export type TracedOptions = {
  image?: 'platforms' | 'one-layer' | 'helm'
  /** Manifests by tag are answered without Docker-Content-Digest. */
  withoutDigest?: boolean
  /** All that is asked for by tag is answered with 429. */
  limited?: boolean
}

export const imageTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  inToto: 'application/vnd.in-toto+json',
  signature: 'application/vnd.dev.cosign.simplesigning.v1+json',
  helmConfig: 'application/vnd.cncf.helm.config.v1+json',
  helmChart: 'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
} as const

type Descriptor = { mediaType: string; digest: string; size: number }

export async function startTracedRegistry(): Promise<TracedRegistry> {
  const upstream = await startFaultUpstream()
  return {
    url: upstream.url,
    add: (repository, options = {}) => addImage(upstream, repository, options),
    stop: upstream.stop,
  }
}

function addImage(upstream: FaultUpstream, repository: string, options: TracedOptions): TracedImage {
  const digests = new Map<string, string>()
  const tag = 't1'
  const answer = (path: string, reply: Answer) => upstream.answer(`/v2/${repository}/${path}`, reply)

  function put(name: string, mediaType: string, content: string | object): Descriptor {
    const body = Buffer.from(typeof content === 'string' ? content : JSON.stringify(content))
    const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`
    digests.set(name, digest)
    const isManifest = mediaType === imageTypes.index || mediaType === imageTypes.manifest
    const headers = {
      'Content-Type': isManifest ? mediaType : 'application/octet-stream',
      'Docker-Content-Digest': digest,
    }
    answer(`${isManifest ? 'manifests' : 'blobs'}/${digest}`, { headers, body })
    if (name === 'I') putTag(headers, body)
    if (name === 'S') answer(`manifests/${digests.get('I')?.replace(':', '-')}.sig`, { headers, body })
    return { mediaType, digest, size: body.length }
  }

  function putTag(headers: Record<string, string>, body: Buffer): void {
    const { withoutDigest, limited } = options
    const shown = withoutDigest ? { ...headers, 'Docker-Content-Digest': null } : headers
    answer(`manifests/${tag}`, limited ? { status: 429 } : { headers: shown, body })
  }

  /** Bytes that say whose they are, so that no two repositories have one in common. */
  const blob = (name: string, mediaType: string = imageTypes.layer) =>
    put(name, mediaType, `${repository} ${name} `.repeat(50))
  const manifest = (name: string, config: Descriptor, layers: Descriptor[], rest: object = {}) =>
    put(name, imageTypes.manifest, {
      schemaVersion: 2,
      mediaType: imageTypes.manifest,
      config,
      layers,
      ...rest,
    })

  if (options.image === 'helm')
    manifest('I', blob('C', imageTypes.helmConfig), [blob('L1', imageTypes.helmChart)])
  else {
    const shared = blob('L1')
    const more = options.image === 'one-layer' ? [] : [blob('L2'), blob('L3')]
    const first = manifest('M', blob('C', imageTypes.config), [shared, ...more])
    const second = manifest('M2', blob('C2', imageTypes.config), [shared, blob('L2.2'), blob('L2.3')])
    const attestation = manifest('A', blob('A.config', imageTypes.config), [
      blob('A.layer1', imageTypes.inToto),
    ])
    const attests = {
      'vnd.docker.reference.digest': first.digest,
      'vnd.docker.reference.type': 'attestation-manifest',
    }
    put('I', imageTypes.index, {
      ...{ schemaVersion: 2, mediaType: imageTypes.index },
      manifests: [
        { ...first, platform: { os: 'linux', architecture: 'amd64' } },
        { ...second, platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } },
        { ...attestation, platform: { os: 'unknown', architecture: 'unknown' }, annotations: attests },
      ],
    })
    manifest('S', blob('S.config', imageTypes.config), [blob('S.layer1', imageTypes.signature)])
  }
  answer('tags/list', {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ name: repository, tags: [tag] }),
  })
  return { digests, tag }
}
