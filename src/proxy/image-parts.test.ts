import { expect, test } from 'vitest'
import { readImageParts } from './image-parts.ts'

const digest = `sha256:${'a'.repeat(64)}`
const other = `sha512:${'b'.repeat(128)}`
const ociConfig = 'application/vnd.oci.image.config.v1+json'
const dockerConfig = 'application/vnd.docker.container.image.v1+json'
const ociLayer = { mediaType: 'application/vnd.oci.image.layer.v1.tar+zstd', digest, size: 1 }
const dockerLayer = { mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', digest, size: 1 }

const read = (content: unknown) => readImageParts(Buffer.from(JSON.stringify(content)))
const image = (config: object, layers: unknown = [ociLayer]) => ({
  schemaVersion: 2,
  config: { mediaType: ociConfig, digest, size: 1470, ...config },
  layers,
})

test.each([
  ['OCI', image({}), { digest, size: 1470, mediaType: ociConfig }],
  [
    'Docker',
    image({ mediaType: dockerConfig }, [dockerLayer]),
    { digest, size: 1470, mediaType: dockerConfig },
  ],
  ['without layers', image({}, []), { digest, size: 1470, mediaType: ociConfig }],
  ['of the longest config', image({ size: 1_048_576 }), { digest, size: 1_048_576, mediaType: ociConfig }],
])('the config of an image: %s', (_, content, config) => {
  expect(read(content)).toEqual({ config, placed: [] })
})

test.each([
  ['a longer config', image({ size: 1_048_577 })],
  ['an empty config', image({ size: 0 })],
  ['a size in words', image({ size: '1470' })],
  ['a digest that cannot be checked', image({ digest: 'md5:0' })],
  ['a digest that is a path', image({ digest: `sha256:../${'a'.repeat(61)}` })],
  ['a chart', image({ mediaType: 'application/vnd.cncf.helm.config.v1+json' })],
  ['an attestation', image({}, [{ ...ociLayer, mediaType: 'application/vnd.in-toto+json' }])],
  ['a signature', image({}, [{ mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json' }])],
  ['layers of no type', image({}, [null, 1])],
  ['nothing', {}],
  ['no object', null],
  ['a list', []],
])('nothing is to be read for %s', (_, content) => {
  expect(read(content)).toEqual({ config: null, placed: [] })
})

test('of an index: the images whose platform it says', () => {
  const entry = (name: string, platform: unknown) => ({ digest: name, size: 1, platform })
  const manifests = [
    entry(digest, { os: 'linux', architecture: 'amd64' }),
    entry(other, { os: 'linux', architecture: 'arm64', variant: 'v8' }),
    entry(`sha256:${'c'.repeat(64)}`, { os: 'unknown', architecture: 'unknown' }),
    entry(`sha256:${'d'.repeat(64)}`, { os: 'linux' }),
    entry(`sha256:${'e'.repeat(64)}`, undefined),
    entry('x', { os: 'linux', architecture: 'amd64' }),
    null,
  ]
  expect(read({ manifests })).toEqual({ config: null, placed: [digest, other] })
})

test('neither broken JSON nor more than any image has is read', () => {
  const none = { config: null, placed: [] }
  expect(readImageParts(Buffer.from('{"config":'))).toEqual(none)
  expect(readImageParts(Buffer.alloc(0))).toEqual(none)
  const padded = Buffer.from(JSON.stringify(image({ annotations: { a: 'x'.repeat(262_144) } })))
  expect(readImageParts(padded)).toEqual(none)
})
