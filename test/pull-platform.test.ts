/** The platform of images without an index, pulled by a real client: that of their config, which Waybill reads itself. */
import { createServer } from 'node:http'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Manifest, PackageEvent } from '../src/record/events.ts'
import { readMetric } from './support/admin.ts'
import type { Image } from './support/image.ts'
import { freePort, temporaryFolder } from './support/processes.ts'
import { eventOf, eventSource, fullPull, sessionIdle } from './support/pulls.ts'
import { type RedirectingRegistry, startRedirectingRegistry } from './support/redirecting-registry.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { schemaErrors } from './support/schema-validation.ts'
import { skopeoCopy } from './support/skopeo.ts'
import { startWaybill } from './support/waybill.ts'

const platform = 'linux/arm/v7'

let registry: Registry
let redirecting: RedirectingRegistry
let image: Image
beforeAll(async () => {
  registry = await startRegistry()
  redirecting = await startRedirectingRegistry(registry.url)
  // Not the platform of any machine that runs the tests, nor of the User-Agent.
  image = await pushImage(registry, 'app', '1.0', { single: true, platforms: [platform], layers: 2 })
})
afterAll(async () => {
  redirecting.stop()
  await registry.stop()
})

function readGraph(data: string): Manifest[] {
  const database = new DatabaseSync(join(data, 'waybill.db'), { readOnly: true })
  const rows = database.prepare('SELECT value FROM session_manifest').all() as { value: string }[]
  database.close()
  return rows.map(({ value }) => JSON.parse(value) as Manifest)
}

/** The event of one copy, what the graph is then, and how many answers of the upstream were counted. */
async function copyThrough(
  upstream: string,
  ...args: string[]
): Promise<{ event: PackageEvent; graph: Manifest[]; answers: number | null }> {
  const waybill = await startWaybill({ args: ['--upstream', upstream, ...sessionIdle, ...args] })
  try {
    const copied = await skopeoCopy(`${waybill.host}/app:1.0`, temporaryFolder('copy'))
    expect(copied, copied.stderr).toMatchObject({ code: 0, stderr: '' })
    const event = await eventOf(eventSource(waybill), 'app')
    const graph = readGraph(waybill.data)
    return { event, graph, answers: await readMetric(waybill, 'waybill_upstream_requests_total') }
  } finally {
    await waybill.stop()
  }
}

const pulled = () => fullPull(image, 'app', '1.0', { platform })

test('by the registry itself: one more request to it, of which no event speaks', async () => {
  const { event, graph, answers } = await copyThrough(registry.url)
  expect(event).toMatchObject({ ...pulled(), platform, platform_digest: image.digest, requests: 4 })
  // HEAD and GET of the manifest, config and two layers; and the config once more.
  expect(answers).toBe(6)
  const { digest, size, mediaType } = image.images[0]!.config
  expect(graph.map((node) => schemaErrors('manifest', node))).toEqual([[], []])
  expect(graph.find((node) => node.digest === digest)).toMatchObject({
    ...{ kind: 'other', platform, size, media_type: mediaType },
  })
})

test.each(['redirect', 'stream'])(
  'by a registry that redirects to storage, with blobs: %s',
  async (blobs) => {
    redirecting.stored.length = 0
    const { event } = await copyThrough(redirecting.url, '--blobs', blobs)
    expect(event).toMatchObject({ kind: 'full', platform, platform_digest: image.digest, requests: 4 })
    expect(redirecting.stored).toHaveLength(4)
    expect(redirecting.stored.some(({ hasAuthorization }) => hasAuthorization)).toBe(false)
  },
)

test('a registry that shows Waybill no config: the pull is as whole, its platform not known', async () => {
  const port = await freePort()
  let refused = 0
  const relaying = createServer(async (incoming, response) => {
    const own = incoming.headers['user-agent'] === 'waybill' && incoming.url?.includes('/blobs/')
    if (own) refused++
    const answer = await fetch(`${registry.url}${incoming.url}`, {
      method: incoming.method ?? 'GET',
      headers: { accept: incoming.headers.accept ?? '*/*' },
    })
    const headers = Object.fromEntries(answer.headers)
    response.writeHead(own ? 500 : answer.status, own ? {} : headers)
    response.end(own ? '' : Buffer.from(await answer.arrayBuffer()))
  })
  await new Promise<void>((resolve) => relaying.listen(port, '127.0.0.1', resolve))
  const { event } = await copyThrough(`http://127.0.0.1:${port}`)
  expect(event).toMatchObject({ ...pulled(), platform: null, platform_digest: image.digest })
  expect(refused).toBe(1)
  relaying.close()
  relaying.closeAllConnections()
})

test('in passthrough mode Waybill asks for nothing by itself', async () => {
  const { event, answers } = await copyThrough(registry.url, '--auth', 'passthrough')
  expect(event).toMatchObject({ kind: 'full', platform: null, platform_digest: image.digest, requests: 4 })
  // A ping to learn the challenge from, manifest, config and two layers.
  expect(answers).toBe(5)
})
