/**
 * The memory that threads share: rings, counters, states of dependencies, delays of event loops.
 */
import type { Config } from './config/types.ts'
import { createCountersMemory } from './ops/counters.ts'
import { createDependencyStates, type DependencyStates } from './ops/dependencies.ts'
import { createEventLoopMemory } from './ops/event-loop-watch.ts'
import { createSharedCounters, type SharedCounters } from './ops/shared-counters.ts'
import { type SharedMetricName, sharedMetrics } from './ops/shared-metrics.ts'
import { createToldMemory } from './ops/told-requests.ts'
import { startMsOffset } from './record/layout.ts'
import { createRingBuffer } from './ring/layout.ts'
import { createRingReader, type RingReader } from './ring/reader.ts'
import { createLogStatus } from './workers/log-status.ts'

export type Ring = { number: number; sab: SharedArrayBuffer; reader: RingReader }

export type SharedMemory = {
  rings: Ring[]
  /** Hot-path counters, one memory for each proxy thread. */
  proxyCounters: SharedArrayBuffer[]
  /** How many upstreams there may ever be. */
  upstreamRoom: number
  counters: SharedCounters<SharedMetricName>
  dependencies: DependencyStates
  /** See ops/told-requests.ts. */
  told: SharedArrayBuffer
  /** See workers/log-status.ts. */
  status: SharedArrayBuffer
  lag: SharedArrayBuffer
  /** Names of the slots of `lag`, in order. */
  threads: readonly string[]
  lagSlots: { main: number; session: number; firstProxy: number; firstWorker: number }
}

/** About 40,000 records of 400 bytes: over a second of a proxy thread at full speed. */
const ringBytes = 16 * 1024 * 1024
/** Rows beyond the pool's size, for workers that come before those they replace are buried. */
const spareRows = 8

/** Upstreams that configs may bring while the process runs; counters of one take 500 bytes a thread. */
const spareUpstreams = 512

export function createSharedMemory(config: Config): SharedMemory {
  const upstreamRoom = config.upstreams.length + spareUpstreams
  const proxies = config.threads.proxy
  const workerRows = config.threads.workers.max + spareRows
  const threads = [
    'main',
    'session',
    ...repeat(proxies, (number) => `proxy-${number}`),
    ...repeat(workerRows, (row) => `worker-${row}`),
  ]
  return {
    rings: repeat(proxies, (number) => {
      const sab = createRingBuffer(ringBytes)
      return { number, sab, reader: createRingReader(sab, { timestampOffset: startMsOffset }) }
    }),
    proxyCounters: repeat(proxies, () => createCountersMemory(upstreamRoom)),
    upstreamRoom,
    counters: createSharedCounters(sharedMetrics),
    dependencies: createDependencyStates(dependencyNames(config), spareUpstreams),
    told: createToldMemory(proxies),
    status: createLogStatus(workerRows),
    lag: createEventLoopMemory(threads.length),
    threads,
    lagSlots: { main: 0, session: 1, firstProxy: 2, firstWorker: 2 + proxies },
  }
}

function dependencyNames(config: Config): string[] {
  const names = ['log', 'sqlite']
  if (config.redis) names.push('redis')
  if (config.kafka) names.push('kafka')
  if (config.geo.city !== null) names.push('geo:city')
  if (config.geo.asn !== null) names.push('geo:asn')
  if (config.geo.company !== null) names.push('geo:company')
  if (config.geo.overrides !== null) names.push('geo:overrides')
  return [...names, ...new Set(config.upstreams.map(({ host }) => `upstream:${host}`))]
}

function repeat<Value>(count: number, make: (index: number) => Value): Value[] {
  return Array.from({ length: count }, (_, index) => make(index))
}
