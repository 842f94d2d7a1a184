import fs from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { createCursorFile } from './cursors.ts'
import { frameHeaderBytes } from './frame.ts'
import { createLogKeeper } from './keeper.ts'
import { createFolder, flipByte } from './log.fixture.ts'
import { type LogPosition, listSegments, segmentFile } from './segments.ts'
import { createLogWriter } from './writer.ts'

const targets = ['sessions', 'publisher'] as const
type Target = (typeof targets)[number]
const frameBytes = frameHeaderBytes + 100
const generous = { maxBytes: 2 ** 40, maxAgeMs: 3_600_000 }

/** `frames` of 10 entries each, two in a segment, the oldest times counting down from 1000 (never monotonic). */
async function fill(directory: string, stream: string, frames: number): Promise<void> {
  const writer = createLogWriter({ directory, stream, segmentBytes: 2 * frameBytes })
  for (let n = 0; n < frames; n += 1)
    writer.append(Buffer.alloc(100, 'x'), { entries: 10, oldestMs: 1000 - n })
  await writer.close()
}

function deliver(directory: string, stream: string, positions: Partial<Record<Target, LogPosition>>): void {
  const cursors = createCursorFile({ directory, stream, targets })
  for (const target of targets) if (positions[target]) cursors.advance(target, positions[target])
  cursors.close()
}

function setAge(directory: string, stream: string, segment: number, ageMs: number): void {
  const at = new Date(Date.now() - ageMs)
  fs.utimesSync(segmentFile(directory, stream, segment), at, at)
}

test('the inventory counts what each target has still to get', async () => {
  const directory = createFolder()
  await fill(directory, 'a', 5)
  deliver(directory, 'a', {
    sessions: { segment: 2, offset: 2 * frameBytes },
    publisher: { segment: 1, offset: 0 },
  })
  await fill(directory, 'b', 1)
  const keeper = createLogKeeper({ directory, targets })
  const expected = [
    {
      stream: 'a',
      segments: 3,
      bytes: 5 * frameBytes,
      targets: {
        sessions: { undelivered: 10, oldestMs: 996 },
        publisher: { undelivered: 50, oldestMs: 996 },
      },
    },
    {
      stream: 'b',
      segments: 1,
      bytes: frameBytes,
      targets: { sessions: { undelivered: 10, oldestMs: 1000 } },
    },
  ]
  expect(await keeper.inventory()).toMatchObject(expected)
  expect(await keeper.inventory()).toMatchObject(expected)
})

test('what was appended since is counted, and what was delivered since is not', async () => {
  const directory = createFolder()
  const writer = createLogWriter({ directory, stream: 'a' })
  const keeper = createLogKeeper({ directory, targets: ['sessions'] })
  const cursors = createCursorFile({ directory, stream: 'a', targets: ['sessions'], intervalMs: 1 })
  const see = async () => (await keeper.inventory())[0]?.targets.sessions
  expect(await see()).toMatchObject({ undelivered: 0, oldestMs: null })
  for (let step = 1; step <= 5; step += 1) {
    const end = writer.append(Buffer.alloc(50), { entries: step, oldestMs: step })
    expect(await see()).toMatchObject({ undelivered: step, oldestMs: step })
    cursors.advance('sessions', end)
    await expect.poll(see).toMatchObject({ undelivered: 0, oldestMs: null })
  }
  cursors.close()
  await writer.close()
})

test('frames after damage are counted, small and large', async () => {
  const directory = createFolder()
  const writer = createLogWriter({ directory, stream: 'a' })
  for (const size of [100, 200_000, 10, 10, 70_000, 10]) {
    writer.append(Buffer.alloc(size, 'x'), { entries: 1, oldestMs: size })
  }
  await writer.close()
  flipByte(directory, 1, 0, 'a')
  expect((await createLogKeeper({ directory, targets: ['s'] }).inventory())[0]?.targets.s).toMatchObject({
    undelivered: 5,
    oldestMs: 10,
  })
})

test('many small frames are counted exactly as a whole and closely in part', async () => {
  const directory = createFolder()
  const writer = createLogWriter({ directory, stream: 'a' })
  const ends = Array.from({ length: 5000 }, (_, n) =>
    writer.append(Buffer.alloc(20), { entries: 1, oldestMs: n }),
  )
  await writer.close()
  const keeper = createLogKeeper({ directory, targets: ['sessions'] })
  const see = async () => (await keeper.inventory())[0]!.targets.sessions
  expect(await see()).toMatchObject({ undelivered: 5000, oldestMs: 0 })
  const cursors = createCursorFile({ directory, stream: 'a', targets: ['sessions'] })
  cursors.advance('sessions', ends[2999]!)
  cursors.close()
  const { undelivered, oldestMs } = await see()
  expect(undelivered).toBeGreaterThanOrEqual(2000)
  expect(undelivered).toBeLessThan(2010)
  expect(oldestMs).toBe(5000 - undelivered)
})

test('delivered segments go, the one being written stays, nothing is lost', async () => {
  const directory = createFolder()
  await fill(directory, 'a', 6)
  const end = { segment: 3, offset: 2 * frameBytes }
  deliver(directory, 'a', { sessions: end, publisher: { segment: 2, offset: frameBytes } })
  const keeper = createLogKeeper({ directory, targets })
  const bounds = { ...generous, now: Date.now(), liveStreams: new Set(['a']) }
  expect(await keeper.enforceBounds(bounds)).toEqual({
    deletedSegments: 1,
    removedStreams: [],
    bytes: 4 * frameBytes,
    lost: { log_full: 0, log_expired: 0 },
  })
  expect(listSegments(directory, 'a')).toEqual([2, 3])
  deliver(directory, 'a', { publisher: end })
  await keeper.enforceBounds(bounds)
  expect(listSegments(directory, 'a')).toEqual([3])
})

test('a dead stream goes with its folder once it is delivered to every target, a torn tail included', async () => {
  const directory = createFolder()
  await fill(directory, 'a', 3)
  fs.appendFileSync(segmentFile(directory, 'a', 2), 'torn')
  const keeper = createLogKeeper({ directory, targets })
  const bounds = { ...generous, now: Date.now(), liveStreams: new Set<string>() }
  const end = { segment: 2, offset: frameBytes }
  deliver(directory, 'a', { sessions: end })
  expect((await keeper.enforceBounds(bounds)).removedStreams).toEqual([])
  expect(listSegments(directory, 'a')).toEqual([1, 2])
  deliver(directory, 'a', { publisher: end })
  const result = await keeper.enforceBounds(bounds)
  expect(result).toMatchObject({ removedStreams: ['a'], bytes: 0, lost: { log_full: 0, log_expired: 0 } })
  expect(fs.existsSync(path.join(directory, 'a'))).toBe(false)
})

test('a stream without cursors has everything to deliver', async () => {
  const directory = createFolder()
  await fill(directory, 'a', 3)
  const keeper = createLogKeeper({ directory, targets })
  await keeper.enforceBounds({ ...generous, now: Date.now(), liveStreams: new Set() })
  expect(listSegments(directory, 'a')).toEqual([1, 2])
})

test('over its bytes the log loses its oldest segments over all streams, counted', async () => {
  const directory = createFolder()
  await fill(directory, 'a', 6)
  await fill(directory, 'b', 6)
  for (const [age, stream, number] of [
    [60_000, 'b', 1],
    [50_000, 'a', 1],
    [40_000, 'a', 2],
    [30_000, 'b', 2],
    [20_000, 'b', 3],
    [10_000, 'a', 3],
  ] as const) {
    setAge(directory, stream, number, age)
  }
  deliver(directory, 'a', {
    sessions: { segment: 2, offset: 0 },
    publisher: { segment: 1, offset: frameBytes },
  })
  const keeper = createLogKeeper({ directory, targets })
  const result = await keeper.enforceBounds({
    maxBytes: 6 * frameBytes,
    maxAgeMs: 3_600_000,
    now: Date.now(),
    liveStreams: new Set(['a', 'b']),
  })
  // b/1 with 20 entries, a/1 with 10 that the publisher had not got, a/2 with 20.
  expect(result).toEqual({
    deletedSegments: 3,
    removedStreams: [],
    bytes: 6 * frameBytes,
    lost: { log_full: 50, log_expired: 0 },
  })
  expect([listSegments(directory, 'a'), listSegments(directory, 'b')]).toEqual([[3], [2, 3]])
})

test('segments over their age go with a count of their own, but never the one being written', async () => {
  const directory = createFolder()
  await fill(directory, 'a', 6)
  await fill(directory, 'dead', 2)
  for (const number of [1, 3]) setAge(directory, 'a', number, 7_200_000)
  setAge(directory, 'dead', 1, 7_200_000)
  const keeper = createLogKeeper({ directory, targets })
  const result = await keeper.enforceBounds({ ...generous, now: Date.now(), liveStreams: new Set(['a']) })
  expect(result).toMatchObject({ deletedSegments: 2, lost: { log_full: 0, log_expired: 40 } })
  expect(listSegments(directory, 'a')).toEqual([2, 3])
})
