import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createShutdown, type ShutdownStep } from './shutdown.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function createFixture(steps: ShutdownStep[], graceMs = 10_000) {
  const exits: number[] = []
  const messages: string[] = []
  const tell = (_: object, message: string): void => void messages.push(message)
  const shutdown = createShutdown({
    steps,
    graceMs,
    log: { info: tell, warn: tell, error: tell },
    exit: (code) => void exits.push(code),
  })
  return { shutdown, exits, messages }
}

const takes = (name: string, ms: number, order: string[]): ShutdownStep => ({
  name,
  run: () =>
    new Promise((resolve) => {
      order.push(`${name} starts`)
      setTimeout(() => {
        order.push(`${name} ends`)
        resolve()
      }, ms)
    }),
})
const hangs: ShutdownStep = { name: 'hangs', run: () => new Promise(() => undefined) }

test('the steps run one after the other, and the process ends with 0', async () => {
  const order: string[] = []
  const { shutdown, exits } = createFixture([takes('accept', 100, order), takes('drain', 50, order)])
  expect(order).toEqual([])
  shutdown.signal('SIGTERM')
  await vi.advanceTimersByTimeAsync(200)
  expect(order).toEqual(['accept starts', 'accept ends', 'drain starts', 'drain ends'])
  expect(exits).toEqual([0])
  expect(await shutdown.done).toBe(0)
})

test('a step that fails or hangs does not keep the later ones from running, and the process ends with 1', async () => {
  const order: string[] = []
  const throws: ShutdownStep = {
    name: 'throws',
    run: () => {
      throw new Error('no')
    },
  }
  for (const bad of [throws, hangs]) {
    order.length = 0
    const { shutdown, exits } = createFixture([bad, takes('flush', 50, order)])
    shutdown.signal('SIGTERM')
    await vi.advanceTimersByTimeAsync(10_000)
    expect(order).toEqual(['flush starts', 'flush ends'])
    expect(exits).toEqual([1])
  }
})

test('whatever hangs, the whole takes no longer than its bound', async () => {
  const { shutdown, exits } = createFixture([hangs, hangs, hangs, hangs], 10_000)
  shutdown.signal('SIGTERM')
  await vi.advanceTimersByTimeAsync(9_990)
  expect(exits).toEqual([])
  await vi.advanceTimersByTimeAsync(20)
  expect(exits).toEqual([1])
})

test('each step learns the time that it has, of which later ones keep their share', async () => {
  const deadlines: number[] = []
  const asks: ShutdownStep = { name: 'asks', run: (deadlineMs) => void deadlines.push(deadlineMs) }
  const { shutdown } = createFixture([asks, hangs, asks], 10_000)
  shutdown.signal('SIGTERM')
  await vi.advanceTimersByTimeAsync(10_000)
  expect(deadlines[0]).toBeCloseTo(9_000, -1)
  expect(deadlines[1]).toBeCloseTo(500, -1)
})

test('a second signal takes the time away and tells the step, a third ends at once', async () => {
  const hurried = vi.fn()
  const listens: ShutdownStep = {
    name: 'listens',
    run: (_, hurry) =>
      new Promise((resolve) => {
        hurry.addEventListener('abort', () => {
          hurried()
          resolve()
        })
      }),
  }
  const { shutdown, exits } = createFixture([listens, hangs], 60_000)
  shutdown.signal('SIGINT')
  await vi.advanceTimersByTimeAsync(20_000)
  expect(exits).toEqual([])
  shutdown.signal('SIGINT')
  await vi.advanceTimersByTimeAsync(10)
  expect(hurried).toHaveBeenCalledTimes(1)
  await vi.advanceTimersByTimeAsync(1_000)
  expect(exits).toEqual([1])

  const again = createFixture([hangs], 60_000)
  for (let time = 0; time < 3; time += 1) again.shutdown.signal('SIGINT')
  expect(again.exits).toEqual([1])
  await vi.advanceTimersByTimeAsync(60_000)
  expect(again.exits).toEqual([1])
})
