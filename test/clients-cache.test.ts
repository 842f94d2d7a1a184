/** A caching registry between people and Waybill: it pulls once, and its event says that a cache did. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PackageEvent } from '../src/record/events.ts'
import { temporaryFolder } from './support/processes.ts'
import { eventOf, eventSource, marker, platformOf, sessionIdle, settle } from './support/pulls.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { compareBlobs, skopeoCopy } from './support/skopeo.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

let registry: Registry
beforeAll(async () => {
  registry = await startRegistry()
  await pushImage(registry, marker.repository, marker.tag, { layers: 1 })
})
afterAll(() => registry.stop())

async function copyThrough(cache: Registry, repository: string): Promise<void> {
  const folder = temporaryFolder('copy')
  const copied = await skopeoCopy(`${cache.host}/${repository}:1.0`, folder, { all: false })
  expect(copied, copied.stderr).toMatchObject({ code: 0 })
  expect(await compareBlobs(folder, registry.url, repository)).toMatchObject({
    different: [],
    equal: { length: 5 },
  })
}

for (const auth of ['token', 'open'] as const) {
  test(`distribution as a pull-through cache, ${auth} mode`, async () => {
    const repository = `cached/${auth}`
    const image = await pushImage(registry, repository, '1.0')
    const waybill: Waybill = await startWaybill({
      args: ['--upstream', registry.url, '--auth', auth, ...sessionIdle],
    })
    const cache = await startRegistry({ remote: waybill.url })
    await copyThrough(cache, repository)
    const filled: PackageEvent = await eventOf(eventSource(waybill), repository)
    expect(filled).toMatchObject({
      ...{ type: 'pull', kind: 'full', repository, tag: '1.0', digest: image.digest },
      ...{ platform_digest: platformOf(image).manifest.digest, layers_requested: 3, layers_total: 3 },
      // In token mode too: it takes a token for each blob.
      session_method: 'client',
      client: { tool: 'go-http-client', automation: 'probable', via: 'cache:probable' },
    })
    // It asks whether the tag is what it was, and has the rest.
    await copyThrough(cache, repository)
    const events = (await settle({ url: waybill.url, events: eventSource(waybill).events }))
      .filter((event) => event.repository === repository)
      .map(({ type, kind, client }) => `${type} ${kind} ${client.via}`)
    expect(events).toEqual(['pull full cache:probable', 'check check cache:probable'])
    await cache.stop()
    await waybill.stop()
  })
}
