/** Two nodes on one Redis and one Kafka, half of the connections each: still one event for each pull. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { PackageEvent, RequestEvent } from '../src/record/events.ts'
import { readMetric } from './support/admin.ts'
import { type Balancer, startBalancer } from './support/balancer.ts'
import { expectCloudEvents } from './support/cloud-events.ts'
import { startContainerd } from './support/containerd.ts'
import { startDockerEngine } from './support/docker.ts'
import type { Image } from './support/image.ts'
import { type KafkaBroker, type KafkaMessage, readTopic, startKafka } from './support/kafka.ts'
import { temporaryFolder } from './support/processes.ts'
import { asRoot, eventOf, fullPull, marker, platformOf, sessionIdle, settle } from './support/pulls.ts'
import { type RedisServer, startRedis } from './support/redis.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { skopeoCopy } from './support/skopeo.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

let registry: Registry
let redis: RedisServer
let kafka: KafkaBroker
let nodes: Waybill[] = []
let balancer: Balancer
/** By repository. */
const images = new Map<string, Image>()

beforeAll(async () => {
  ;[registry, redis, kafka] = await Promise.all([startRegistry(), startRedis(), startKafka()])
  images.set(marker.repository, await pushImage(registry, marker.repository, marker.tag, { layers: 1 }))
  const file = join(temporaryFolder('config'), 'waybill.yaml')
  writeFileSync(
    file,
    `redis: {url: "${redis.url}"}
kafka: {brokers: ["${kafka.brokers[0]}"], createTopics: true, partitions: 3, replicationFactor: 1}
`,
  )
  const args = ['--config', file, '--upstream', registry.url, ...sessionIdle]
  nodes = await Promise.all([startWaybill({ args }), startWaybill({ args })])
  balancer = await startBalancer(nodes.map(({ host }) => host))
})
afterAll(async () => {
  balancer.stop()
  await Promise.all(nodes.map((node) => node.stop()))
  await Promise.all([registry.stop(), redis.stop(), kafka.stop()])
})

const tag = '1.0'
const topic = (stream: string): Promise<KafkaMessage[]> => readTopic(kafka.brokers, `waybill.${stream}`)
const parse = <Value>(messages: KafkaMessage[]): Value[] =>
  messages.map(({ value }) => JSON.parse(value ?? '') as Value)
/** Through the balancer, and read from Kafka. */
const all = {
  get url() {
    return balancer.url
  },
  // The topic is made for the first event.
  events: () =>
    topic('events')
      .then(parse<PackageEvent>)
      .catch((error: Error) => {
        if (/does not host this topic/.test(error.message)) return []
        throw error
      }),
}

async function push(repository: string): Promise<Image> {
  const image = await pushImage(registry, repository, tag)
  images.set(repository, image)
  return image
}

test('skopeo: every request on another connection, half of them on each node, one event', async () => {
  const image = await push('shared/skopeo')
  const before = balancer.requests.length
  const source = `${balancer.host}/shared/skopeo:${tag}`
  const copied = await skopeoCopy(source, temporaryFolder('copy'), { all: false })
  expect(copied, copied.stderr).toMatchObject({ code: 0 })
  expect(await eventOf(all, 'shared/skopeo')).toMatchObject(fullPull(image, 'shared/skopeo', tag))
  const served = balancer.requests.slice(before).map(({ node }) => node)
  expect(new Set(served)).toEqual(new Set([0, 1]))
})

test.runIf(asRoot)('docker: one event', async () => {
  const image = await push('shared/docker')
  const engine = await startDockerEngine({ insecureRegistries: [balancer.host] })
  const pulled = await engine.pull(`${balancer.host}/shared/docker:${tag}`)
  expect(pulled, pulled.stderr).toMatchObject({ code: 0 })
  expect(await eventOf(all, 'shared/docker')).toMatchObject(
    fullPull(image, 'shared/docker', tag, { heads: 1 }),
  )
  await engine.stop()
})

test.runIf(asRoot)('containerd: two tokens, two connections and more, one event', async () => {
  const image = await push('shared/containerd')
  const containerd = await startContainerd()
  const pulled = await containerd.pull(`${balancer.host}/shared/containerd:${tag}`, { plainHttp: true })
  expect(pulled, pulled.stderr).toMatchObject({ code: 0 })
  const event = await eventOf(all, 'shared/containerd')
  expect(event).toMatchObject(fullPull(image, 'shared/containerd', tag, { heads: 1 }))
  expect(new Set(event.session_ids).size).toBe(2)
  await containerd.stop()
})

test('many pulls at once, each spread over both nodes: one event for each', async () => {
  const image = await push('shared/busy')
  const copies = await Promise.all(
    Array.from({ length: 6 }, () =>
      skopeoCopy(`${balancer.host}/shared/busy:${tag}`, temporaryFolder('copy'), { all: false }),
    ),
  )
  for (const copied of copies) expect(copied, copied.stderr).toMatchObject({ code: 0 })
  const events = (await settle(all)).filter(({ repository }) => repository === 'shared/busy')
  expect(events).toHaveLength(6)
  for (const event of events) expect(event).toMatchObject(fullPull(image, 'shared/busy', tag))
  expect(new Set(events.flatMap(({ session_ids }) => session_ids)).size).toBe(6)
})

test('one message for each event, with its key and headers; the nodes keep a tail of them', async () => {
  const events = await settle(all)
  const messages = await topic('events')
  expectCloudEvents(messages, 'package-event', ({ id, session_ids, ended_at, node }: PackageEvent) => ({
    ...{ id, key: session_ids[0] ?? '', time: ended_at, node },
  }))
  const pulls = asRoot ? 9 : 7
  expect(events).toHaveLength(pulls)
  expect(new Set(messages.map(({ headers }) => headers['ce_id'])).size).toBe(messages.length)
  const tails = (await Promise.all(nodes.map((node) => node.events()))).flat()
  expect(tails.map(({ id }) => id).sort()).toEqual(messages.map(({ headers }) => headers['ce_id']).sort())
})

test('one message for each request that a client made, and the metrics count the same', async () => {
  const made = balancer.requests.length
  const messages = await vi.waitFor(
    async () => {
      const found = await topic('requests')
      expect(new Set(found.map(({ headers }) => headers['ce_id'])).size).toBeGreaterThanOrEqual(made)
      return found
    },
    { timeout: 10_000, interval: 250 },
  )
  expectCloudEvents(messages, 'request-event', ({ id, session_id, time, node }: RequestEvent) => ({
    ...{ id, key: session_id ?? id, time, node },
  }))
  // At least once: a request to Kafka that failed in part is repeated whole, with the same ids and values.
  const byId = new Map(messages.map(({ headers, value }) => [headers['ce_id'], value]))
  for (const { headers, value } of messages) expect(value).toBe(byId.get(headers['ce_id']))
  const requests = [...byId.values()].map((value) => JSON.parse(value ?? '') as RequestEvent)
  const seen = requests.map(({ method, class: kind, repository, reference }) => {
    if (repository === null) return kind === 'ping' ? `${method} /v2/` : `${method} /token`
    return `${method} /v2/${repository}/${kind}s/${reference}`
  })
  expect(seen.sort()).toEqual(
    balancer.requests.map(({ method, path }) => `${method} ${path.split('?')[0]}`).sort(),
  )
  const counted = await Promise.all(
    nodes.map(async (node) => {
      const sum = (await readMetric(node, 'waybill_proxy_requests_total')) ?? 0
      return sum - ((await readMetric(node, 'waybill_proxy_requests_total', { class: 'other' })) ?? 0)
    }),
  )
  expect(counted.reduce((sum, each) => sum + each, 0)).toBe(made)
  expect(new Set(requests.map(({ node }) => node)).size).toBe(2)
})

test('every manifest that was pulled is in the graph', async () => {
  const messages = await topic('manifests')
  expectCloudEvents(messages, 'manifest', ({ digest }: { digest: string }) => ({
    ...{ id: digest, key: digest, time: null, node: null },
  }))
  const pulled = [...images]
    .filter(([repository]) => repository !== marker.repository)
    .flatMap(([, image]) => [image.digest, platformOf(image).manifest.digest])
  const known = new Set(messages.map(({ key }) => key))
  expect(pulled.filter((digest) => !known.has(digest))).toEqual([])
})

test('a node that stops in order makes no other wait', async () => {
  const [staying, leaving] = nodes
  expect(await leaving?.stop()).toBe(0)
  const image = await push('shared/alone')
  const source = `${staying?.host}/shared/alone:${tag}`
  const copied = await skopeoCopy(source, temporaryFolder('copy'), { all: false })
  expect(copied, copied.stderr).toMatchObject({ code: 0 })
  expect(await eventOf(all, 'shared/alone')).toMatchObject(fullPull(image, 'shared/alone', tag))
})
