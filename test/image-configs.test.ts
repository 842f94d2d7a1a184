/** The configs of images, which the front reads in its own name: when, from where, and at no client's cost. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createGate, type FaultUpstream, startFaultUpstream } from './support/fault-upstream.ts'
import { type FrontOptions, startFront, type TestFront } from './support/front.ts'
import { digestOf } from './support/push.ts'

const types = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
} as const
const layerDigest = digestOf(Buffer.from('layer'))

type Made = { digest: string; bytes: Buffer; mediaType: string }
type Image = Made & { config: Made }

function make(content: object, mediaType: string): Made {
  const bytes = Buffer.from(JSON.stringify(content))
  return { digest: digestOf(bytes), bytes, mediaType }
}

function makeImage(name: string, size?: number): Image {
  const config = make({ os: 'linux', architecture: 'amd64', author: name }, types.config)
  const content = {
    ...{ schemaVersion: 2, mediaType: types.manifest },
    config: { mediaType: types.config, digest: config.digest, size: size ?? config.bytes.length },
    layers: [{ mediaType: types.layer, digest: layerDigest, size: 5 }],
  }
  return { ...make(content, types.manifest), config }
}

const blobPath = (digest: string): string => `/v2/app/blobs/${digest}`
const manifestPath = (reference: string): string => `/v2/app/manifests/${reference}`

function hold(registry: FaultUpstream, { digest, bytes, mediaType }: Made, ...tags: string[]): void {
  const answer = { headers: { 'Content-Type': mediaType, 'Docker-Content-Digest': digest }, body: bytes }
  for (const reference of [digest, ...tags]) registry.answer(manifestPath(reference), answer)
}

let upstream: FaultUpstream
let front: TestFront
const image = makeImage('app')

async function start(options: Partial<FrontOptions> = {}): Promise<void> {
  await front?.stop()
  front = await startFront({ upstream: upstream.url, ...options })
}

beforeEach(async () => {
  upstream = await startFaultUpstream()
  hold(upstream, image, '1.0')
  upstream.answer(blobPath(image.config.digest), { body: image.config.bytes })
  front = await startFront({ upstream: upstream.url })
})
afterEach(async () => {
  vi.restoreAllMocks()
  await front.stop()
  await upstream.stop()
})

async function pull(path: string): Promise<number> {
  const { status } = await fetch(`${front.url}${path}`, { redirect: 'manual' })
  return status
}

const asked = (registry = upstream) => registry.seen.filter(({ url }) => url.includes('/blobs/'))
const told = () => front.manifests.map(({ digest }) => digest)

/** Whatever the front asks by itself for what was asked for before has been asked when this one has. */
async function settleBy(name: string): Promise<void> {
  const last = makeImage(name)
  hold(upstream, last)
  upstream.answer(blobPath(last.config.digest), { body: last.config.bytes })
  expect(await pull(manifestPath(last.digest))).toBe(200)
  await expect.poll(() => told()).toContain(last.config.digest)
}

test('the config of an image is read once, and told as it is; no record speaks of it', async () => {
  for (let round = 0; round < 3; round++) expect(await pull(manifestPath('1.0'))).toBe(200)
  await expect.poll(() => told()).toEqual([image.digest, image.config.digest])
  await pull(manifestPath(image.digest))
  expect(front.manifests[1]).toMatchObject({ digest: image.config.digest, mediaType: types.config })
  expect(Buffer.from(front.manifests[1]?.bytes ?? [])).toEqual(image.config.bytes)
  expect(asked()).toHaveLength(1)
  expect(asked()[0]?.headers).toMatchObject({ 'user-agent': 'waybill', via: '1.1 waybill' })
  await expect.poll(() => front.records).toHaveLength(4)
  expect(new Set(front.records.map((record) => record.class))).toEqual(new Set(['manifest']))
  // Counted as what it is: a request to the registry.
  expect(front.upstreamAnswers).toHaveLength(upstream.seen.length)
  // It is in no client's reach.
  expect(await pull(manifestPath(image.config.digest))).toBe(404)
})

test('what an index says of its images is enough; other images of the same are read', async () => {
  const listed = makeImage('listed')
  const unplaced = makeImage('unplaced')
  const platform = { os: 'linux', architecture: 'amd64' }
  const index = make(
    {
      ...{ schemaVersion: 2, mediaType: types.index },
      manifests: [
        { mediaType: types.manifest, digest: listed.digest, size: listed.bytes.length, platform },
        { mediaType: types.manifest, digest: unplaced.digest, size: unplaced.bytes.length },
      ],
    },
    types.index,
  )
  for (const each of [index, listed, unplaced]) hold(upstream, each)
  for (const { config } of [listed, unplaced])
    upstream.answer(blobPath(config.digest), { body: config.bytes })
  for (const { digest } of [index, listed, unplaced]) expect(await pull(manifestPath(digest))).toBe(200)
  await expect.poll(() => told()).toContain(unplaced.config.digest)
  await settleBy('last')
  expect(told()).not.toContain(listed.config.digest)
  expect(asked().map(({ url }) => url)).not.toContain(blobPath(listed.config.digest))
})

test.each(['redirect', 'stream'] as const)(
  'with blobs: %s its redirect is followed inside',
  async (blobs) => {
    const storage = await startFaultUpstream()
    const storageUrl = `http://localhost:${storage.host.split(':')[1]}`
    storage.answer('/signed', { status: 302, headers: { Location: '/further?b=2' } })
    storage.answer('/further', { body: image.config.bytes })
    upstream.answer(blobPath(image.config.digest), {
      status: 307,
      headers: { Location: `${storageUrl}/signed?a=1` },
    })
    await start({ blobs })
    expect(await pull(manifestPath('1.0'))).toBe(200)
    await expect.poll(() => told()).toEqual([image.digest, image.config.digest])
    expect(storage.seen.map(({ url }) => url)).toEqual(['/signed?a=1', '/further?b=2'])
    await storage.stop()
  },
)

test('a redirect to a host that is not listed is not followed', async () => {
  const storage = await startFaultUpstream()
  upstream.answer(blobPath(image.config.digest), {
    status: 307,
    headers: { Location: `http://localhost:${storage.host.split(':')[1]}/signed` },
  })
  await start({ redirectHosts: ['storage.example.com'] })
  await pull(manifestPath('1.0'))
  await expect.poll(() => asked()).toHaveLength(1)
  await settleBy('last')
  expect(storage.seen).toEqual([])
  await storage.stop()
})

test.each([
  ['is not there', { status: 404 }],
  ['fails', { status: 500 }],
  ['breaks off', { body: image.config.bytes, breakAt: { bytes: 10, how: 'reset' } }],
  ['is of other bytes', { body: Buffer.alloc(image.config.bytes.length) }],
  ['is longer than was said', { body: Buffer.alloc(2_000_000) }],
  ['redirects in a circle', { status: 307, headers: { Location: blobPath(image.config.digest) } }],
] as const)(
  'a config that %s: no pull is the worse for it, and it is tried again after an hour',
  async (_, answer) => {
    const now = performance.now.bind(performance)
    let laterMs = 0
    vi.spyOn(performance, 'now').mockImplementation(() => now() + laterMs)
    upstream.answer(blobPath(image.config.digest), answer)
    for (let round = 0; round < 3; round++) expect(await pull(manifestPath('1.0'))).toBe(200)
    await settleBy('last')
    const tries = asked().filter(({ url }) => url === blobPath(image.config.digest)).length
    // Redirects are followed three times.
    expect(tries).toBeLessThanOrEqual(4)
    expect(told()).not.toContain(image.config.digest)
    expect(front.warnings).toEqual([])
    upstream.answer(blobPath(image.config.digest), { body: image.config.bytes })
    laterMs = 3_600_001
    expect(await pull(manifestPath('1.0'))).toBe(200)
    await expect.poll(() => told()).toContain(image.config.digest)
  },
)

test('no more of a config is taken than its manifest says that there is', async () => {
  const gate = createGate()
  const body = Buffer.alloc(image.config.bytes.length + 1)
  upstream.answer(blobPath(image.config.digest), {
    ...{ headers: { 'Content-Length': '100000000' }, body },
    ...{ bytesFirst: body.length, bodyAfter: gate.opened },
  })
  expect(await pull(manifestPath('1.0'))).toBe(200)
  await expect.poll(() => asked()[0]?.aborted).toBe(true)
  gate.release()
  // No word of 1 MiB and more is asked for at all.
  const large = makeImage('large', 1_048_577)
  hold(upstream, large)
  expect(await pull(manifestPath(large.digest))).toBe(200)
  await settleBy('last')
  expect(asked().map(({ url }) => url)).not.toContain(blobPath(large.config.digest))
})

test('each hour it is told again with its manifest, from memory', async () => {
  const now = performance.now.bind(performance)
  let laterMs = 0
  vi.spyOn(performance, 'now').mockImplementation(() => now() + laterMs)
  await pull(manifestPath('1.0'))
  await expect.poll(() => told()).toHaveLength(2)
  laterMs = 3_600_001
  await pull(manifestPath('1.0'))
  await vi.waitFor(() =>
    expect(told()).toEqual([image.digest, image.config.digest, image.digest, image.config.digest]),
  )
  expect(asked()).toHaveLength(1)
})

test('an upstream that is silent about configs keeps nobody waiting, and is asked for two at a time', async () => {
  await start({ limits: { upstreamRequests: 1 } })
  const gate = createGate()
  const images = ['a', 'b', 'c', 'd'].map((name) => makeImage(name))
  for (const each of images) {
    hold(upstream, each)
    upstream.answer(blobPath(each.config.digest), { headAfter: gate.opened, body: each.config.bytes })
  }
  upstream.answer(blobPath(layerDigest), { body: 'layer' })
  for (const { digest } of images) {
    expect(await pull(manifestPath(digest))).toBe(200)
    // The one place is a client's.
    expect(await pull(blobPath(layerDigest))).toBe(200)
  }
  const configs = () => asked().filter(({ url }) => url !== blobPath(layerDigest))
  await expect.poll(() => configs()).toHaveLength(2)
  gate.release()
  await vi.waitFor(() =>
    expect(told()).toEqual(expect.arrayContaining(images.map(({ config }) => config.digest))),
  )
  expect(front.upstreamErrors).toEqual([])
})

test('while clients take half of the places it is not asked for', async () => {
  await start({ limits: { upstreamRequests: 2 } })
  const gate = createGate()
  upstream.answer(blobPath(layerDigest), { headAfter: gate.opened, body: 'layer' })
  const layer = pull(blobPath(layerDigest))
  await expect.poll(() => asked()).toHaveLength(1)
  expect(await pull(manifestPath('1.0'))).toBe(200)
  await expect.poll(() => told()).toEqual([image.digest])
  gate.release()
  expect(await layer).toBe(200)
  await settleBy('last')
  expect(told()).not.toContain(image.config.digest)
  expect(front.upstreamErrors).toEqual([])
})

test('the fallback is asked for the config of what it serves, and in place of the first', async () => {
  const second = await startFaultUpstream()
  await start({ fallback: second.url })
  upstream.answer(blobPath(image.config.digest), { status: 503 })
  second.answer(blobPath(image.config.digest), { body: image.config.bytes })
  expect(await pull(manifestPath('1.0'))).toBe(200)
  await expect.poll(() => told()).toContain(image.config.digest)
  const other = makeImage('other')
  upstream.answer(manifestPath('2.0'), { status: 503 })
  hold(second, other, '2.0')
  second.answer(blobPath(other.config.digest), { body: other.config.bytes })
  expect(await pull(manifestPath('2.0'))).toBe(200)
  await expect.poll(() => told()).toContain(other.config.digest)
  expect(asked().map(({ url }) => url)).toEqual([blobPath(image.config.digest)])
  await second.stop()
})

test('in passthrough mode nothing is asked', async () => {
  await start({ auth: 'passthrough' })
  for (const reference of ['1.0', image.digest]) expect(await pull(manifestPath(reference))).toBe(200)
  await expect.poll(() => told()).toEqual([image.digest])
  // A whole further round, so that what was begun by the first would be seen.
  await pull(manifestPath(image.digest))
  expect(asked()).toEqual([])
})

test('a stop waits for no config', async () => {
  const gate = createGate()
  upstream.answer(blobPath(image.config.digest), { headAfter: gate.opened, body: image.config.bytes })
  await pull(manifestPath('1.0'))
  await expect.poll(() => asked()).toHaveLength(1)
  await front.stop()
  await expect.poll(() => asked()[0]?.aborted).toBe(true)
  gate.release()
  front = await startFront({ upstream: upstream.url })
})
