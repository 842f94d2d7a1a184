import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import {
  attachDependencyStates,
  type Circuit,
  type CircuitOptions,
  createDependencyStates,
} from './dependencies.ts'
import { dependencyReason, dependencyReasonOf } from './dependency-reasons.ts'

const connect = dependencyReason('connect')

function createFixture(options: Partial<CircuitOptions> = {}) {
  const clock = { now: 1_000 }
  const states = createDependencyStates(['redis', 'kafka'])
  const settings: Partial<CircuitOptions> = {
    threshold: 3,
    backoffMs: 100,
    maxBackoffMs: 1_000,
    probeMs: 5_000,
    now: () => clock.now,
    wallNow: () => 1_700_000_000_000 + clock.now,
    random: () => 0,
    ...options,
  }
  const other = attachDependencyStates(states.names, states.sab)
  return {
    clock,
    states,
    first: states.circuit('redis', settings),
    second: other.circuit('redis', settings),
    other,
  }
}

const fail = (circuit: Circuit, times: number): void => {
  for (let time = 0; time < times; time += 1) circuit.failed(connect)
}

test('failures of all threads together open the circuit, a success between them does not let them add up', () => {
  const { first, second, states, other } = createFixture()
  fail(first, 2)
  second.succeeded()
  fail(first, 2)
  expect(second.tryPass()).toBe(true)
  expect(other.report('redis')).toMatchObject({ state: 'degraded', why: 'connect' })
  second.failed(dependencyReason('timeout'))
  expect(first.tryPass()).toBe(false)
  expect(second.tryPass()).toBe(false)
  expect(states.report('redis')).toEqual({
    state: 'down',
    since: new Date(1_700_000_001_000).toISOString(),
    why: 'timeout',
  })
  expect(states.report('kafka')).toMatchObject({ state: 'ok', why: null })
})

test('after the pause one probe passes, of all threads', () => {
  const { first, second, clock } = createFixture()
  fail(first, 3)
  clock.now += 99
  expect(second.tryPass()).toBe(false)
  clock.now += 1
  expect(second.tryPass()).toBe(true)
  expect([first.tryPass(), second.tryPass(), first.tryPass()]).toEqual([false, false, false])
  second.succeeded()
  expect(first.tryPass()).toBe(true)
})

test('the pause doubles with each failed probe up to its bound, and starts anew after a success', () => {
  const { first, clock, states } = createFixture()
  const pause = (): number => {
    const from = clock.now
    while (!first.tryPass()) clock.now += 1
    return clock.now - from
  }
  fail(first, 3)
  const pauses = [pause()]
  for (let probe = 0; probe < 5; probe += 1) {
    first.failed(connect)
    pauses.push(pause())
  }
  expect(pauses).toEqual([100, 200, 400, 800, 1_000, 1_000])
  first.succeeded()
  expect(states.report('redis')).toMatchObject({ state: 'ok', why: null })
  fail(first, 3)
  expect(pause()).toBe(100)
  first.failed(connect)
  expect(pause()).toBe(200)
})

test('failures of calls that began earlier do not put the probe off', () => {
  const { first, second, clock } = createFixture()
  fail(first, 3)
  clock.now += 90
  fail(second, 20)
  clock.now += 10
  expect(second.tryPass()).toBe(true)
})

test('the right to probe comes back when a probe never reported', () => {
  const { first, second, clock } = createFixture()
  fail(first, 3)
  clock.now += 100
  expect(first.tryPass()).toBe(true)
  clock.now += 4_999
  expect(second.tryPass()).toBe(false)
  clock.now += 1
  expect([second.tryPass(), first.tryPass()]).toEqual([true, false])
})

test('since is when the state began, not when it was last confirmed', () => {
  const { first, states, clock } = createFixture()
  const since = (): number => Date.parse(states.report('redis').since) - 1_700_000_000_000
  first.failed(connect)
  clock.now = 2_000
  first.failed(connect)
  expect(since()).toBe(1_000)
  first.failed(connect)
  expect(since()).toBe(2_000)
  clock.now = 60_000
  expect(first.tryPass()).toBe(true)
  first.failed(connect)
  expect(since()).toBe(2_000)
  clock.now = 120_000
  first.succeeded()
  clock.now = 130_000
  first.succeeded()
  expect(since()).toBe(120_000)
})

test('threads that race for the probe get it one at a time', async () => {
  const states = createDependencyStates(['redis'])
  fail(states.circuit('redis', { threshold: 1, backoffMs: 0, random: () => 0 }), 1)
  const results = new Int32Array(new SharedArrayBuffer(12))
  // Holders of the probe count themselves in and out: two at once would show.
  const code = `import { workerData } from 'node:worker_threads'
    const { attachDependencyStates } = await import(workerData.module)
    const circuit = attachDependencyStates(['redis'], workerData.sab)
      .circuit('redis', { threshold: 1, backoffMs: 0, random: () => 0 })
    const results = new Int32Array(workerData.results)
    // Both begin together; else one would be done before the other is up.
    Atomics.add(results, 2, 1)
    for (const until = Date.now() + 4000; Atomics.load(results, 2) < 2 && Date.now() < until;);
    for (let won = 0; won < 10000;) {
      if (!circuit.tryPass()) continue
      won += 1
      if (Atomics.add(results, 0, 1) !== 0) Atomics.add(results, 1, 1)
      for (let spin = 0; spin < 100; spin += 1) Atomics.load(results, 1)
      Atomics.sub(results, 0, 1)
      circuit.failed(0)
    }`
  const workers = [0, 1].map(
    () =>
      new Promise<number>((resolve) => {
        new Worker(code, {
          eval: true,
          workerData: {
            sab: states.sab,
            results: results.buffer,
            module: new URL('./dependencies.ts', import.meta.url).href,
          },
        }).once('exit', resolve)
      }),
  )
  expect(await Promise.all(workers)).toEqual([0, 0])
  expect(results[1]).toBe(0)
})

test('names and memory that do not fit are refused', () => {
  const states = createDependencyStates(['redis'])
  expect(() => states.circuit('kafka')).toThrow(RangeError)
  expect(() => attachDependencyStates(['redis', 'kafka'], states.sab)).toThrow(RangeError)
})

test.each([
  [Object.assign(new Error('connect ECONNREFUSED 192.0.2.1:6379'), { code: 'ECONNREFUSED' }), 'connect'],
  [new Error('fetch failed', { cause: Object.assign(new Error('x'), { code: 'ECONNRESET' }) }), 'reset'],
  [new AggregateError([Object.assign(new Error('x'), { code: 'ETIMEDOUT' })]), 'timeout'],
  [new Error('WRONGPASS invalid username-password pair'), 'auth'],
  [Object.assign(new Error('no space'), { code: 'ENOSPC' }), 'disk_full'],
  [Object.assign(new Error('Kafka cannot be reached'), { reason: 'unreachable' }), 'connect'],
  [Object.assign(new Error('no topic'), { reason: 'unknown_topic' }), 'missing'],
  [new Error("Stream isn't writeable and enableOfflineQueue options is false"), 'connect'],
  [new Error('Command timed out'), 'timeout'],
  [
    Object.assign(new Error('ERR_SQLITE_ERROR: database or disk is full'), { code: 'ERR_SQLITE_ERROR' }),
    'disk_full',
  ],
  [new Error('what'), 'other'],
  ['what', 'other'],
] as const)('reason of %s is %s', (error, reason) => {
  expect(dependencyReasonOf(error)).toBe(dependencyReason(reason))
})
