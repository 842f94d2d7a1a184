import fs from 'node:fs'
import path from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createCursorFile, loadCursors } from './cursors.ts'
import { createFolder, stream } from './log.fixture.ts'
import { streamStart } from './segments.ts'

const targets = ['sessions', 'publisher'] as const
type Target = (typeof targets)[number]

function open(directory: string, names: readonly Target[] = targets) {
  const cursors = createCursorFile({ directory, stream, targets: names })
  onTestFinished(() => cursors.close())
  return cursors
}

test('positions survive a restart, each target its own', () => {
  const directory = createFolder()
  const before = open(directory)
  expect(before.positions).toEqual({ sessions: streamStart, publisher: streamStart })
  before.advance('sessions', { segment: 2, offset: 100 })
  before.advance('publisher', { segment: 1, offset: 50 })
  before.close()
  expect(open(directory).positions).toEqual({
    sessions: { segment: 2, offset: 100 },
    publisher: { segment: 1, offset: 50 },
  })
})

test('a cursor never goes back', () => {
  const cursors = open(createFolder())
  cursors.advance('sessions', { segment: 2, offset: 100 })
  cursors.advance('sessions', { segment: 2, offset: 99 })
  cursors.advance('sessions', { segment: 1, offset: 500 })
  expect(cursors.positions.sessions).toEqual({ segment: 2, offset: 100 })
})

test('a target that is new begins at the start and is named in the file at once', () => {
  const directory = createFolder()
  const before = open(directory, ['sessions'])
  before.advance('sessions', { segment: 9, offset: 9 })
  before.close()
  open(directory)
  expect(Object.fromEntries(loadCursors(directory, stream))).toEqual({
    sessions: { segment: 9, offset: 9 },
    publisher: streamStart,
  })
})

test('many advances are one write an interval, and the last one is written', () => {
  vi.useFakeTimers()
  onTestFinished(() => {
    vi.useRealTimers()
  })
  const directory = createFolder()
  const cursors = open(directory)
  const writes = vi.spyOn(fs, 'writeSync')
  onTestFinished(() => writes.mockRestore())
  for (let offset = 1; offset <= 1000; offset += 1) {
    cursors.advance('sessions', { segment: 1, offset })
    vi.advanceTimersByTime(1)
  }
  expect(writes.mock.calls.length).toBeLessThanOrEqual(4)
  vi.advanceTimersByTime(250)
  expect(loadCursors(directory, stream).get('sessions')).toEqual({ segment: 1, offset: 1000 })
})

test('whatever byte of a write is damaged, the positions are the last or the ones before', () => {
  const directory = createFolder()
  const file = path.join(directory, stream, 'cursors')
  const steps = [1, 2, 3].map((offset) => {
    const cursors = open(directory)
    cursors.advance('sessions', { segment: 1, offset })
    cursors.close()
    return fs.readFileSync(file)
  })
  const newest = steps[2]!
  const seen = new Set<number>()
  for (let at = 0; at < newest.length; at += 1) {
    const damaged = Buffer.from(newest)
    damaged[at]! ^= 0xff
    fs.writeFileSync(file, damaged)
    seen.add(loadCursors(directory, stream).get('sessions')!.offset)
  }
  // The file is written when it is opened and when it is closed: the slot before the last holds 2.
  expect([...seen].sort()).toEqual([2, 3])
})

test.each([
  ['empty', Buffer.alloc(0)],
  ['zeroes', Buffer.alloc(1024)],
  ['short', Buffer.alloc(700, 1)],
  ['noise', Buffer.alloc(1024, 0xa7)],
])('a file of %s means the start, and is written anew', (_name, bytes) => {
  const directory = createFolder()
  fs.mkdirSync(path.join(directory, stream))
  fs.writeFileSync(path.join(directory, stream, 'cursors'), bytes)
  const cursors = open(directory)
  expect(cursors.positions.sessions).toEqual(streamStart)
  cursors.advance('sessions', { segment: 1, offset: 1 })
  cursors.close()
  expect(loadCursors(directory, stream).get('sessions')).toEqual({ segment: 1, offset: 1 })
})

test('a write that fails is reported, and made good later', () => {
  const directory = createFolder()
  const errors: string[] = []
  const cursors = createCursorFile({
    directory,
    stream,
    targets,
    onError: (error) => errors.push(error.message),
  })
  vi.useFakeTimers()
  const writes = vi.spyOn(fs, 'writeSync').mockImplementationOnce(() => {
    throw new Error('EIO')
  })
  onTestFinished(() => {
    vi.useRealTimers()
    writes.mockRestore()
  })
  cursors.advance('sessions', { segment: 1, offset: 7 })
  vi.advanceTimersByTime(250)
  expect(errors).toEqual(['EIO'])
  cursors.close()
  expect(loadCursors(directory, stream).get('sessions')).toEqual({ segment: 1, offset: 7 })
})

test.each(['../up', 'a/b', '', '.hidden'])('"%s" is no stream', (name) => {
  expect(() => loadCursors(createFolder(), name)).toThrow('not a stream')
})
