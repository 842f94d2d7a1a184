import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { createRandom } from '../../test/support/random.ts'
import type { RingSlice } from '../ring/reader.ts'
import { createDispatcher, type Dispatcher, type DispatcherOptions } from './dispatcher.ts'
import { createTestRing, numbersOf, range } from './ring.fixture.ts'

type Task = Parameters<DispatcherOptions['run']>[0]

const open: Dispatcher[] = []
afterEach(() => {
  for (const dispatcher of open.splice(0)) dispatcher.close()
})

function setUp(options: Pick<DispatcherOptions, 'rings' | 'run'> & Partial<DispatcherOptions>) {
  const dead: [number, string][] = []
  const sizes: number[] = []
  const retried: string[] = []
  const lines: string[] = []
  const log = (fields: object, message: string) => void lines.push(JSON.stringify([fields, message]))
  const dispatcher = createDispatcher({
    maxInFlight: 4,
    maxBatchAgeMs: 4,
    onDeadLetter: (slice, { sab }, reason) => {
      for (const number of numbersOf({ sab, ...slice })) dead.push([number, reason])
    },
    metrics: {
      batchRecords: (records) => sizes.push(records),
      retried: (reason) => retried.push(reason),
    },
    log: { info: log, warn: log, error: log },
    delay: () => new Promise((resolve) => setImmediate(resolve)),
    ...options,
  })
  open.push(dispatcher)
  return { dispatcher, dead, sizes, retried, lines }
}

test('records wait for company, but not long; a full batch does not wait', async () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const { ring, reader, write } = createTestRing(1)
  const clock = { time: 0 }
  const run = vi.fn(async (_: Task) => undefined)
  const { sizes } = setUp({
    rings: [ring],
    run,
    maxBatchRecords: 10,
    maxBatchAgeMs: 20,
    now: () => clock.time,
  })
  async function advance(ms: number) {
    clock.time += ms
    await vi.advanceTimersByTimeAsync(5)
  }
  for (const value of range(3)) write(value)
  await advance(0)
  await advance(14)
  expect(sizes).toEqual([])
  await advance(1)
  expect(sizes).toEqual([3])
  for (const value of range(25)) write(value)
  await advance(0)
  expect(sizes).toEqual([3, 10, 10])
  await advance(20)
  expect(sizes).toEqual([3, 10, 10, 5])
  expect(reader.usedRatio()).toBe(0)
})

test('several batches are under way, no more than allowed, and freed in the order of the ring', async () => {
  const { ring, reader, write, freed } = createTestRing(7)
  const pending: { task: Task; resolve: (value: undefined) => void }[] = []
  const run = (task: Task) => new Promise<undefined>((resolve) => pending.push({ task, resolve }))
  const { dispatcher } = setUp({ rings: [ring], run, maxBatchRecords: 10, maxInFlight: 3 })
  for (const value of range(50)) write(value)
  await expect.poll(() => pending.length).toBe(3)
  expect(pending.map(({ task }) => [task.ring, numbersOf(task)[0]])).toEqual([
    [7, 0],
    [7, 10],
    [7, 20],
  ])
  pending[2]?.resolve(undefined)
  pending[1]?.resolve(undefined)
  await expect.poll(() => pending.length).toBe(5)
  expect(freed).toEqual([])
  expect(dispatcher.oldestMs()).toBe(1000)
  pending[0]?.resolve(undefined)
  await expect.poll(() => freed).toEqual(range(30))
  expect(dispatcher.oldestMs()).toBe(1030)
  for (const { resolve } of pending) resolve(undefined)
  expect(await dispatcher.drain(1000)).toBe(true)
  expect(freed).toEqual(range(50))
  expect(dispatcher.oldestMs()).toBeNull()
  expect(reader.usedRatio()).toBe(0)
})

test.each([
  ['enrichment', new TypeError('secret 192.0.2.1')],
  ['worker_exit', new Error('worker exited with code: 7')],
  ['out_of_memory', Object.assign(new Error('heap'), { code: 'ERR_WORKER_OUT_OF_MEMORY' })],
  ['timeout', Object.assign(new Error('aborted'), { name: 'AbortError' })],
])('one failure (%s) costs nothing, one poisonous record only itself', async (reason, error) => {
  const { ring, write, freed } = createTestRing(1)
  let failures = 0
  const run = async (task: Task) => {
    if (numbersOf(task).includes(13) || failures++ === 0) throw error
    return undefined
  }
  const { dispatcher, dead, lines } = setUp({ rings: [ring], run, maxBatchRecords: 64 })
  for (const value of range(64)) write(value)
  expect(await dispatcher.drain(5000)).toBe(true)
  expect(dead).toEqual([[13, reason]])
  expect(freed).toEqual(range(64))
  expect(lines.join()).not.toContain('192.0.2.1')
})

test('while the log is unavailable batches wait whole, and the ring fills', async () => {
  const { ring, write, freed } = createTestRing(1, 4096)
  const state = { full: true }
  const run = vi.fn(async (task: Task) => {
    if (!state.full) return { retryLater: null }
    if (numbersOf(task)[0] === 0) return { retryLater: 'ENOSPC' as const }
    throw Object.assign(new Error('no'), { code: 'LOG_UNAVAILABLE' })
  })
  const { dispatcher, dead, retried, lines } = setUp({
    rings: [ring],
    run,
    maxBatchRecords: 16,
    maxInFlight: 2,
  })
  let written = 0
  while (write(written)) written++
  await expect.poll(() => retried.length).toBeGreaterThan(100)
  expect(await dispatcher.drain(5)).toBe(false)
  expect(new Set(run.mock.calls.map(([task]) => numbersOf(task).length))).toEqual(new Set([16]))
  expect(new Set(retried)).toEqual(new Set(['ENOSPC', 'LOG_UNAVAILABLE']))
  expect(lines.length).toBe(2)
  expect(write(written)).toBe(false)
  state.full = false
  expect(await dispatcher.drain(5000)).toBe(true)
  expect(freed).toEqual(range(written))
  expect(dead).toEqual([])
})

test('a dead letter that cannot be kept yet holds its record, one that never can does not', async () => {
  const { ring, write, freed } = createTestRing(1)
  const run = async () => Promise.reject(new Error('bad'))
  let attempts = 0
  const onDeadLetter = (slice: RingSlice) => {
    attempts++
    if (attempts <= 3) throw Object.assign(new Error('full'), { code: 'ENOSPC' })
    if (numbersOf({ sab: ring.sab, ...slice })[0] === 1) throw new Error('broken')
  }
  const { dispatcher } = setUp({ rings: [ring], run, onDeadLetter })
  write(0)
  write(1)
  expect(await dispatcher.drain(5000)).toBe(true)
  expect(attempts).toBe(5)
  expect(freed).toEqual([0, 1])
})

test('after closing nothing is freed or buried, whatever the pool says', async () => {
  const { ring, write, freed } = createTestRing(1)
  const rejects: ((error: Error) => void)[] = []
  const run = () => new Promise<undefined>((_, reject) => rejects.push(reject))
  const { dispatcher, dead, lines } = setUp({ rings: [ring], run })
  write(0)
  await expect.poll(() => rejects.length).toBe(1)
  dispatcher.close()
  rejects[0]?.(new Error('Terminating worker thread'))
  await expect.poll(() => dispatcher.inFlight()).toBe(0)
  expect([freed, dead, lines]).toEqual([[], [], []])
  expect(dispatcher.oldestMs()).toBe(1000)
})

test('a busy ring does not keep another from the pool', async () => {
  const busy = createTestRing(1)
  const quiet = createTestRing(2)
  const order: number[] = []
  const run = async ({ ring }: Task) => {
    order.push(ring)
    return undefined
  }
  for (const value of range(100)) busy.write(value)
  quiet.write(0)
  const { dispatcher } = setUp({ rings: [busy.ring, quiet.ring], run, maxBatchRecords: 10, maxInFlight: 1 })
  await dispatcher.drain(5000)
  expect(order.indexOf(2)).toBeLessThanOrEqual(1)
})

test.each([1, 2, 3, 4, 5, 6])(
  'seed %i: each record is safe once or dead once, and freed in order',
  async (seed) => {
    const { next: random } = createRandom(seed)
    const rings = [createTestRing(0, 8192), createTestRing(1, 16_384)]
    const poison = new Set(range(3000).filter(() => random() < 0.004))
    const safe = new Map<number, number>()
    const running = { now: 0, most: 0 }
    const run = async (task: Task) => {
      running.most = Math.max(running.most, ++running.now)
      for (let i = random() * 5; i > 0; i--) await new Promise((resolve) => setImmediate(resolve))
      running.now--
      const values = numbersOf(task).map((value) => value + 10_000 * task.ring)
      if (values.some((value) => poison.has(value % 10_000))) throw new Error('poison')
      if (random() < 0.05) throw new Error('worker exited with code: 1')
      if (random() < 0.05) return { retryLater: 'EIO' as const }
      for (const value of values) safe.set(value, (safe.get(value) ?? 0) + 1)
      return { retryLater: null }
    }
    const { dispatcher, dead } = setUp({
      rings: rings.map(({ ring }) => ring),
      run,
      maxBatchRecords: 32,
      maxInFlight: 5,
      random,
      onDeadLetter: (slice, { number, sab }) => {
        for (const value of numbersOf({ sab, ...slice })) dead.push([value + 10_000 * number, ''])
      },
    })
    const next = [0, 0]
    while (next.some((value) => value < 3000)) {
      rings.forEach(({ write }, i) => {
        for (let burst = random() * 80; burst > 0 && next[i]! < 3000; burst--) {
          if (!write(next[i]!, 1000, 24 + 8 * Math.floor(random() * 6))) break
          next[i]!++
        }
      })
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await dispatcher.drain(20_000)).toBe(true)
    const buried = dead.map(([value]) => value)
    expect(new Set(buried).size).toBe(buried.length)
    for (const [i, { freed, reader }] of rings.entries()) {
      expect(freed).toEqual(range(3000))
      expect(reader.usedRatio()).toBe(0)
      for (const value of range(3000)) {
        const times = (safe.get(value + 10_000 * i) ?? 0) + (buried.includes(value + 10_000 * i) ? 1 : 0)
        expect(times, `record ${value} of ring ${i}`).toBe(1)
        if (poison.has(value)) expect(buried).toContain(value + 10_000 * i)
      }
    }
    expect(running.most).toBeLessThanOrEqual(5)
    expect(running.most).toBeGreaterThan(1)
  },
)
