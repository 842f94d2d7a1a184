/**
 * The storm without a network: its clients act in virtual time, and their requests become package events by the same
 * rules as in a running Waybill. It judges the rules alone: thousands of pulls in seconds, the same for each seed.
 */
import { hash } from 'node:crypto'
import type { Client, RequestEvent } from '../../src/record/events.ts'
import type { RequestClass, WaybillRecord } from '../../src/record/record.ts'
import { createRebuild } from '../../src/sessionizer/rebuild.ts'
import { parseManifest } from '../../src/workers/manifest-graph.ts'
import { sessionOf } from '../../src/workers/session-id.ts'
import { createUserAgentParser } from '../../src/workers/user-agent.ts'
import { createRandom, type Random } from '../../test/support/random.ts'
import { type Pull, runOperation } from './client.ts'
import { compare } from './compare.ts'
import type { Asker, Question, Reply } from './exchange.ts'
import { addImages, createImageStore, type ImageStore } from './images.ts'
import { readKinds } from './kinds.ts'
import { makePlan } from './plan.ts'
import { failureHeader } from './registry.ts'
import type { StormOptions, StormResult } from './run.ts'
import { truthsOf } from './truth.ts'
import { createVirtualTime, type VirtualTime } from './virtual-time.ts'

const domain = 'storm.example'
const upstream = 'registry.example'
const startMs = Date.UTC(2026, 0, 5, 12)
const classes: Readonly<Record<string, RequestClass>> = {
  manifests: 'manifest',
  blobs: 'blob',
  tags: 'tags',
  referrers: 'referrers',
}

/** Most answers come within some ms, a few much later. */
function latencyMs(random: Random): number {
  const usual = 1 - 4 * Math.log(1 - random.next())
  return random.chance(0.01) ? usual - 80 * Math.log(1 - random.next()) : usual
}

type Server = { asker: Asker; events: RequestEvent[] }

function createServer(images: ImageStore, time: VirtualTime, options: StormOptions): Server {
  const random = createRandom(options.seed ^ 0x5eed)
  const parseUserAgent = createUserAgentParser()
  const events: RequestEvent[] = []
  let issued = 0

  function answerOf({ method, path, headers, leaveAfter }: Question) {
    const json = (status: number, content: object) => ({
      ...{ status, body: Buffer.from(JSON.stringify(content)), offset: 0, size: 0, whole: true },
      digest: '',
    })
    const needsToken = options.mode === 'token' && headers['Authorization'] === undefined
    if (path.startsWith('/token')) return json(200, { token: String(++issued) })
    if (needsToken) return json(401, { errors: [{ code: 'UNAUTHORIZED' }] })
    if (path === '/v2/') return json(200, {})
    const [failure, amount] = String(headers[failureHeader] ?? '').split('=')
    const found = images.find(path.split('?', 1)[0] ?? '')
    if (failure === 'answer' || !found) return json(found ? Number(amount) : 404, { errors: [] })
    const offset = Number(/^bytes=(\d+)-$/.exec(headers['Range'] ?? '')?.[1] ?? 0)
    const rest = found.body.subarray(offset)
    const isCut = failure === 'cut' || leaveAfter !== undefined
    const body = isCut ? rest.subarray(0, Number(amount)) : rest
    return {
      ...{ status: offset > 0 ? 206 : 200, body: method === 'HEAD' ? Buffer.alloc(0) : body, offset },
      ...{ size: found.body.length, whole: !isCut, digest: found.headers['Docker-Content-Digest'] ?? '' },
    }
  }

  async function ask(question: Question): Promise<Reply> {
    const { method, path, headers, node } = question
    const sentMs = time.nowMs()
    await time.delay(0.2 + random.next())
    const beganMs = Math.floor(time.nowMs())
    const { status, body, offset, size, whole, digest } = answerOf(question)
    await time.delay(latencyMs(random))
    const durationMs = Math.ceil(time.nowMs()) - beganMs
    const match = /^\/v2\/(.+)\/(manifests|blobs|tags|referrers)\/([^?]+)/.exec(path)
    if (match) {
      const [, repository = '', what = '', reference = ''] = match
      const address = headers['X-Forwarded-For'] ?? ''
      const { family, ...agent } = parseUserAgent(headers['User-Agent'] ?? '')
      const endpoint = hash('sha256', address).slice(0, 32)
      const client: Client = {
        ...{ id: hash('sha256', `${address} ${family}`).slice(0, 32), endpoint_id: endpoint },
        ...agent,
      }
      const token = /^Bearer (\d+)$/.exec(headers['Authorization'] ?? '')?.[1]
      const nonce = Buffer.alloc(16)
      if (token !== undefined) nonce.writeUInt32BE(Number(token), 12)
      const record = {
        ...{ class: classes[what] ?? 'blob', method, outcome: 'relay' as const, status, repository },
        ...{ hasNonce: token !== undefined, nonce },
      } as unknown as WaybillRecord
      const isNamed = what === 'manifests' || what === 'blobs'
      events.push({
        schema: 'waybill.request-event/1',
        id: `${String(node + 1).padStart(20, '0')}${(events.length + 1).toString(16).padStart(12, '0')}`,
        time: new Date(beganMs + node * options.skewMs).toISOString(),
        ...sessionOf(record, domain, client),
        ...{ method, class: record.class, domain, repository },
        reference: isNamed || what === 'referrers' ? reference : null,
        digest: reference.startsWith('sha256:') ? reference : digest || null,
        ...{ status, outcome: 'relay', bytes_sent: method === 'HEAD' ? 0 : body.length, range: null },
        ...{ offset, size: status < 300 ? size : body.length, duration_ms: durationMs, first_byte_ms: 1 },
        ...{ upstream, upstream_repository: repository, upstream_status: status, redirect_host: null },
        aborted: !whole,
        client,
        geo: { country: null, region: null, city: null },
        network: { asn: null, organization: null, type: null, cloud_provider: null, cloud_region: null },
        ...{ company: null, data: { city_built_at: null, asn_built_at: null } },
        ...{ privacy: { key_epoch: '', key_scope: 'shared' as const }, node: `storm-${node + 1}` },
      })
    }
    return { status, body: method === 'HEAD' ? Buffer.alloc(0) : body, whole, sentMs, endedMs: time.nowMs() }
  }

  return { asker: { ask, close: () => undefined }, events }
}

/** `idleSeconds` is that of all sessions, as with `--session-idle`; checks end sooner. */
export async function rehearseStorm(options: StormOptions): Promise<StormResult> {
  const { kinds, source } = readKinds(options.traces, options.mode)
  const store = createImageStore()
  const images = addImages(store.add, options.pulls)
  const time = createVirtualTime(startMs)
  const { asker, events: requests } = createServer(store, time, options)
  const problems = new Map<string, number>()
  const pulls: Pull[] = []
  const plan = makePlan({ ...options, kinds, images })
  for (const operation of plan) {
    const client = {
      ...{ asker, delay: time.delay, nodes: options.nodes, byAddress: options.spread === 'addresses' },
      ...{ mode: options.mode, domain, continueAfterMs: options.idleSeconds * 1000 + 3000 },
      complain: (problem: string) => void problems.set(problem, (problems.get(problem) ?? 0) + 1),
    }
    void time.delay(operation.startMs).then(async () => {
      pulls.push(...(await runOperation(operation, client)))
    })
  }
  await time.run()
  const tookMs = time.nowMs() - startMs

  const idleMs = options.idleSeconds * 1000
  const rebuild = createRebuild({
    ...{ idleMs, idleHeadMs: Math.min(10_000, idleMs), idleBuilderMs: Math.min(1_800_000, idleMs) },
    ...{ maxMs: 86_400_000, latenessMs: 30_000 },
  })
  for (const { repository, parts } of images) {
    for (const digest of parts.keys()) {
      const found =
        store.find(`/v2/${repository}/manifests/${digest}`) ?? store.find(`/v2/${repository}/blobs/${digest}`)
      const type =
        parts.get(digest)?.role === 'config'
          ? 'application/vnd.oci.image.config.v1+json'
          : found?.headers['Content-Type']
      const manifest = found ? parseManifest(found.body, type ?? '', digest) : null
      if (manifest) rebuild.addManifest(manifest)
    }
  }
  for (const request of requests) rebuild.addRequest(request)
  const events = rebuild.events().filter(({ type }) => type !== 'check_summary')
  const truths = pulls.flatMap((pull) =>
    truthsOf(pull, {
      ...{ mode: options.mode, domain, upstream, knowsPlatforms: options.knowsPlatforms },
      nodes: Array.from({ length: options.nodes }, (_, node) => ({
        name: `storm-${node + 1}`,
        skewMs: node * options.skewMs,
      })),
    }),
  )
  return {
    ...compare(truths, events),
    ...{ clients: `${kinds.length} kinds from ${source}`, operations: plan.length, problems },
    ...{ tookMs, settledMs: 0, cpuMs: [], dropped: 0 },
    requests: truths.reduce((sum, { fields }) => sum + Number(fields.get('requests')?.[0]), 0),
    counted: events.reduce((sum, event) => sum + event.requests, 0),
  }
}
