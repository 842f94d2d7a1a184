import { MessageChannel } from 'node:worker_threads'
import { afterEach, expect, test } from 'vitest'
import { type Caller, createCaller, type Handlers, serveCalls } from './calls.ts'

const opened: { close(): void }[] = []
afterEach(() => {
  for (const each of opened.splice(0)) each.close()
})

function createFixture(
  handlers: Handlers,
  options: { timeoutMs?: number; maxPending?: number; maxRunning?: number },
) {
  const { port1, port2 } = new MessageChannel()
  const caller: Caller = createCaller(port1, {
    timeoutMs: options.timeoutMs ?? 5_000,
    maxPending: options.maxPending ?? 10,
  })
  const { maxRunning } = options
  const server = serveCalls(port2, handlers, maxRunning === undefined ? {} : { maxRunning })
  opened.push(caller, server)
  return { caller, server, port2 }
}

const never = (): Promise<never> => new Promise(() => undefined)

test('answers reach their own calls, whatever order they come in', async () => {
  const waiting: (() => void)[] = []
  const { caller } = createFixture(
    { double: (value: number) => new Promise((resolve) => waiting.push(() => resolve(value * 2))) },
    {},
  )
  const results = Promise.all([1, 2, 3].map((value) => caller.call<number>('double', value)))
  await expect.poll(() => waiting).toHaveLength(3)
  for (const answer of waiting.reverse()) answer()
  expect(await results).toEqual([2, 4, 6])
  expect(caller.pending()).toBe(0)
})

test('an error comes back as code and message, without addresses', async () => {
  const { caller } = createFixture(
    {
      locked: () => {
        throw Object.assign(new Error('database is locked'), { code: 'ERR_SQLITE_ERROR' })
      },
      refused: async () => Promise.reject(new Error('connect to 192.0.2.7')),
      odd: () => () => 'a function cannot be cloned',
    },
    {},
  )
  await expect(caller.call('locked', null)).rejects.toMatchObject({
    code: 'ERR_SQLITE_ERROR',
    message: 'ERR_SQLITE_ERROR: database is locked',
  })
  await expect(caller.call('refused', null)).rejects.toMatchObject({
    code: 'FAILED',
    message: 'Error: connect to [address]',
  })
  await expect(caller.call('odd', null)).rejects.toBeInstanceOf(Error)
  await expect(caller.call('nothing', null)).rejects.toMatchObject({ code: 'UNKNOWN_METHOD' })
  await expect(caller.call('toString', null)).rejects.toMatchObject({ code: 'UNKNOWN_METHOD' })
  await expect(caller.call('locked', () => undefined)).rejects.toBeInstanceOf(Error)
  expect(caller.pending()).toBe(0)
})

test('a call without answer ends at its timeout, and a late answer harms nothing', async () => {
  let answer: () => void = () => undefined
  const { caller } = createFixture(
    {
      slow: () =>
        new Promise((resolve) => {
          answer = () => resolve('late')
        }),
      quick: () => 'quick',
    },
    { timeoutMs: 30 },
  )
  await expect(caller.call('slow', null)).rejects.toMatchObject({ code: 'TIMEOUT' })
  answer()
  expect(await caller.call('quick', null)).toBe('quick')
})

test('calls beyond the bound are refused at once and the others still run', async () => {
  const { caller } = createFixture(
    { never, echo: (value: number) => value },
    { maxPending: 2, timeoutMs: 60_000 },
  )
  const kept = caller.call('never', null)
  const echo = caller.call('echo', 7)
  await expect(caller.call('echo', 8)).rejects.toMatchObject({ code: 'BUSY' })
  expect(await echo).toBe(7)
  expect(await caller.call('echo', 9)).toBe(9)
  caller.close()
  await expect(kept).rejects.toMatchObject({ code: 'CLOSED' })
})

test('a server refuses what it cannot run', async () => {
  const { caller } = createFixture(
    { never, echo: (value: number) => value },
    { maxRunning: 1, timeoutMs: 60_000 },
  )
  for (const value of [1, 2, 3]) expect(await caller.call('echo', value)).toBe(value)
  const kept = caller.call('never', null)
  await expect(caller.call('echo', 8)).rejects.toMatchObject({ code: 'BUSY' })
  caller.close()
  await expect(kept).rejects.toMatchObject({ code: 'CLOSED' })
})

test('when the other side goes away every waiting call ends, and so does every later one', async () => {
  const { caller, port2 } = createFixture({ never }, { timeoutMs: 60_000 })
  const calls = [caller.call('never', 1), caller.call('never', 2)]
  port2.close()
  for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'CLOSED' })
  await expect(caller.call('never', 3)).rejects.toMatchObject({ code: 'CLOSED' })
  expect(caller.pending()).toBe(0)
})
