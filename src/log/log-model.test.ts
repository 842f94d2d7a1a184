import fs from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { createRandom } from '../../test/support/random.ts'
import { createCursorFile } from './cursors.ts'
import { frameHeaderBytes } from './frame.ts'
import { createLogKeeper } from './keeper.ts'
import { createFolder, flipByte, openReader, stream } from './log.fixture.ts'
import type { LogFrame } from './reader.ts'
import { comparePositions, type LogPosition, listSegments, segmentFile } from './segments.ts'
import { createLogWriter, type LogWriter } from './writer.ts'

/** What the model knows of a frame that was appended. */
type Written = { text: string; start: LogPosition; end: LogPosition; damaged: boolean }

const segmentBytes = 600
// Written when it is closed alone: one that a crash left behind must not write later.
const cursorFile = (directory: string) =>
  createCursorFile({ directory, stream, targets: ['t'], intervalMs: 3_600_000 })

/** One life of a stream: appends, reads, deliveries, restarts, damage and deletions, against a plain list. */
async function live(seed: number): Promise<void> {
  const { below: random } = createRandom(seed)
  const directory = createFolder()
  const keeper = createLogKeeper({ directory, targets: ['t'] })
  const written: Written[] = []
  let writer: LogWriter = open()
  let cursors = cursorFile(directory)
  let { reader } = openReader(directory)
  /** Index of the next frame that the reader has to give. */
  let next = 0
  let read: LogFrame[] = []

  function open(): LogWriter {
    return createLogWriter({ directory, stream, segmentBytes })
  }

  function append(): void {
    const text = `${written.length}:${'x'.repeat(random(150))}`
    const end = writer.append(Buffer.from(text), { entries: 1, oldestMs: written.length })
    const start = { segment: end.segment, offset: end.offset - frameHeaderBytes - text.length }
    written.push({ text, start, end, damaged: false })
  }

  async function readSome(): Promise<void> {
    const frames = await reader.read(1 + random(500))
    for (const frame of frames) {
      while (written[next]?.damaged) next += 1
      expect(frame.payload.toString()).toBe(written[next]?.text)
      expect(frame.end).toEqual(written[next]?.end)
      next += 1
    }
    read.push(...frames)
    if (frames.length > 0) return
    // Nothing more: all that is left was damaged.
    expect(written.slice(next).filter((one) => !one.damaged)).toEqual([])
  }

  function deliver(): void {
    const count = random(read.length + 1)
    if (count > 0) cursors.advance('t', read.splice(0, count).at(-1)!.end)
  }

  function reopen(): void {
    const from = cursors.positions.t
    ;({ reader } = openReader(directory, from))
    read = []
    next = written.findIndex((one) => comparePositions(one.start, from) >= 0)
    if (next < 0) next = written.length
  }

  async function restart(): Promise<void> {
    await writer.close()
    if (random(2) === 0) cursors.close()
    if (random(3) === 0) tear()
    cursors = cursorFile(directory)
    writer = open()
    reopen()
  }

  /** As a crash leaves it: bytes of one more frame, or the last ones of the last frame gone. */
  function tear(): void {
    const last = written.at(-1)
    if (last === undefined || listSegments(directory, stream).at(-1) !== last.end.segment) return
    if (random(2) === 0) {
      fs.appendFileSync(
        segmentFile(directory, stream, last.end.segment),
        Buffer.alloc(1 + random(100), random(256)),
      )
    } else if (comparePositions(last.start, reader.position()) >= 0) {
      const cut = last.start.offset + random(last.end.offset - last.start.offset)
      fs.truncateSync(segmentFile(directory, stream, last.end.segment), cut)
      last.damaged = true
    }
  }

  /** Only where the reader has not been: it reads in chunks, but never beyond its position. */
  function damage(): void {
    const index = next + random(Math.max(1, written.length - next))
    const one = written[index]
    if (one === undefined || one.damaged || comparePositions(one.start, reader.position()) < 0) return
    flipByte(directory, one.start.segment, one.start.offset + random(one.end.offset - one.start.offset))
    one.damaged = true
  }

  async function sweep(): Promise<void> {
    const before = listSegments(directory, stream)
    const bounds = { maxBytes: 2 ** 40, maxAgeMs: 3_600_000, now: Date.now(), liveStreams: new Set([stream]) }
    const { lost } = await keeper.enforceBounds(bounds)
    expect(lost).toEqual({ log_full: 0, log_expired: 0 })
    const gone = before.filter((number) => !listSegments(directory, stream).includes(number))
    for (const number of gone) expect(number).toBeLessThan(cursors.positions.t.segment)
  }

  for (let step = 0; step < 80; step += 1) {
    const action = random(100)
    if (action < 45) append()
    else if (action < 70) await readSome()
    else if (action < 82) deliver()
    else if (action < 88) damage()
    else if (action < 94) await sweep()
    else await restart()
  }
  // One more frame shows that the end of everything before it is final.
  append()
  for (let left = written.length + 1; left > 0; left -= 1) await readSome()
  while (written[next]?.damaged) next += 1
  expect(next).toBe(written.length)
  await reader.close()
  await writer.close()
  cursors.close()
  fs.rmSync(path.join(directory, stream), { recursive: true })
}

test('a stream agrees with a plain list through 100 seeded lives', { timeout: 120_000 }, async () => {
  for (let seed = 1; seed <= 100; seed += 1) {
    await live(seed).catch((error) => {
      throw new Error(`seed ${seed}`, { cause: error })
    })
  }
})
