import { expect, test, vi } from 'vitest'
import type { LogEntry } from '../record/events.ts'
import { cleanups, createStream, idsOf, setUp } from './deliverer.fixture.ts'
import { range } from './ring.fixture.ts'

test('several sends at once, no more than the window; the cursor moves in order', async () => {
  const { append, openReader } = createStream()
  const frames = range(6).map((i) => append([2 * i, 2 * i + 1]))
  const { deliverer, sent, cursor } = setUp({ openReader, windowBatches: 3 })
  await expect.poll(() => sent.length).toBe(3)
  expect(sent.map(({ ids }) => ids)).toEqual([
    [0, 1],
    [2, 3],
    [4, 5],
  ])
  sent[2]?.resolve()
  sent[1]?.resolve()
  await new Promise((resolve) => setImmediate(resolve))
  expect([cursor, sent.length]).toEqual([[], 3])
  sent[0]?.resolve()
  await expect.poll(() => cursor).toEqual(frames.slice(0, 3).map(({ end }) => end))
  await expect.poll(() => sent.length).toBe(6)
  const drained = deliverer.drain(5000)
  for (const { resolve } of sent) resolve()
  expect(await drained).toBe(true)
  expect(cursor.at(-1)).toEqual(frames.at(-1)?.end)
})

test('after a failure in the middle everything from the cursor comes again, in order', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  cleanups.push(() => vi.useRealTimers())
  const { append, openReader } = createStream()
  range(4).map((i) => append([2 * i, 2 * i + 1]))
  const { deliverer, sent, cursor, circuit, lines } = setUp({
    openReader,
    windowBatches: 4,
    timeoutMs: 60_000,
  })
  await vi.waitFor(() => expect(sent.length).toBe(4))
  sent[0]?.resolve()
  sent[1]?.reject(new Error('down'))
  sent[3]?.resolve()
  await vi.advanceTimersByTimeAsync(20_000)
  expect(sent.length).toBe(4)
  sent[2]?.resolve()
  await vi.advanceTimersByTimeAsync(99)
  expect(sent.length).toBe(4)
  await vi.advanceTimersByTimeAsync(1)
  await vi.waitFor(() => expect(sent.length).toBe(7))
  expect(sent.slice(4).map(({ ids }) => ids)).toEqual([
    [2, 3],
    [4, 5],
    [6, 7],
  ])
  expect(cursor.length).toBe(1)
  for (const { resolve } of sent) resolve()
  await vi.waitFor(() => expect(cursor.length).toBe(4))
  expect(circuit.results).toEqual(['ok', 'error', 'ok', 'ok', 'ok', 'ok', 'ok'])
  expect(lines.length).toBe(2)
  expect(deliverer.oldestMs()).toBeNull()
})

test('a target that stays down is asked less and less often, ten seconds apart at most', async () => {
  vi.useFakeTimers()
  cleanups.push(() => vi.useRealTimers())
  const { append, openReader } = createStream(async () => {})
  append([1])
  const times: number[] = []
  const send = async () => {
    times.push(Date.now())
    throw new Error('down')
  }
  const { lines } = setUp({ openReader, send, random: () => 1 })
  await vi.advanceTimersByTimeAsync(60_000)
  const gaps = times.slice(1).map((time, i) => time - times[i]!)
  expect(gaps.slice(0, 6)).toEqual([200, 400, 800, 1600, 3200, 6400])
  expect(gaps.slice(6).every((gap) => gap === 10_000)).toBe(true)
  expect(lines.length).toBe(1)
})

test('a send that hangs is a failure, told to stop, and its late success changes nothing', async () => {
  const { append, openReader, end } = createStream()
  append([1])
  const signals: AbortSignal[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const { cursor, circuit } = setUp({
    openReader,
    timeoutMs: 20,
    send: async (_, signal) => {
      signals.push(signal)
      if (signals.length === 1) await promise
      if (signals.length === 2) resolve()
    },
  })
  await expect.poll(() => cursor).toEqual([end()])
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, false])
  expect(circuit.results).toEqual(['timeout', 'ok'])
})

test('while the circuit is open nothing is sent; then it goes on where it was', async () => {
  const { append, openReader } = createStream()
  const passed = vi.fn(() => passed.mock.calls.length > 2)
  append([1])
  const { sent, lines } = setUp({
    openReader,
    circuit: { tryPass: passed, succeeded: () => {}, failed: () => {} },
  })
  await expect.poll(() => sent.length, { timeout: 3000 }).toBe(1)
  expect(passed).toHaveBeenCalledTimes(3)
  expect([sent[0]?.ids, lines]).toEqual([[1], []])
})

test('what was just appended comes from memory', async () => {
  const { append, openReader, reads } = createStream()
  const { deliverer, sent } = setUp({ openReader, windowBatches: 100 })
  await expect.poll(() => deliverer.oldestMs()).toBeNull()
  for (const i of range(6)) {
    deliverer.offer(append([i]))
    await expect.poll(() => sent.flatMap(({ ids }) => ids)).toEqual(range(i + 1))
  }
  // The first: nobody knew where the stream ended.
  expect(reads.frames).toBe(1)
  expect(deliverer.undelivered()).toBe(6)
  expect(deliverer.oldestMs()).toBe(1000)
  sent[0]?.resolve()
  await expect.poll(() => deliverer.oldestMs()).toBe(1001)
  expect(deliverer.undelivered()).toBe(5)
})

test('what memory has no room for comes from disk, once and in order', async () => {
  const { append, openReader } = createStream()
  const { deliverer, sent } = setUp({ openReader, windowBatches: 2, maxTailBytes: 40, maxSendEntries: 3 })
  for (const i of range(30)) deliverer.offer(append([i]))
  let resolved = 0
  while (resolved < 30) {
    await expect.poll(() => sent.length).toBeGreaterThan(0)
    const { ids, resolve } = sent.shift()!
    expect(ids).toEqual(range(ids.length, resolved))
    resolved += ids.length
    resolve()
  }
  expect(await deliverer.drain(1000)).toBe(true)
  expect(sent).toEqual([])
})

test('entries nobody wants and lines that are none count as arrived', async () => {
  const { append, openReader, end } = createStream()
  append([1, 2, 3])
  append([5]).payload.write('{broke')
  append([7])
  const filter = (entry: LogEntry) => idsOf([entry])[0] === 2
  const { deliverer, sent, cursor, lines } = setUp({ openReader, filter })
  await expect.poll(() => sent.map(({ ids }) => ids)).toEqual([[2]])
  expect(await deliverer.drain(5)).toBe(false)
  sent[0]?.resolve()
  expect(await deliverer.drain(5000)).toBe(true)
  expect(cursor.at(-1)).toEqual(end())
  expect(lines.join()).toContain('"unreadable":1')
})

test('before the first look at the disk the oldest entry is not known', async () => {
  const { append, openReader } = createStream()
  append([1])
  append([2], 17)
  const { deliverer } = setUp({ openReader })
  expect(deliverer.oldestMs()).toBe(0)
  deliverer.offer(append([3]))
  await expect.poll(() => deliverer.oldestMs()).toBe(17)
  expect(deliverer.undelivered()).toBe(3)
})

test('a disk that cannot be read is tried again', async () => {
  const { append, openReader } = createStream()
  append([1])
  let opened = 0
  const { sent, lines } = setUp({
    openReader: (from) => {
      if (opened++ === 0) return { ...openReader(from), read: () => Promise.reject(new Error('EIO')) }
      return openReader(from)
    },
  })
  await expect.poll(() => sent.length).toBe(1)
  expect(lines).toEqual([expect.stringContaining('cannot be read')])
})

test('after a close nothing moves the cursor, and drains end', async () => {
  const { append, openReader } = createStream()
  append([1])
  const { deliverer, sent, cursor } = setUp({ openReader })
  await expect.poll(() => sent.length).toBe(1)
  const drained = deliverer.drain(60_000)
  await deliverer.close()
  expect(await drained).toBe(false)
  sent[0]?.resolve()
  await new Promise((resolve) => setImmediate(resolve))
  expect(cursor).toEqual([])
})
