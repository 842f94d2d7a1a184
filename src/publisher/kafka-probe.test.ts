/** When a probe is sent, and what is told of it: a probe never contradicts what use has found. */
import { expect, test, vi } from 'vitest'
import { publishError } from './kafka-errors.ts'
import { startKafkaProbe } from './kafka-probe.ts'

function createFixture() {
  vi.useFakeTimers()
  const state = { reachable: true, ok: true, checks: 0, told: [] as string[] }
  const probe = startKafkaProbe({
    async check() {
      state.checks += 1
      if (!state.reachable) throw publishError('unreachable', 'gone')
    },
    isOk: () => state.ok,
    succeeded() {
      state.told.push('succeeded')
      state.ok = true
    },
    failed({ reason }) {
      state.told.push(reason)
      state.ok = false
    },
  })
  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
  const close = (): void => {
    probe.close()
    vi.useRealTimers()
  }
  return { state, pass, close }
}

test('it is asked now and then, more often while it is away, and told when it is back', async () => {
  const { state, pass, close } = createFixture()
  await pass(60_000)
  expect(state.told).toEqual([])
  expect(state.checks).toBeLessThan(20)
  state.reachable = false
  await pass(12_000)
  expect(state.told.length).toBeGreaterThanOrEqual(5)
  expect(new Set(state.told)).toEqual(new Set(['unreachable']))
  state.reachable = true
  await pass(2000)
  expect(state.told.at(-1)).toBe('succeeded')
  const { length } = state.told
  await pass(60_000)
  expect(state.told).toHaveLength(length)
  close()
})

test('a failure that use has found is left to use', async () => {
  const { state, pass, close } = createFixture()
  await pass(0)
  state.ok = false
  const { checks } = state
  await pass(60_000)
  expect(state.checks).toBe(checks)
  expect(state.told).toEqual([])
  close()
})

test('nothing is asked after its end', async () => {
  const { state, pass, close } = createFixture()
  await pass(0)
  close()
  const { checks } = state
  vi.useFakeTimers()
  await pass(60_000)
  expect(state.checks).toBe(checks)
  vi.useRealTimers()
})
