import fs from 'node:fs'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { frameHeaderBytes } from './frame.ts'
import {
  createFolder,
  flipByte,
  info,
  openReader,
  payloadOf,
  readAll,
  stream,
  textsOf,
} from './log.fixture.ts'
import { listSegments, segmentFile, streamStart } from './segments.ts'
import { createLogWriter } from './writer.ts'

/** Frames of `frameBytes` with the payloads a, b, c …; `perSegment` of them in each segment. */
const payloadBytes = 20
const frameBytes = frameHeaderBytes + payloadBytes
async function createLog(letters: string, perSegment = 100) {
  const directory = createFolder()
  const writer = createLogWriter({ directory, stream, segmentBytes: perSegment * frameBytes })
  for (const letter of letters) writer.append(payloadOf(letter.repeat(payloadBytes)), info)
  await writer.close()
  return directory
}

async function lettersOf(
  reader: ReturnType<typeof openReader>['reader'],
  maxBytes?: number,
): Promise<string> {
  return textsOf(await readAll(reader, maxBytes))
    .map((text) => text[0])
    .join('')
}

test('a read takes what fits, and at least one frame', async () => {
  const directory = await createLog('abcdefg', 3)
  const { reader } = openReader(directory)
  expect(textsOf(await reader.read(1)).length).toBe(1)
  expect(textsOf(await reader.read(4 * frameBytes)).map((text) => text[0])).toEqual(['b', 'c', 'd', 'e'])
  expect(reader.position()).toEqual({ segment: 2, offset: 2 * frameBytes })
  expect(await lettersOf(reader)).toBe('fg')
})

test('reading begins at any frame’s end', async () => {
  const directory = await createLog('abcde', 2)
  const frames = await readAll(openReader(directory).reader)
  for (const [index, frame] of frames.entries()) {
    expect(await lettersOf(openReader(directory, frame.end).reader)).toBe('abcde'.slice(index + 1))
  }
})

test('a frame larger than a chunk is read whole', async () => {
  const directory = createFolder()
  const writer = createLogWriter({ directory, stream })
  const big = Buffer.alloc(3_000_000, 'z')
  for (const payload of [payloadOf('a'), big, payloadOf('b')]) writer.append(payload, info)
  const frames = await readAll(openReader(directory).reader)
  expect(frames.map((frame) => frame.payload.length)).toEqual([1, 3_000_000, 1])
  expect(frames[1]!.payload.equals(big)).toBe(true)
  await writer.close()
})

test.each(Array.from({ length: frameBytes }, (_, cut) => cut))('a tail torn at byte %d', async (cut) => {
  const directory = await createLog('abc')
  fs.truncateSync(segmentFile(directory, stream, 1), 2 * frameBytes + cut)

  const waiting = openReader(directory)
  expect(await lettersOf(waiting.reader)).toBe('ab')
  expect(await waiting.reader.read(1000)).toEqual([])
  expect(waiting.corruptions).toEqual([])

  const tail = { stream, segment: 1, offset: 2 * frameBytes, reason: 'torn', bytes: cut }
  const dead = openReader(directory, streamStart, false)
  expect(await lettersOf(dead.reader)).toBe('ab')
  expect(await dead.reader.read(1000)).toEqual([])
  expect(dead.corruptions).toEqual(cut === 0 ? [] : [tail])
  expect(dead.reader.position()).toEqual({ segment: 1, offset: 2 * frameBytes + cut })

  const writer = createLogWriter({ directory, stream })
  writer.append(payloadOf('d'), info)
  expect(await lettersOf(waiting.reader)).toBe('d')
  expect(waiting.corruptions).toEqual(cut === 0 ? [] : [tail])
  await writer.close()
})

test.each(Array.from({ length: frameBytes }, (_, at) => at))(
  'damage at byte %d of a frame in the middle',
  async (at) => {
    const directory = await createLog('abcd')
    flipByte(directory, 1, frameBytes + at)
    for (const live of [true, false]) {
      const { reader, corruptions } = openReader(directory, streamStart, live)
      expect(await lettersOf(reader)).toBe('acd')
      expect(await reader.read(1000)).toEqual([])
      expect(corruptions).toEqual([
        { stream, segment: 1, offset: frameBytes, reason: 'corrupt', bytes: frameBytes },
      ])
    }
  },
)

test('damage over several frames, across segments and at an end is told once for each stretch', async () => {
  const directory = await createLog('abcdefgh', 4)
  for (const offset of [frameBytes, 2 * frameBytes + 40, 3 * frameBytes + 1]) flipByte(directory, 1, offset)
  flipByte(directory, 2, 5)
  const { reader, corruptions } = openReader(directory)
  expect(await lettersOf(reader, 60)).toBe('afgh')
  expect(corruptions.map(({ segment, offset, reason, bytes }) => [segment, offset, reason, bytes])).toEqual([
    [1, frameBytes, 'torn', 3 * frameBytes],
    [2, 0, 'corrupt', frameBytes],
  ])
})

test('a magic within damage or within a payload leads nowhere', async () => {
  const directory = createFolder()
  const writer = createLogWriter({ directory, stream })
  const magics = Buffer.from('ff574200'.repeat(50), 'hex')
  for (const payload of [magics, magics, payloadOf('end')]) writer.append(payload, info)
  flipByte(directory, 1, frameHeaderBytes + 100)
  const { reader, corruptions } = openReader(directory)
  expect((await readAll(reader)).map((frame) => frame.payload.length)).toEqual([200, 3])
  expect(corruptions).toMatchObject([{ offset: 0, bytes: 232 }])
  await writer.close()
})

test('the search finds a magic wherever its windows end', async () => {
  const window = 1 << 20
  for (const shift of [0, 1, 2, 3, 4, 31, 32]) {
    const directory = createFolder()
    const writer = createLogWriter({ directory, stream })
    // The search begins one byte after the damaged frame's start.
    writer.append(Buffer.alloc(window + 1 - frameHeaderBytes - shift, 'x'), info)
    writer.append(payloadOf('end'), info)
    flipByte(directory, 1, 0)
    expect(textsOf(await readAll(openReader(directory).reader))).toEqual(['end'])
    await writer.close()
  }
})

test('segments that were deleted are passed over and told', async () => {
  const directory = await createLog('abcdef', 1)
  const { reader, corruptions } = openReader(directory)
  await reader.read(1)
  for (const number of [2, 4, 5]) fs.rmSync(segmentFile(directory, stream, number))
  expect(await lettersOf(reader)).toBe('cf')
  expect(corruptions.map(({ segment, reason }) => [segment, reason])).toEqual([
    [2, 'missing'],
    [4, 'missing'],
  ])
  const late = openReader(directory, { segment: 2, offset: 10 })
  expect(await lettersOf(late.reader)).toBe('cf')
  expect(late.corruptions).toMatchObject([{ segment: 2, offset: 10, reason: 'missing' }, { segment: 4 }])
})

test('a new stream starts at what it still has, and that is no loss', async () => {
  const directory = await createLog('abc', 1)
  fs.rmSync(segmentFile(directory, stream, 1))
  const { reader, corruptions } = openReader(directory)
  expect(await lettersOf(reader)).toBe('bc')
  expect(corruptions).toEqual([])
})

test('a reader may come before the writer', async () => {
  const directory = createFolder()
  const { reader } = openReader(directory)
  expect(await reader.read(1000)).toEqual([])
  const writer = createLogWriter({ directory, stream })
  expect(await reader.read(1000)).toEqual([])
  writer.append(payloadOf('a'), info)
  expect(await lettersOf(reader)).toBe('a')
  await writer.close()
})

test('a reader beside a writing thread gets every frame once, in order, and no false alarm', {
  timeout: 60_000,
}, async () => {
  const directory = createFolder()
  const frames = 3000
  const worker = new Worker(new URL('./appender.fixture.ts', import.meta.url), {
    workerData: { directory, stream, frames, segmentBytes: 500_000 },
  })
  let failed: unknown
  worker.once('error', (error) => {
    failed = error
  })
  const { reader, corruptions } = openReader(directory)
  let next = 0
  while (next < frames && failed === undefined) {
    for (const { payload, oldestMs } of await reader.read(200_000)) {
      const expected = `${next}:${'x'.repeat((next * 7919) % 30_000)}`
      if (payload.toString() !== expected || oldestMs !== next)
        failed = new Error(`frame ${next} is not itself`)
      next += 1
    }
  }
  expect(failed).toBeUndefined()
  expect(corruptions).toEqual([])
  expect(listSegments(directory, stream).length).toBeGreaterThan(50)
  await worker.terminate()
})
