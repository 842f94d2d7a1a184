import { expect, test, vi } from 'vitest'
import { type LogPosition, streamStart } from '../log/segments.ts'
import { createStream, setUp } from './deliverer.fixture.ts'
import { createDeliverySource } from './delivery-source.ts'
import { range } from './ring.fixture.ts'

function createSource(maxTailBytes = 1 << 20) {
  const stream = createStream()
  const read = vi.fn()
  const openReader = (from: LogPosition) => {
    const reader = stream.openReader(from)
    return {
      ...reader,
      read: () => {
        read()
        return reader.read()
      },
    }
  }
  return { ...stream, read, source: createDeliverySource({ from: streamStart, openReader, maxTailBytes }) }
}

test('who has got all that was offered does not ask the disk', async () => {
  const { append, read, source } = createSource()
  // The first: nobody knows where a stream begins.
  source.offer(append([0]))
  await source.take()
  expect(await source.take()).toBeNull()
  read.mockClear()
  for (const i of range(5)) {
    const frame = append([i])
    source.offer(frame)
    expect(await source.take()).toBe(frame)
    expect(await source.take()).toBeNull()
  }
  expect(read).not.toHaveBeenCalled()
})

test('a doubt makes it look once more, also one that comes while it looks', async () => {
  const { append, read, source } = createSource()
  source.offer(append([1]))
  await source.take()
  append([2])
  expect(await source.take()).toBeNull()
  source.doubt()
  expect((await source.take())?.entries).toBe(1)
  const looking = source.take()
  source.doubt()
  await looking
  read.mockClear()
  await source.take()
  await source.take()
  expect(read).toHaveBeenCalledTimes(1)
})

test('parsed entries count as much again as their JSON', async () => {
  const { append, source, read } = createSource(60)
  source.offer(append([9]))
  await source.take()
  const frames = range(4).map((i) => ({ ...append([i]), parsed: [] }))
  const bytes = frames[0]!.payload.byteLength
  for (const frame of frames) source.offer(frame)
  const kept = Math.floor(60 / (2 * bytes))
  for (const frame of frames.slice(0, kept)) expect(await source.take()).toBe(frame)
  expect(kept).toBeLessThan(frames.length)
  read.mockClear()
  expect((await source.take())?.parsed).toBeUndefined()
  expect(read).toHaveBeenCalled()
})

test('what nobody told of is found within a second or so', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const { append, openReader } = createStream()
    const { deliverer, sent } = setUp({ openReader, timeoutMs: 60_000 })
    deliverer.offer(append([1]))
    await vi.waitFor(() => expect(sent.map(({ ids }) => ids)).toEqual([[1]]))
    sent[0]?.resolve()
    append([2])
    await vi.advanceTimersByTimeAsync(1000)
    await vi.waitFor(() => expect(sent.map(({ ids }) => ids)).toEqual([[1], [2]]))
    append([3])
    deliverer.wake()
    await vi.waitFor(() => expect(sent.map(({ ids }) => ids)).toEqual([[1], [2], [3]]))
  } finally {
    vi.useRealTimers()
  }
})

test('entries that came with their frame are not parsed again', async () => {
  const { append, openReader } = createStream()
  append([0])
  const { deliverer, sent } = setUp({ openReader })
  await expect.poll(() => sent.length).toBe(1)
  const frame = append([1, 2])
  frame.payload.fill('x')
  deliverer.offer({ ...frame, parsed: [{ id: 1 }, { id: 2 }] as never })
  await expect.poll(() => sent.map(({ ids }) => ids)).toEqual([[0], [1, 2]])
})

test('a target that wants nothing gets nothing, and its cursor goes on', async () => {
  const { append, openReader, end } = createStream()
  append([1])
  const { deliverer, sent, cursor } = setUp({ openReader, filter: null })
  const frame = append([2])
  frame.payload.fill('x')
  deliverer.offer(frame)
  expect(await deliverer.drain(5000)).toBe(true)
  expect([sent, cursor.at(-1)]).toEqual([[], end()])
  expect(deliverer.undelivered()).toBe(0)
})
