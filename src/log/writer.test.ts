import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { expect, onTestFinished, test, vi } from 'vitest'
import { frameHeaderBytes } from './frame.ts'
import { createFolder, info, openReader, payloadOf, readAll, stream, textsOf } from './log.fixture.ts'
import { listSegments, segmentFile } from './segments.ts'
import { createLogWriter, type LogWriterOptions } from './writer.ts'

function openWriter(directory: string, options: Partial<LogWriterOptions> = {}) {
  const writer = createLogWriter({ directory, stream, ...options })
  onTestFinished(() => writer.close())
  return writer
}

test('appended frames are read back with their counts, times and ends', async () => {
  const directory = createFolder()
  const writer = openWriter(directory)
  const first = writer.append(payloadOf('one'), { entries: 3, oldestMs: 17.5 })
  const second = writer.append(payloadOf(''), { entries: 0, oldestMs: 18 })
  const { reader } = openReader(directory)
  expect(await reader.read(1000)).toEqual([
    { payload: payloadOf('one'), entries: 3, oldestMs: 17.5, end: first },
    { payload: payloadOf(''), entries: 0, oldestMs: 18, end: second },
  ])
  expect(writer.position()).toEqual(second)
  expect(await reader.read(1000)).toEqual([])
})

test('a segment never grows over its size, unless one frame alone does', async () => {
  const directory = createFolder()
  const writer = openWriter(directory, { segmentBytes: 2 * (frameHeaderBytes + 10) })
  for (const text of ['a', 'b', 'c', 'd', 'e']) writer.append(payloadOf(text.repeat(10)), info)
  writer.append(payloadOf('f'.repeat(500)), info)
  const sizes = listSegments(directory, stream).map(
    (number) => fs.statSync(segmentFile(directory, stream, number)).size,
  )
  expect(sizes).toEqual([84, 84, 42, 532])
  expect(
    textsOf(await readAll(openReader(directory).reader))
      .map((text) => text[0])
      .join(''),
  ).toBe('abcdef')
})

test('a stream that exists is continued in a new segment, and no number is used twice', async () => {
  const directory = createFolder()
  const before = openWriter(directory)
  before.append(payloadOf('old'), info)
  await before.close()
  const after = openWriter(directory)
  expect(after.append(payloadOf('new'), info).segment).toBe(2)
  expect(textsOf(await readAll(openReader(directory).reader))).toEqual(['old', 'new'])
})

test('a quiet segment is closed by its age', async () => {
  const directory = createFolder()
  const writer = openWriter(directory, { segmentAgeMs: 20 })
  writer.append(payloadOf('old'), info)
  await expect.poll(() => listSegments(directory, stream)).toEqual([1, 2])
  writer.append(payloadOf('new'), info)
  expect(fs.statSync(segmentFile(directory, stream, 1)).size).toBe(frameHeaderBytes + 3)
  expect(textsOf(await readAll(openReader(directory).reader))).toEqual(['old', 'new'])
})

test('what is appended is synced within the interval, full segments and folders too', async () => {
  const directory = createFolder()
  const data = vi.spyOn(fs, 'fdatasync')
  vi.resetModules()
  const { createLogWriter: create } = await import('./writer.ts')
  onTestFinished(() => data.mockRestore())
  const writer = create({ directory, stream, segmentBytes: 100, syncIntervalMs: 40 })
  onTestFinished(() => writer.close())
  const files = new Set<number>()
  data.mockImplementation(((fd: number, done: (error: Error | null) => void) => {
    files.add(fd)
    done(null)
  }) as typeof fs.fdatasync)
  writer.append(payloadOf('x'.repeat(60)), info)
  writer.append(payloadOf('y'.repeat(60)), info)
  await expect.poll(() => files.size).toBe(2)
})

test('a sync that fails is reported', async () => {
  const directory = createFolder()
  const data = vi.spyOn(fs, 'fdatasync')
  onTestFinished(() => data.mockRestore())
  data.mockImplementation(((_fd: number, done: (error: Error | null) => void) =>
    done(new Error('EIO'))) as typeof fs.fdatasync)
  vi.resetModules()
  const { createLogWriter: create } = await import('./writer.ts')
  const errors: string[] = []
  const writer = create({
    directory,
    stream,
    syncIntervalMs: 10,
    onError: (error) => errors.push(error.message),
  })
  writer.append(payloadOf('x'), info)
  await expect.poll(() => errors).toEqual(['EIO'])
  await writer.close()
})

test('a closed writer refuses, and closing twice is one close', async () => {
  const writer = openWriter(createFolder())
  writer.append(payloadOf('x'), info)
  await Promise.all([writer.close(), writer.close()])
  expect(() => writer.append(payloadOf('x'), info)).toThrow('closed')
})

test.each([
  ['before anything', 0],
  ['within the header', 10],
  ['within the payload', frameHeaderBytes + 2],
])('a write that fails %s leaves the segment as it was, and the next succeeds', async (_name, written) => {
  const directory = createFolder()
  const writer = openWriter(directory)
  writer.append(payloadOf('kept'), info)
  const size = fs.statSync(segmentFile(directory, stream, 1)).size
  const vector = vi.spyOn(fs, 'writevSync').mockImplementationOnce((fd, buffers) => {
    const bytes = Buffer.concat(buffers as Uint8Array[])
    return fs.appendFileSync(fd, bytes.subarray(0, written)) ?? written
  })
  const single = vi.spyOn(fs, 'writeSync').mockImplementationOnce(() => {
    throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
  })
  onTestFinished(() => {
    vector.mockRestore()
    single.mockRestore()
  })
  expect(() => writer.append(payloadOf('lost'), info)).toThrow('no space')
  expect(fs.statSync(segmentFile(directory, stream, 1)).size).toBe(size)
  single.mockRestore()
  writer.append(payloadOf('next'), info)
  const { reader, corruptions } = openReader(directory)
  expect(textsOf(await readAll(reader))).toEqual(['kept', 'next'])
  expect(corruptions).toEqual([])
})

test('a tail that cannot be removed is left behind in its segment', async () => {
  const directory = createFolder()
  const writer = openWriter(directory)
  writer.append(payloadOf('kept'), info)
  const mocks = [
    vi.spyOn(fs, 'writevSync').mockImplementationOnce((fd) => {
      fs.appendFileSync(fd, 'torn')
      throw new Error('EIO')
    }),
    vi.spyOn(fs, 'ftruncateSync').mockImplementationOnce(() => {
      throw new Error('EIO')
    }),
  ]
  onTestFinished(() => {
    for (const mock of mocks) mock.mockRestore()
  })
  expect(() => writer.append(payloadOf('lost'), info)).toThrow('EIO')
  expect(writer.append(payloadOf('next'), info).segment).toBe(2)
  const { reader, corruptions } = openReader(directory)
  expect(textsOf(await readAll(reader))).toEqual(['kept', 'next'])
  expect(corruptions).toEqual([{ stream, segment: 1, offset: 36, reason: 'torn', bytes: 4 }])
})

/** A file system of 1 MiB; null where mounting is not permitted, which the injected failures above stand in for. */
function mountSmall(): string | null {
  const directory = createFolder()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory], { stdio: 'ignore' })
  } catch {
    return null
  }
  onTestFinished(() => {
    execFileSync('umount', [directory])
  })
  return directory
}

test('a full disk throws ENOSPC, keeps every frame, and is written again once there is room', async () => {
  const directory = mountSmall() ?? createFolder()
  const full = directory
  const ballast = `${full}/ballast`
  const mounted = fs.statfsSync(full).blocks * fs.statfsSync(full).bsize <= 2 ** 20
  const limit = mounted ? null : injectLimit(700 * 1024)
  if (mounted) fs.writeFileSync(ballast, Buffer.alloc(300 * 1024))
  const writer = createLogWriter({ directory: `${full}/log`, stream, segmentBytes: 200 * 1024 })
  let written = 0
  const fill = () => {
    for (; written < 1000; written += 1) writer.append(payloadOf(`${written}:`.padEnd(10_000, 'x')), info)
  }
  expect(fill).toThrow(expect.objectContaining({ code: 'ENOSPC' }))
  expect(fill).toThrow(expect.objectContaining({ code: 'ENOSPC' }))
  expect(written).toBeGreaterThan(50)
  limit?.lift()
  fs.rmSync(ballast, { force: true })
  writer.append(payloadOf(`${written}:`), info)
  const { reader, corruptions } = openReader(`${full}/log`)
  const numbers = textsOf(await readAll(reader, 100_000)).map((text) => Number.parseInt(text, 10))
  expect(numbers).toEqual(Array.from({ length: written + 1 }, (_, number) => number))
  expect(corruptions).toEqual([])
  await Promise.all([reader.close(), writer.close()])
})

/** The same failure where no file system can be mounted: writes end short at a limit, then fail. */
function injectLimit(bytes: number) {
  let left = bytes
  const real = fs.writevSync
  const fail = () => {
    throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
  }
  const vector = vi.spyOn(fs, 'writevSync').mockImplementation((fd, buffers) => {
    const all = Buffer.concat(buffers as Uint8Array[])
    if (left === 0) fail()
    const part = all.subarray(0, left)
    left -= part.length
    return real(fd, [part])
  })
  const single = vi.spyOn(fs, 'writeSync').mockImplementation(fail)
  const lift = () => {
    vector.mockRestore()
    single.mockRestore()
  }
  onTestFinished(lift)
  return { lift }
}
