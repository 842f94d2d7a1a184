/**
 * Real clients of five kinds pull at once, all from one address and several of them the same image: an event for each
 * pull, with what that client did and nothing of its neighbours, in every field. `PULLS` asks for more or fewer.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Client, type ClientName, clientNames, startClients } from './support/clients.ts'
import { readPackageEvents } from './support/embedded-events.ts'
import {
  askedFor,
  expectedEvent,
  inOrder,
  type KnownPull,
  type Place,
  type Step,
  timesWithoutPull,
} from './support/known-pulls.ts'
import { freePort, temporaryFolder } from './support/processes.ts'
import { asRoot } from './support/pulls.ts'
import { type RedirectingRegistry, startRedirectingRegistry } from './support/redirecting-registry.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { schemaErrors } from './support/schema-validation.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

// First, second and again, and one more by its digest.
const stepsEach = 4
/** At least so many. */
const count = Number(process.env['PULLS'] ?? 200)
const repositories = Array.from(
  { length: Math.ceil(count / clientNames.length / stepsEach) },
  (_, index) => `team-${index % 2}/app-${index}`,
)
const atOnce = 10
const small = { layers: 2, layerBytes: 1024, sharedLayers: 1 }
// So long that an overloaded machine does not look like a client that went away.
const sessionIdle = '8s'
const fronts = (['token', 'open'] as const).flatMap((auth) =>
  (['redirect', 'stream'] as const).map((blobs) => ({ auth, blobs })),
)
// By repository first, so that different clients want the same at the same time. Where tokens tell them apart, a twin
// of each client wants it, too.
const jobs = repositories.flatMap((repository, index) =>
  clientNames.flatMap((name) => {
    const hasToken = fronts[index % fronts.length]?.auth === 'token'
    return (hasToken ? [false, true] : [false]).map((isTwin) => ({ name, isTwin, repository }))
  }),
)

describe.runIf(asRoot)(`${jobs.length * stepsEach} pulls`, () => {
  let registry: Registry
  let redirecting: RedirectingRegistry
  let waybill: Waybill
  let port: number
  let clients: Map<ClientName, Client>
  let twins: Map<ClientName, Client>
  const domainOf = (front: number): string => `127.0.0.${front + 1}`

  beforeAll(async () => {
    registry = await startRegistry()
    redirecting = await startRedirectingRegistry(registry.url)
    port = await freePort()
    const domains = fronts.map(({ auth, blobs }, front) => ({
      host: domainOf(front),
      auth,
      routes: [{ repository: '**', upstream: redirecting.url, blobs }],
    }))
    const listen = domains.map(({ host }) => `${host}:${port}`)
    const file = join(temporaryFolder('config'), 'waybill.yaml')
    // JSON is YAML. Storage at a private address is followed only where the operator names it.
    writeFileSync(file, JSON.stringify({ listen, domains, redirectHosts: ['localhost'] }))
    waybill = await startWaybill({
      args: ['--config', file, '--session-idle', sessionIdle],
      listens: `127.0.0.1:${port}`,
    })
    clients = await startClients({ plain: listen })
    twins = await startClients({ plain: listen })
  })
  afterAll(async () => {
    await Promise.all([...clients.values(), ...twins.values()].map((client) => client.stop()))
    await waybill.stop()
    redirecting.stop()
    await registry.stop()
  })

  const stepsOf = async (repository: string): Promise<Step[]> => {
    const [first, second, third] = await Promise.all([
      pushImage(registry, repository, 'v1', small),
      pushImage(registry, repository, 'v2', small),
      pushImage(registry, repository, 'v3', { ...small, single: true }),
    ])
    return [
      { tag: 'v1', image: first, byDigest: false },
      { tag: 'v2', image: second, byDigest: false },
      { tag: 'v2', image: second, byDigest: false },
      { tag: 'v3', image: third, byDigest: true },
    ]
  }

  test('one right event each', { timeout: 120_000 + count * 2000 }, async () => {
    const images = new Map<string, Step[]>()
    for (const repository of repositories) images.set(repository, await stepsOf(repository))
    const made: KnownPull[] = []

    const pullAll = async (client: Client, repository: string): Promise<void> => {
      const front = repositories.indexOf(repository) % fronts.length
      const place: Place = {
        ...{ domain: domainOf(front), repository, upstream: redirecting.host },
        ...(fronts[front] as (typeof fronts)[number]),
      }
      const before: Step[] = []
      for (const step of images.get(repository) ?? []) {
        const name = step.byDigest ? `@${step.image.digest}` : `:${step.tag}`
        const startedMs = Date.now()
        const pulled = await client.pull(`${place.domain}:${port}/${repository}${name}`)
        expect(pulled, pulled.stderr).toMatchObject({ code: 0 })
        const asked = askedFor(client.name, step, before)
        const { name: tool, release } = client
        made.push({ client: tool, release, place, step, ...asked, startedMs, endedMs: Date.now() })
        before.push(step)
      }
    }
    const queue = [...jobs]
    const work = async (): Promise<void> => {
      for (let job = queue.shift(); job; job = queue.shift())
        await pullAll((job.isTwin ? twins : clients).get(job.name)!, job.repository)
    }
    await Promise.all(Array.from({ length: atOnce }, work))

    await vi.waitFor(
      () => expect(readPackageEvents(waybill.data).length).toBeGreaterThanOrEqual(made.length),
      { timeout: 30_000, interval: 250 },
    )
    // Whatever else it holds comes out now.
    expect(await waybill.stop()).toBe(0)
    const { events, pulls } = inOrder(readPackageEvents(waybill.data), made)
    expect(events).toEqual(pulls.map(expectedEvent))

    expect(events.flatMap((event) => schemaErrors('package-event', event))).toEqual([])
    expect(new Set(events.map(({ id }) => id)).size).toBe(made.length)
    // One address, and on it one client for each tool; with tokens a session for each pull.
    expect(new Set(events.map(({ client }) => client.endpoint_id)).size).toBe(1)
    expect(new Set(events.map(({ client }) => `${client.tool} ${client.id}`)).size).toBe(clients.size)
    const tokens = events.filter(({ session_method }) => session_method === 'token')
    const sessions = tokens.flatMap(({ session_ids }) => session_ids)
    expect(new Set(sessions).size).toBe(sessions.length)
    expect(timesWithoutPull(events, pulls)).toEqual([])
  })
})
