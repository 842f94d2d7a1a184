/**
 * What a session costs the session thread: `summarise` for sessions of four shapes and growing size. The time for
 * one fact must not grow with the number of facts, or one busy client stalls all others.
 */
import { fileURLToPath } from 'node:url'
import {
  createContext,
  createGraph,
  digestOf,
  parseFact,
  startMs,
} from '../src/sessionizer/pull/session.fixture.ts'
import { needsManifests, summarise } from '../src/sessionizer/summarise.ts'
import type { Fact } from '../src/sessionizer/types.ts'
import { medianOf, type Report } from './support/report.ts'

const counts = [100, 1000, 5000, 20_000]
const aimPerFactUs = 20
const aimPerPullUs = 100
const idleMs = 60_000
const layers = ['L1', 'L2', 'L3', 'L4', 'L5', 'L6', 'L7', 'L8']
const pull = [
  'HEAD manifests/t',
  'GET manifests/I',
  'GET manifests/M',
  'GET blobs/C',
  ...layers.map((layer) => `GET blobs/${layer}`),
]
const graph = createGraph({
  I: { children: { M: 'linux/amd64', M2: 'linux/arm64', A: 'attests M' } },
  M: { config: 'C', layers },
  M2: { config: 'C2', layers: ['L1', 'L2.2'] },
  A: { kind: 'attestation', config: 'A.config', layers: ['A.layer1'] },
})

/** Facts as the store gives them: with one context, and digests that share no memory. */
function createFacts(lines: readonly string[], count: number, timeOf: (index: number) => number): Fact[] {
  const context = createContext()
  const made = lines.map((line) => parseFact(`0 ${line}`, 0))
  return Array.from({ length: count }, (_, index) => ({
    ...(made[index % made.length] as Fact),
    id: index.toString(16).padStart(32, '0'),
    time: startMs + timeOf(index),
    context,
  }))
}

/** So many pulls run side by side, each a request further than the next. */
const atOnce = 20

/** Pulls of one image by one client without tokens, all within the idle time. */
function pullsAtOnce(count: number): Fact[] {
  const step = (index: number) => {
    const [at, of] = [index % pull.length, Math.floor(index / pull.length)]
    return Math.floor(of / atOnce) * pull.length + at + (of % atOnce)
  }
  const width = (30_000 / count) * atOnce
  return createFacts(pull, count, (index) => Math.floor(step(index) * width))
}

const shapes: Record<string, (count: number) => Fact[]> = {
  pulls: pullsAtOnce,
  manifest: (count) => createFacts(['GET manifests/M'], count, (index) => Math.floor((index * 1000) / count)),
  blob: (count) => createFacts(['GET blobs/L1'], count, (index) => Math.floor((index * 1000) / count)),
  checks: (count) => createFacts(['HEAD manifests/t'], count, (index) => Math.floor((index * 1000) / count)),
}

function measure(facts: Fact[], closing: boolean): number {
  // Of the processor, not by the clock: a machine with other work gives the same answer.
  const before = process.cpuUsage()
  needsManifests(facts, graph)
  const input = { sessionId: 'c'.repeat(32), graph, watermark: startMs + 1000, idleMs, node: 'bench' }
  const { finished, remaining } = summarise({ ...input, facts, closing })
  const { user, system } = process.cpuUsage(before)
  const counted = finished.reduce((sum, { factIds }) => sum + factIds.length, 0) + remaining.length
  if (counted !== facts.length) throw new Error(`${counted} of ${facts.length} facts are counted`)
  return user + system
}

function repeat(rounds: number, round: () => number): number {
  return medianOf(Array.from({ length: rounds }, round))
}

export async function run(report: Report): Promise<void> {
  for (const [name, create] of Object.entries(shapes)) {
    for (const count of counts) {
      const facts = create(count)
      const rounds = Math.max(3, Math.min(50, Math.ceil(20_000 / count)))
      for (const [pass, closing] of [
        ['close', true],
        ['pass', false],
      ] as const) {
        const value = repeat(rounds, () => measure(facts, closing)) / count
        report({ name: `summarise.${name}_${count}.${pass}`, value, unit: 'us/fact', aim: aimPerFactUs })
      }
    }
  }
  const facts = createFacts(pull, pull.length, (index) => index * 100)
  const value = repeat(2000, () => measure(facts, true))
  report({ name: 'summarise.one_pull', value, unit: 'us/pull', aim: aimPerPullUs })
  if (graph.get(digestOf('M')) === undefined) throw new Error('the image is not in its graph')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await run(({ name, value, unit }) =>
    console.log(`${name.padEnd(32)} ${value.toFixed(2).padStart(10)} ${unit}`),
  )
}
