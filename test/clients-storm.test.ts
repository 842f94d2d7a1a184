/**
 * Real clients of five kinds pull at once, all from one address and several of them the same tag: an event for each
 * pull, with what that client did and nothing of its neighbours. `PULLS=200` makes more of them.
 */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { PackageEvent } from '../src/record/events.ts'
import { type ClientName, clientNames, startClients } from './support/clients.ts'
import { readPackageEvents } from './support/embedded-events.ts'
import type { Image } from './support/image.ts'
import { asRoot, platformOf } from './support/pulls.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

const tags = ['v1', 'v2'] as const
const pulls = Number(process.env['PULLS'] ?? 40)
/** Each is pulled by every client in both tags. */
const repositories = Array.from(
  { length: Math.ceil(pulls / clientNames.length / tags.length) },
  (_, index) => `team-${index % 2}/app-${index}`,
)
const atOnce = 10

type Truth = {
  tool: string
  repository: string
  tag: string
  digest: string
  platformDigest: string | null
  kind: string
  layersRequested: number
  layersTotal: number
  manifestHeads: number
  manifestGets: number
  blobGets: number
}

/** The second tag shares its first layer with the first one; skopeo takes all platforms and knows no before. */
function truthOf(tool: ClientName, repository: string, tag: string, image: Image): Truth {
  const all = tool === 'skopeo'
  const layersTotal = all ? 6 : 3
  const layersRequested = tag === 'v2' && !all ? 2 : layersTotal
  return {
    ...{ tool, repository, tag, digest: image.digest },
    platformDigest: all ? null : platformOf(image).manifest.digest,
    kind: `pull ${layersRequested === layersTotal ? 'full' : 'incremental'}`,
    ...{ layersRequested, layersTotal },
    manifestHeads: tool === 'docker' || tool === 'containerd' ? 1 : 0,
    manifestGets: all ? 3 : 2,
    blobGets: layersRequested + (all ? 2 : 1),
  }
}

function rowOf(event: PackageEvent): Truth {
  return {
    tool: event.client.tool ?? '',
    repository: event.repository,
    tag: event.tag ?? '',
    digest: event.digest ?? '',
    platformDigest: event.platform_digest,
    kind: `${event.type} ${event.kind}`,
    layersRequested: event.layers_requested,
    layersTotal: event.layers_total ?? -1,
    manifestHeads: event.manifest_heads,
    manifestGets: event.manifest_gets,
    blobGets: event.blob_gets,
  }
}

const sorted = (rows: readonly Truth[]): Truth[] =>
  rows.toSorted((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)))

describe.runIf(asRoot)(`${repositories.length * 10} pulls`, () => {
  let registry: Registry
  let waybill: Waybill
  beforeAll(async () => {
    registry = await startRegistry()
    // So long that an overloaded machine does not look like a client that went away.
    waybill = await startWaybill({ args: ['--upstream', registry.url, '--session-idle', '8s'] })
  })
  afterAll(async () => {
    await waybill.stop()
    await registry.stop()
  })

  test('one right event each', { timeout: 120_000 + pulls * 2000 }, async () => {
    const images = new Map<string, Image>()
    for (const repository of repositories)
      for (const tag of tags)
        images.set(`${repository}:${tag}`, await pushImage(registry, repository, tag, { sharedLayers: 1 }))
    const clients = await startClients({ plain: [waybill.host] })
    const truth: Truth[] = []

    // By repository first, so that different clients want the same at the same time.
    const jobs = repositories.flatMap((repository) => clientNames.map((name) => ({ name, repository })))
    const work = async (): Promise<void> => {
      for (let job = jobs.shift(); job; job = jobs.shift()) {
        for (const tag of tags) {
          const reference = `${job.repository}:${tag}`
          const pulled = await clients.get(job.name)?.pull(`${waybill.host}/${reference}`)
          expect(pulled, pulled?.stderr).toMatchObject({ code: 0 })
          truth.push(truthOf(job.name, job.repository, tag, images.get(reference)!))
        }
      }
    }
    await Promise.all(Array.from({ length: atOnce }, work))
    await Promise.all([...clients.values()].map((client) => client.stop()))

    await vi.waitFor(
      () => expect(readPackageEvents(waybill.data).length).toBeGreaterThanOrEqual(truth.length),
      {
        timeout: 30_000,
        interval: 250,
      },
    )
    // Whatever else it holds comes out now.
    expect(await waybill.stop()).toBe(0)
    const events = readPackageEvents(waybill.data)
    expect(sorted(events.map(rowOf))).toEqual(sorted(truth))
    const sessions = events.flatMap(({ session_ids }) => session_ids)
    expect(new Set(sessions).size).toBe(sessions.length)
    expect(new Set(events.map(({ id }) => id)).size).toBe(truth.length)
  })
})
