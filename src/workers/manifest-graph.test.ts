import { expect, test } from 'vitest'
import { parseManifest } from './manifest-graph.ts'

const ociManifest = 'application/vnd.oci.image.manifest.v1+json'
const ociIndex = 'application/vnd.oci.image.index.v1+json'
const dockerManifest = 'application/vnd.docker.distribution.manifest.v2+json'
const dockerList = 'application/vnd.docker.distribution.manifest.list.v2+json'
const ociConfig = 'application/vnd.oci.image.config.v1+json'
const ociLayer = 'application/vnd.oci.image.layer.v1.tar+gzip'
const empty = 'application/vnd.oci.empty.v1+json'

function digest(letter: string): string {
  return `sha256:${letter.repeat(64)}`
}

function descriptor(letter: string, mediaType: string, more: object = {}) {
  return { mediaType, digest: digest(letter), size: 100, ...more }
}

function parse(content: unknown, mediaType = ociManifest) {
  return parseManifest(Buffer.from(JSON.stringify(content)), mediaType, digest('0'))
}

function manifest(config: string, layers: string[], more: object = {}) {
  return {
    schemaVersion: 2,
    config: descriptor('c', config),
    layers: layers.map((type, i) => descriptor(i.toString(16), type)),
    ...more,
  }
}

test('an image: every field, layers without repeats, foreign ones marked', () => {
  const content = {
    schemaVersion: 2,
    mediaType: dockerManifest,
    config: descriptor('c', 'application/vnd.docker.container.image.v1+json'),
    layers: [
      descriptor('a', 'application/vnd.docker.image.rootfs.diff.tar.gzip'),
      descriptor('b', 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'),
      descriptor('a', 'application/vnd.docker.image.rootfs.diff.tar.gzip'),
      descriptor('d', ociLayer, { urls: ['https://cdn.example/x'] }),
      descriptor('e', 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip'),
      descriptor('f', ociLayer, { urls: [] }),
    ],
  }
  const media_type = 'application/vnd.docker.image.rootfs.diff.tar.gzip'
  expect(parse(content, 'application/json')).toEqual({
    schema: 'waybill.manifest/1',
    digest: digest('0'),
    size: JSON.stringify(content).length,
    media_type: dockerManifest,
    kind: 'image',
    artifact_type: null,
    subject: null,
    config: {
      digest: digest('c'),
      size: 100,
      media_type: 'application/vnd.docker.container.image.v1+json',
    },
    layers: [
      { digest: digest('a'), size: 100, media_type, foreign: false },
      expect.objectContaining({ digest: digest('b'), foreign: true }),
      expect.objectContaining({ digest: digest('d'), foreign: true }),
      expect.objectContaining({ digest: digest('e'), foreign: true }),
      expect.objectContaining({ digest: digest('f'), foreign: false }),
    ],
    manifests: [],
    platform: null,
  })
})

const cosign = 'application/vnd.dev.cosign.simplesigning.v1+json'
const inToto = 'application/vnd.in-toto+json'
const bundle = 'application/vnd.dev.sigstore.bundle.v0.3+json'
const predicate = (type: string) => ({ annotations: { 'dev.sigstore.bundle.predicateType': type } })

test.each([
  ['OCI image', 'image', manifest(ociConfig, [ociLayer])],
  ['image without layers', 'image', manifest(ociConfig, [])],
  [
    'helm chart',
    'helm',
    manifest('application/vnd.cncf.helm.config.v1+json', [
      'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
    ]),
  ],
  ['cosign signature', 'signature', manifest(ociConfig, [cosign, cosign])],
  ['image with one odd layer', 'image', manifest(ociConfig, [ociLayer, cosign])],
  [
    'notation signature',
    'signature',
    manifest('application/vnd.cncf.notary.signature', ['application/jose+json']),
  ],
  [
    'cosign 3 signature',
    'signature',
    manifest(empty, [bundle], { artifactType: bundle, ...predicate('https://sigstore.dev/cosign/sign/v1') }),
  ],
  ['cosign 3 signature without predicate', 'signature', manifest(empty, [bundle], { artifactType: bundle })],
  [
    'cosign 3 attestation',
    'attestation',
    manifest(empty, [bundle], { artifactType: bundle, ...predicate('https://slsa.dev/provenance/v1') }),
  ],
  ['cosign attestation', 'attestation', manifest(ociConfig, ['application/vnd.dsse.envelope.v1+json'])],
  ['BuildKit attestation', 'attestation', manifest(ociConfig, [inToto, inToto])],
  [
    'attestation by artifact type',
    'attestation',
    manifest(empty, [inToto], { artifactType: 'application/vnd.docker.attestation.manifest.v1+json' }),
  ],
  ['cosign SBOM', 'sbom', manifest(ociConfig, ['text/spdx+json'])],
  ['CycloneDX SBOM', 'sbom', manifest(empty, ['application/vnd.cyclonedx+json'])],
  ['SBOM by artifact type', 'sbom', manifest(empty, [empty], { artifactType: 'application/spdx+json' })],
  [
    'something else',
    'other',
    manifest(empty, ['application/x-tar'], { artifactType: 'application/vnd.acme.thing' }),
  ],
  ['Docker plugin', 'other', manifest('application/vnd.docker.plugin.v1+json', [ociLayer])],
])('%s is of kind %s', (_, kind, content) => {
  expect(parse(content)?.kind).toBe(kind)
})

test('artifact type and subject are kept', () => {
  const content = manifest(empty, [empty], {
    artifactType: 'application/vnd.acme.thing',
    subject: descriptor('5', ociManifest),
  })
  expect(parse(content)).toMatchObject({ artifact_type: 'application/vnd.acme.thing', subject: digest('5') })
})

test.each([ociIndex, dockerList])('an index (%s): platforms and attestations', (mediaType) => {
  const reference = {
    'vnd.docker.reference.type': 'attestation-manifest',
    'vnd.docker.reference.digest': digest('a'),
  }
  const content = {
    schemaVersion: 2,
    manifests: [
      descriptor('a', ociManifest, { platform: { os: 'linux', architecture: 'amd64' } }),
      descriptor('b', ociManifest, { platform: { os: 'linux', architecture: 'arm', variant: 'v7' } }),
      descriptor('c', ociManifest, {
        platform: { os: 'unknown', architecture: 'unknown' },
        annotations: reference,
      }),
      descriptor('d', ociManifest, { platform: { os: 'unknown', architecture: 'unknown' } }),
      descriptor('e', ociManifest),
      descriptor('f', ociManifest, { platform: { os: 'linux', architecture: 7 } }),
    ],
  }
  const result = parse(content, `${mediaType}; charset=utf-8`)
  expect(result).toMatchObject({ kind: 'index', media_type: mediaType, config: null, layers: [] })
  expect(result?.manifests.map(({ platform, attestation_of }) => [platform, attestation_of])).toEqual([
    ['linux/amd64', null],
    ['linux/arm/v7', null],
    [null, digest('a')],
    [null, null],
    [null, null],
    [null, null],
  ])
})

const layers = (count: number) => new Array(count).fill(descriptor('a', ociLayer))

test.each([
  ['an array', []],
  ['a string', 'x'],
  ['null', null],
  ['nothing in it', {}],
  ['schema 1', { schemaVersion: 1, fsLayers: [{ blobSum: digest('a') }], history: [] }],
  ['no layers', { config: descriptor('c', ociConfig) }],
  ['layers of another type', { config: descriptor('c', ociConfig), layers: {} }],
  ['a layer without digest', { config: descriptor('c', ociConfig), layers: [{ size: 1 }] }],
  ['a strange digest', { config: { ...descriptor('c', ociConfig), digest: 'sha256:../..' }, layers: [] }],
  ['a negative size', { config: { ...descriptor('c', ociConfig), size: -1 }, layers: [] }],
  ['a size in words', { config: { ...descriptor('c', ociConfig), size: '9' }, layers: [] }],
  ['an index and a manifest at once', { ...manifest(ociConfig, []), manifests: [] }],
  ['manifests of another type', { manifests: 'x' }],
  ['a null entry', { manifests: [null] }],
  ['more layers than any image', { config: descriptor('c', ociConfig), layers: layers(5000) }],
])('%s is no manifest', (_, content) => {
  expect(parse(content)).toBeNull()
})

test('bytes that are no JSON, or a digest that is none, give null', () => {
  expect(parseManifest(Buffer.from('{"manifests":['), ociIndex, digest('0'))).toBeNull()
  expect(parseManifest(Buffer.alloc(0), ociIndex, digest('0'))).toBeNull()
  expect(parseManifest(Buffer.from('{"manifests":[]}'), ociIndex, 'x')).toBeNull()
})

const dockerConfig = 'application/vnd.docker.container.image.v1+json'

test.each([
  ['linux/amd64', ociConfig, { os: 'linux', architecture: 'amd64' }],
  ['linux/arm64/v8', dockerConfig, { os: 'linux', architecture: 'arm64', variant: 'v8' }],
  [
    'windows/amd64',
    dockerConfig,
    { os: 'windows', architecture: 'amd64', 'os.version': '10.0', variant: '' },
  ],
])('the config of an image is a node of its own, with its platform: %s', (platform, mediaType, config) => {
  const content = {
    ...config,
    rootfs: { type: 'layers', diff_ids: [] },
    config: { Cmd: ['sh'] },
    history: [],
  }
  expect(parse(content, mediaType)).toEqual({
    schema: 'waybill.manifest/1',
    digest: digest('0'),
    size: JSON.stringify(content).length,
    media_type: mediaType,
    kind: 'other',
    artifact_type: null,
    subject: null,
    config: null,
    layers: [],
    manifests: [],
    platform,
  })
})

test.each([
  ['an attestation has', { os: 'unknown', architecture: 'unknown' }],
  ['a signature has', { os: '', architecture: '' }],
  ['says half of it', { os: 'linux' }],
  ['says what no platform is', { os: 'linux', architecture: 'a/b' }],
  ['is no text', { os: 1, architecture: 'amd64' }],
  ['is a manifest in truth', { ...manifest(ociConfig, [ociLayer]), os: 'linux', architecture: 'amd64' }],
  ['is an index in truth', { manifests: [], os: 'linux', architecture: 'amd64' }],
])('a config that %s gives no node', (_, content) => {
  expect(parse(content, ociConfig)).toBeNull()
})
