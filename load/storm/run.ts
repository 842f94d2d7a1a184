/** Starts a registry and Waybill, lets a planned storm loose on them, and compares what came of it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { processCpuMs } from '../../bench/support/cpu.ts'
import { scrape, waitUntilDelivered } from '../../bench/support/scrape.ts'
import type { PackageEvent } from '../../src/record/events.ts'
import { readPackageEvents } from '../../test/support/embedded-events.ts'
import { temporaryFolder } from '../../test/support/processes.ts'
import { startRedis } from '../../test/support/redis.ts'
import { startWaybill, type Waybill } from '../../test/support/waybill.ts'
import { type Pull, runOperation } from './client.ts'
import { type Comparison, compare } from './compare.ts'
import { createAsker } from './exchange.ts'
import { addImages, type StormImage } from './images.ts'
import { type Mode, readKinds } from './kinds.ts'
import { makePlan, type Operation } from './plan.ts'
import { startStormRegistry } from './registry.ts'
import { truthsOf } from './truth.ts'

export type StormOptions = {
  mode: Mode
  /** Clients behind one address. */
  natGroup: number
  pulls: number
  perSecond: number
  /** At most so many clients at once. */
  atOnce: number
  seed: number
  /** Of each tool, in use at once. */
  versions: number
  /** Share of operations. */
  failures: number
  /** More than one share a Redis. */
  nodes: number
  /** What a balancer keeps on one node: nothing, or all requests of an address. */
  spread: 'requests' | 'addresses'
  /** By how much the clock of each node is ahead of the one before. */
  skewMs: number
  idleSeconds: number
  /** Whether the platform of an image without index must be known. */
  knowsPlatforms: boolean
  /** Folder of the recorded traces. */
  traces: string
}

export type StormResult = Comparison & {
  clients: string
  operations: number
  requests: number
  /** Requests whose package event was found. */
  counted: number
  /** Until the last answer. */
  tookMs: number
  /** From then to the last package event. */
  settledMs: number
  /** Of each node, all threads, user and system. */
  cpuMs: number[]
  dropped: number
  /** Wrong answers and broken promises, each once with how often. */
  problems: Map<string, number>
}

const domain = 'storm.example'
const settleTimeoutMs = 120_000
/** What they send is no part of the storm; a tool that nobody knows tells it apart. */
const warmUpAgent = 'storm-warm-up/1.0'

export async function runStorm(options: StormOptions): Promise<StormResult> {
  const { kinds, source } = readKinds(options.traces, options.mode)
  const registry = await startStormRegistry()
  const redis = options.nodes > 1 ? await startRedis() : null
  const names = Array.from({ length: options.nodes }, (_, index) => ({
    name: `storm-${index + 1}`,
    skewMs: index * options.skewMs,
  }))
  const nodes: Waybill[] = []
  try {
    const images = addImages(registry.add, options.pulls)
    for (const node of names) nodes.push(await startNode(node, registry.url, redis?.url ?? null, options))
    const plan = makePlan({ ...options, kinds, images })
    const problems = new Map<string, number>()
    const complain = (problem: string): void => void problems.set(problem, (problems.get(problem) ?? 0) + 1)
    await warmUp(nodes, images)
    const cpuBefore = nodes.map(({ pid }) => processCpuMs(pid))
    const startedMs = performance.now()
    const pulls = await play(plan, nodes, options, complain)
    const tookMs = performance.now() - startedMs
    const truths = pulls.flatMap((pull) =>
      truthsOf(pull, {
        mode: options.mode,
        domain,
        upstream: registry.host,
        nodes: names,
        knowsPlatforms: options.knowsPlatforms,
      }),
    )
    const events = await settle(nodes, truths.length, options.idleSeconds)
    const settledMs = performance.now() - startedMs - tookMs
    const cpuMs = nodes.map(({ pid }, index) => processCpuMs(pid) - (cpuBefore[index] ?? 0))
    const metrics = await Promise.all(nodes.map(({ admin }) => scrape(admin)))
    const sum = (name: string): number => metrics.reduce((all, one) => all + one.sum(name), 0)
    if (sum('waybill_dead_letters_total') > 0) complain('dead letters')
    if (sum('waybill_log_dropped_records_total') > 0) complain('records lost from the log')
    if (new Set(events.map(({ id }) => id)).size !== events.length) complain('the same event twice')
    const asked = truths.map(({ fields }) => Number(fields.get('requests')?.[0]))
    return {
      ...compare(truths, events),
      ...{
        clients: `${kinds.length} kinds from ${source}`,
        operations: plan.length,
        tookMs,
        settledMs,
        cpuMs,
      },
      requests: asked.reduce((all, one) => all + one, 0),
      counted: events.reduce((all, { requests }) => all + requests, 0),
      dropped: sum('waybill_ring_dropped_records_total'),
      problems,
    }
  } finally {
    await Promise.all(nodes.map((node) => node.stop()))
    await redis?.stop()
    await registry.stop()
  }
}

function startNode(
  { name, skewMs }: { name: string; skewMs: number },
  upstream: string,
  redis: string | null,
  { mode, idleSeconds }: StormOptions,
): Promise<Waybill> {
  const file = join(temporaryFolder('storm'), 'waybill.yaml')
  writeFileSync(file, `node: ${name}\ntrustedProxies: [127.0.0.1/32]\n`)
  // Every thread reads its time through these two.
  const script = `{const now=Date.now,origin=performance.timeOrigin;Date.now=()=>now()+${skewMs};
    Object.defineProperty(performance,'timeOrigin',{get:()=>origin+${skewMs}})}`
  const clock = `--import=data:text/javascript,${encodeURIComponent(script)}`
  return startWaybill({
    args: [
      ...['--config', file, '--upstream', upstream, '--auth', mode, '--blobs', 'stream'],
      ...[
        '--session-idle',
        `${idleSeconds}s`,
        '--log-level',
        'warn',
        '--proxy-threads',
        '1',
        '--workers',
        '1',
      ],
      ...(redis === null ? [] : ['--redis', redis]),
    ],
    env: skewMs === 0 ? {} : { NODE_OPTIONS: clock },
  })
}

/** Every manifest once through every node: what an image holds is then known before the first pull is over. */
async function warmUp(nodes: readonly Waybill[], images: readonly StormImage[]): Promise<void> {
  const asker = createAsker(nodes.map(({ host }) => host))
  try {
    for (const node of nodes.keys()) {
      const ask = (path: string, headers: Record<string, string> = {}) =>
        asker.ask({
          ...{ method: 'GET', node, path },
          headers: { Host: domain, 'User-Agent': warmUpAgent, 'X-Forwarded-For': '192.0.2.1', ...headers },
        })
      const granted = await ask('/token')
      const { token } = JSON.parse(granted.body.toString()) as { token: string }
      const isManifest = new Set(['index', 'platform', 'attestation', 'signature'])
      for (const { repository, parts } of images)
        for (const { digest, role } of parts.values())
          if (isManifest.has(role))
            await ask(`/v2/${repository}/manifests/${digest}`, {
              Authorization: `Bearer ${token}`,
              Accept: '*/*',
            })
    }
  } finally {
    asker.close()
  }
}

async function play(
  plan: readonly Operation[],
  nodes: readonly Waybill[],
  options: StormOptions,
  complain: (problem: string) => void,
): Promise<Pull[]> {
  const asker = createAsker(nodes.map(({ host }) => host))
  const client = {
    ...{
      asker,
      nodes: nodes.length,
      byAddress: options.spread === 'addresses',
      mode: options.mode,
      domain,
      complain,
    },
    delay,
    // A client known by its address goes on when its session is over.
    continueAfterMs: options.idleSeconds * 1000 + 3000,
  }
  const pulls: Pull[] = []
  const waiting = [...plan]
  const startedMs = performance.now()
  async function work(): Promise<void> {
    for (let operation = waiting.shift(); operation; operation = waiting.shift()) {
      await delay(Math.max(0, startedMs + operation.startMs - performance.now()))
      try {
        pulls.push(...(await runOperation(operation, client)))
      } catch (error) {
        complain(`${operation.kind.name}: ${String(error)}`)
      }
    }
  }
  await Promise.all(Array.from({ length: options.atOnce }, work))
  asker.close()
  return pulls
}

/** Package events that the storm brought about, when no more can come or too much time has passed. */
async function settle(
  nodes: readonly Waybill[],
  expected: number,
  idleSeconds: number,
): Promise<PackageEvent[]> {
  const startedMs = performance.now()
  const deadlineMs = startedMs + idleSeconds * 1000 + settleTimeoutMs
  const read = (): PackageEvent[] =>
    nodes
      .flatMap(({ data }) => readPackageEvents(data))
      .filter(({ client, type }) => client.tool !== null && type !== 'check_summary')
  await Promise.all(nodes.map(({ admin }) => waitUntilDelivered(admin, deadlineMs - performance.now())))
  // Nothing is told apart by waiting longer: when no session is open all has been said.
  let quiet = 0
  let before = -1
  while (performance.now() < deadlineMs && quiet < 3) {
    await delay(1000)
    const metrics = await Promise.all(nodes.map(({ admin }) => scrape(admin)))
    const open = metrics.reduce((sum, one) => sum + one.sum('waybill_sessions_open'), 0)
    const count = read().length
    const isOver = open === 0 && count >= expected
    quiet = open === 0 && count === before ? quiet + (isOver ? 2 : 1) : 0
    before = count
  }
  return read()
}
