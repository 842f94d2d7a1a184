/** A new user's first minute: Waybill before a registry, pulls by real clients, one event for each. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Containerd, startContainerd } from './support/containerd.ts'
import { type DockerEngine, startDockerEngine } from './support/docker.ts'
import type { Image } from './support/image.ts'
import { temporaryFolder } from './support/processes.ts'
import {
  asRoot,
  type EventSource,
  eventOf,
  eventSource,
  fullPull,
  listEvents,
  marker,
  platformOf,
  sessionIdle,
  settle,
  upToDateCheck,
} from './support/pulls.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { compareBlobs, skopeoCopy } from './support/skopeo.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

let registry: Registry
let waybill: Waybill
let source: EventSource
let engine: DockerEngine | null = null
let containerd: Containerd | null = null
/** What the tests so far must have left; the last one compares. */
const expected: string[] = []

beforeAll(async () => {
  registry = await startRegistry()
  await pushImage(registry, marker.repository, marker.tag, { layers: 1 })
  waybill = await startWaybill({ args: ['--upstream', registry.url, ...sessionIdle] })
  source = eventSource(waybill)
  if (!asRoot) return
  containerd = await startContainerd()
  engine = await startDockerEngine({ insecureRegistries: [waybill.host] })
})
afterAll(async () => {
  await Promise.all([engine?.stop(), containerd?.stop()])
  await waybill.stop()
  await registry.stop()
})

const tag = '1.0'
const push = (name: string, options = {}): Promise<Image> => pushImage(registry, name, tag, options)

async function pullByDocker(name: string): Promise<void> {
  const pulled = await engine?.pull(`${waybill.host}/${name}:${tag}`)
  expect(pulled, pulled?.stderr).toMatchObject({ code: 0 })
}

async function pullByContainerd(name: string): Promise<void> {
  const pulled = await containerd?.pull(`${waybill.host}/${name}:${tag}`, { plainHttp: true })
  expect(pulled, pulled?.stderr).toMatchObject({ code: 0 })
}

/** Compares every byte with the registry's; returns the digests of all that was copied. */
async function copyBySkopeo(name: string, options = { all: false }): Promise<Set<string>> {
  const folder = temporaryFolder('copy')
  const copied = await skopeoCopy(`${waybill.host}/${name}:${tag}`, folder, options)
  expect(copied, copied.stderr).toMatchObject({ code: 0, stderr: '' })
  const { equal, different } = await compareBlobs(folder, registry.url, name)
  expect(different).toEqual([])
  return new Set(equal)
}

test('skopeo copy: the bytes of the registry, and one event that says exactly what was pulled', async () => {
  const image = await push('demo/app')
  const { manifest, config, layers } = platformOf(image)
  const parts = [manifest, config, ...layers]
  expect(await copyBySkopeo('demo/app')).toEqual(new Set(parts.map(({ digest }) => digest)))
  const event = await eventOf(waybill, 'demo/app')
  expect(await waybill.events()).toEqual([event])
  expect(event).toMatchObject({
    ...fullPull(image, 'demo/app', tag),
    ...{ domain: '127.0.0.1', upstream: registry.host, client: { tool: 'skopeo', automation: 'no' } },
  })
  expect(event.session_ids).toHaveLength(1)
  expect(event.client.version).toMatch(/^\d+\.\d/)
  expected.push('demo/app pull/full')
})

test.concurrent('skopeo again: it takes everything again, so that is a full pull again', async () => {
  const image = await push('again/skopeo')
  await copyBySkopeo('again/skopeo')
  const first = await eventOf(source, 'again/skopeo')
  await copyBySkopeo('again/skopeo')
  const second = await eventOf(source, 'again/skopeo', 2)
  for (const event of [first, second]) expect(event).toMatchObject(fullPull(image, 'again/skopeo', tag))
  expect(second.id).not.toBe(first.id)
  expect(second.client.id).toBe(first.client.id)
  expected.push('again/skopeo pull/full', 'again/skopeo pull/full')
})

test.concurrent('all platforms at once are one pull of several platforms', async () => {
  const image = await push('demo/all')
  await copyBySkopeo('demo/all', { all: true })
  expect(await eventOf(source, 'demo/all')).toMatchObject({
    ...{ type: 'pull', kind: 'full', platform: 'multiple', digest: image.digest, tag },
    ...{ manifest_gets: 3, blob_gets: 8, counts: { hub_pulls: 2 } },
  })
  expected.push('demo/all pull/full')
})

test.concurrent('an image of one platform, without an index, is as complete', async () => {
  const image = await push('demo/single', { single: true, platforms: ['linux/amd64'] })
  await copyBySkopeo('demo/single')
  const event = await eventOf(source, 'demo/single')
  expect(event).toMatchObject(fullPull(image, 'demo/single', tag))
  expect(event.platform_digest).toBe(event.digest)
  expected.push('demo/single pull/full')
})

test.runIf(asRoot).concurrent('docker pull: one event; pulled again it only checks', async () => {
  const image = await push('demo/docker')
  await pullByDocker('demo/docker')
  const event = await eventOf(source, 'demo/docker')
  expect(event).toMatchObject({
    ...fullPull(image, 'demo/docker', tag, { heads: 1 }),
    client: { tool: 'docker', os: 'linux', automation: 'no' },
  })
  expect(event.session_ids).toHaveLength(1)
  await pullByDocker('demo/docker')
  expect(await eventOf(source, 'demo/docker', 2)).toMatchObject({
    ...upToDateCheck(image, 'demo/docker', tag),
    client: { id: event.client.id },
  })
  expected.push('demo/docker pull/full', 'demo/docker check/check')
})

test
  .runIf(asRoot)
  .concurrent('ctr images pull: two tokens, still one event; pulled again it only checks', async () => {
    const image = await push('demo/containerd')
    await pullByContainerd('demo/containerd')
    const event = await eventOf(source, 'demo/containerd')
    expect(event).toMatchObject({
      ...fullPull(image, 'demo/containerd', tag, { heads: 1 }),
      client: { tool: 'containerd', automation: 'no' },
    })
    expect(new Set(event.session_ids).size).toBe(2)
    await pullByContainerd('demo/containerd')
    expect(await eventOf(source, 'demo/containerd', 2)).toMatchObject(
      upToDateCheck(image, 'demo/containerd', tag),
    )
    expected.push('demo/containerd pull/full', 'demo/containerd check/check')
  })

test.runIf(asRoot).concurrent('images of one platform by docker and ctr', async () => {
  const options = { single: true, platforms: ['linux/amd64'] }
  const [forDocker, forContainerd] = [await push('single/docker', options), await push('single/ctr', options)]
  await Promise.all([pullByDocker('single/docker'), pullByContainerd('single/ctr')])
  for (const [name, image] of [
    ['single/docker', forDocker],
    ['single/ctr', forContainerd],
  ] as const) {
    expect(await eventOf(source, name)).toMatchObject(fullPull(image, name, tag, { heads: 1 }))
    expected.push(`${name} pull/full`)
  }
})

test('nothing else was counted, and nothing was lost', async () => {
  expect(listEvents(await settle(source))).toEqual(expected.sort())
})
