/**
 * What registry clients were recorded to request, replayed through a real front: the statuses that they got, and the
 * event that each trace amounts to.
 */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { PackageEvent } from '../src/record/events.ts'
import { type Expectation, readTraces, replay, type Trace } from './support/client-traces.ts'
import { readPackageEvents } from './support/embedded-events.ts'
import { type RedisServer, startRedis } from './support/redis.ts'
import { schemaErrors } from './support/schema-validation.ts'
import {
  startTracedRegistry,
  type TracedImage,
  type TracedOptions,
  type TracedRegistry,
} from './support/traced-registry.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

const clientTraces = readTraces('client-traces.json')
const capturedTraces = readTraces('captured-traces.json')

// All traces run at once, and an overloaded machine must not look like a client that went away.
const sessionIdle = ['--session-idle', '5s'] as const

let registry: TracedRegistry
let redis: RedisServer
/** Where sessions are kept. */
const stores = ['sqlite', 'redis'] as const
type Store = (typeof stores)[number]
let fronts: Record<Store, Record<Trace['mode'], Waybill>>

beforeAll(async () => {
  registry = await startTracedRegistry()
  redis = await startRedis()
  const start = (auth: string, ...args: string[]) =>
    startWaybill({ args: ['--upstream', registry.url, '--auth', auth, ...sessionIdle, ...args] })
  const [open, token, sharedOpen, sharedToken] = await Promise.all([
    start('open'),
    start('token'),
    start('open', '--redis', redis.url),
    start('token', '--redis', redis.url),
  ])
  fronts = { sqlite: { open, token }, redis: { open: sharedOpen, token: sharedToken } }
  for (const store of stores) {
    for (const trace of [...clientTraces, ...capturedTraces]) {
      const replayed = replayOf(trace, store)
      // Its test tells of a failure.
      replayed.catch(() => undefined)
      replays.set(`${store} ${trace.name}`, replayed)
    }
  }
})
afterAll(async () => {
  await Promise.all(stores.flatMap((store) => Object.values(fronts[store])).map((front) => front.stop()))
  await redis.stop()
  await registry.stop()
})

/** What a trace assumes of its image or of the registry. */
const assumed: Record<string, TracedOptions> = {
  'distribution-mirror-cold': { image: 'one-layer' },
  'helm-pull': { image: 'helm' },
  'docker-classic-head-no-digest-header': { withoutDigest: true },
  'containerd-429-storm': { limited: true },
}

/** The blobs of the attestation and itself are all called `other` in the captured traces. */
function nameOthers(trace: Trace): Trace {
  let blobs = 0
  const steps = trace.steps.map((step) => {
    if (!step.p.includes('{other}')) return step
    if (step.p.includes('/manifests/')) return { ...step, p: step.p.replace('{other}', '{A}') }
    blobs += 1
    return { ...step, p: step.p.replace('{other}', blobs === 1 ? '{A.config}' : '{A.layer1}') }
  })
  return { ...trace, steps }
}

/** A token for each of two steps, of which nothing but the time says that they belong together. */
const perToken: Record<string, string[]> = {
  'captured/skopeo-inspect-token': ['pull manifest_only t1 3', 'discovery discovery null 1'],
}
/** Tools whose tokens are not those of a pull. */
const byClient = /^(docker-cli|cosign|diun|go-http-client)$/

type Replayed = { steps: string[]; image: TracedImage }
/** By name. All at once: what takes time is that sessions fall idle. */
const replays = new Map<string, Promise<Replayed>>()

async function replayOf(recorded: Trace, store: Store): Promise<Replayed> {
  const trace = nameOthers(recorded)
  const image = registry.add(trace.name, assumed[trace.id])
  const nameOf = (name: string): string => {
    const known = name === 't' ? image.tag : image.digests.get(name)
    if (known === undefined) throw new Error(`nothing is called ${name}`)
    return known
  }
  const { host } = fronts[store][trace.mode]
  return { steps: await replay({ trace, host, repository: trace.name, nameOf }), image }
}

/** Nodes that share their sessions close each other's: either has the event. */
function eventsIn(store: Store): PackageEvent[] {
  return Object.values(fronts[store]).flatMap(({ data }) => readPackageEvents(data))
}

/** Compares the statuses; the one event, or the last one. */
async function eventOf(
  trace: Trace,
  store: Store,
): Promise<{ event: PackageEvent; events: PackageEvent[]; image: TracedImage }> {
  const { steps, image } = await replays.get(`${store} ${trace.name}`)!
  expect(steps).toEqual(nameOthers(trace).steps.map(({ m, p, s }) => `${m} ${p} ${s}`))
  const wanted = perToken[trace.name]
  const events = await vi.waitFor(
    () => {
      const found = eventsIn(store).filter((each) => each.repository === trace.name)
      expect(found.length).toBeGreaterThanOrEqual(wanted?.length ?? 1)
      return found.toSorted((a, b) => a.started_at.localeCompare(b.started_at))
    },
    { timeout: 20_000, interval: 200 },
  )
  for (const each of events) expect(schemaErrors('package-event', each)).toEqual([])
  const lines = events.map(({ type, kind, tag, requests }) => `${type} ${kind} ${tag} ${requests}`)
  if (wanted) expect(lines).toEqual(wanted)
  else expect(lines).toHaveLength(1)
  const event = events.at(-1)!
  const answered = trace.steps.filter(({ p, s }) => p.startsWith('/v2/{n}/') && s !== 401)
  expect(events.reduce((sum, { requests }) => sum + requests, 0)).toBe(answered.length)
  const byToken = trace.mode === 'token' && !byClient.test(event.client.tool ?? '')
  expect(event.session_method).toBe(byToken ? 'token' : 'client')
  return { event, events, image }
}

/** The fields of an event that a trace speaks of. */
const told = ['kind', 'tag', 'digest', 'platform', 'artifact'] as const

function expectedOf(said: Expectation, image: TracedImage) {
  const real = (value: string | null) =>
    value
      ?.replace('{t}', image.tag)
      .replace(/^\{(.+)\}$/, (_, name: string) => image.digests.get(name) ?? '') ?? null
  return {
    ...Object.fromEntries(told.flatMap((key) => (said[key] === undefined ? [] : [[key, real(said[key])]]))),
    ...(said.platformDigest === undefined ? {} : { platform_digest: real(said.platformDigest) }),
    ...(said.reason === undefined ? {} : { fail_reason: said.reason }),
  }
}

for (const trace of clientTraces) {
  test.each(stores)(`${trace.id}, %s`, async (store) => {
    const said = trace.expect
    if (said === undefined) throw new Error('a trace without expectation')
    const { event, image } = await eventOf(trace, store)
    if (perToken[trace.name]) return
    expect(event).toMatchObject(expectedOf(said, image))
    if (said.countsAsPull === false) expect(event.type).not.toBe('pull')
    if (said.platformNot !== undefined) expect(event.platform).not.toBe(said.platformNot)
    if (said.tagNot !== undefined) expect(event.tag).toBe(image.tag)
    if (said.automation !== undefined)
      expect(event.client.automation).toBe(said.automation === true ? 'yes' : said.automation)
    if (said.viaCache !== undefined) expect(event.client.via).toMatch(/^cache:/)
  })
}

/** What each captured operation amounts to, read off what was typed. */
const captured: Record<string, [tool: string, event: object]> = {
  'skopeo-copy': ['skopeo', { kind: 'full', layers_requested: 3 }],
  'skopeo-inspect': ['skopeo', { kind: 'manifest_only', layers_requested: 0 }],
  'skopeo-copy-all': ['skopeo', { kind: 'full', platform: 'multiple', layers_requested: 5 }],
  'podman-cold': ['podman', { kind: 'full', layers_requested: 3 }],
  'podman-uptodate': ['podman', { kind: 'manifest_only', layers_requested: 0 }],
  'podman-by-digest': ['podman', { kind: 'manifest_only', tag: null }],
  'buildah-cold': ['buildah', { kind: 'full', layers_requested: 3 }],
  'containerd-cold': ['containerd', { kind: 'full', layers_requested: 3 }],
  'containerd-uptodate': ['containerd', { type: 'check', kind: 'check', platform: null }],
  'containerd-by-digest': ['containerd', { kind: 'full', tag: null }],
  'docker-classic-cold': ['docker', { kind: 'full', layers_requested: 3 }],
  'docker-classic-by-digest': ['docker', { kind: 'full', tag: null }],
  'docker-classic-uptodate open': ['docker', { type: 'check', kind: 'check', platform: null }],
  'docker-classic-uptodate token': ['docker', { kind: 'manifest_only', layers_requested: 0 }],
  'docker-manifest-inspect': ['docker-cli', { kind: 'manifest_only', platform: 'multiple' }],
}

for (const trace of capturedTraces) {
  test.each(stores)(`${trace.id} in ${trace.mode} mode, %s`, async (store) => {
    const [tool, said] = captured[`${trace.id} ${trace.mode}`] ?? captured[trace.id] ?? []
    if (tool === undefined) throw new Error('a trace that nothing is expected of')
    const { event, events, image } = await eventOf(trace, store)
    if (perToken[trace.name]) return
    const digest = image.digests.get('I')
    expect(event).toMatchObject({ tag: image.tag, digest, client: { tool, automation: 'no' }, ...said })
    if (event.session_method === 'token') {
      const tokens = trace.steps.flatMap(({ p, token }) => (p.startsWith('/v2/{n}/') ? (token ?? []) : []))
      const ids = events.flatMap(({ session_ids }) => session_ids)
      expect(new Set(ids).size).toBe(new Set(tokens).size)
    }
  })
}

test.each(stores)('there are no other events, %s', async (store) => {
  const expected = [...clientTraces, ...capturedTraces].flatMap(({ name }) =>
    (perToken[name] ?? ['one']).map(() => name),
  )
  for (const front of Object.values(fronts[store])) expect(await front.stop()).toBe(0)
  const events = eventsIn(store)
  expect(events.map(({ repository }) => repository).sort()).toEqual(expected.sort())
})
