import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { createRandom } from '../../test/support/random.ts'
import { createRingBuffer } from './layout.ts'
import { createRingReader, forEachFrame, type RingSlice } from './reader.ts'
import { createRing, put, timestampOffset } from './ring.fixture.ts'

test.each([1, 2, 3, 4])('agrees with a plain queue over 100 laps, seed %d', (seed) => {
  const { below: random } = createRandom(seed)
  const ring = createRing(4096, 2 ** 32 - 20_000)
  const queue: { stamp: number; length: number }[] = []
  const out: { slice: RingSlice; frames: { stamp: number; length: number }[] }[] = []
  let stamp = 0
  let bytesWritten = 0
  const check = () => {
    for (const { slice, frames } of out) {
      const seen: { stamp: number; length: number }[] = []
      forEachFrame(ring.sab, slice.from, slice.to, (bytes, view, offset, room) => {
        const found = view.getFloat64(offset + timestampOffset, true)
        const { length } = frames[seen.length]!
        const whole = bytes.subarray(offset + 16, offset + length).every((byte) => byte === found % 255)
        expect(whole && room - length < 8).toBe(true)
        seen.push({ stamp: found, length })
      })
      expect(seen).toEqual(frames)
    }
  }
  while (bytesWritten < 100 * 4096) {
    const action = random(10)
    if (action < 6) {
      const length = 16 + random(random(4) === 0 ? 1009 : 120)
      if (put(ring.writer, length, stamp, stamp % 255, random(5) === 0)) {
        queue.push({ stamp, length })
        stamp += 1
        bytesWritten += length
      } else {
        const unfreed = queue.length + out.reduce((sum, one) => sum + one.frames.length, 0)
        expect(unfreed).toBeGreaterThan(0)
      }
    } else if (action < 8) {
      const wanted = 1 + random(6)
      const slice = ring.reader.trySlice(wanted)
      const frames = queue.splice(0, wanted)
      expect(slice?.records ?? 0).toBe(frames.length)
      if (slice !== null) out.push({ slice, frames })
    } else if (out.length > 0) {
      check()
      ring.reader.free(out.splice(random(out.length), 1)[0]!.slice)
    }
    const oldest = [...out.flatMap((one) => one.frames), ...queue].map((one) => one.stamp)
    expect(ring.reader.oldestStartMs()).toBe(oldest.length === 0 ? null : Math.min(...oldest))
  }
  expect(ring.reader.counters().written).toBe(stamp)
})

test('a million frames from another thread arrive once each, in order, whole', {
  timeout: 60_000,
}, async () => {
  const frames = 1_000_000
  const sab = createRingBuffer(64 * 1024, { startPosition: 2 ** 32 - 1_000_000 })
  const reader = createRingReader(sab, { timestampOffset })
  const worker = new Worker(new URL('./producer.fixture.ts', import.meta.url), {
    workerData: { sab, frames },
  })
  let failed: unknown
  worker.once('error', (error) => {
    failed = error
  })
  let next = 1
  let damaged = 0
  const verify = (bytes: Buffer, view: DataView, offset: number) => {
    if (view.getFloat64(offset + timestampOffset, true) !== next) damaged += 1
    const length = 24 + ((next * 7919) % 200)
    for (let at = 16; at < length; at += 1) if (bytes[offset + at] !== ((next + at) & 0xff)) damaged += 1
    next += 1
  }
  while (next <= frames && failed === undefined && damaged === 0) {
    const slices = [reader.trySlice(100), reader.trySlice(50)].filter((slice) => slice !== null)
    for (const slice of slices) forEachFrame(sab, slice.from, slice.to, verify)
    for (const slice of slices.reverse()) reader.free(slice)
    if (slices.length === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  expect(failed).toBeUndefined()
  expect(damaged).toBe(0)
  expect(next - 1).toBe(frames)
  expect(reader.trySlice(1)).toBeNull()
  expect(reader.counters().written).toBe(frames)
  await worker.terminate()
})

test('a slice outlives the worker that died reading it', async () => {
  const ring = createRing()
  for (const t of [1, 2, 3]) put(ring.writer, 64, t)
  const { from, to } = ring.reader.trySlice(10)!
  const start = (die: boolean) =>
    new Worker(new URL('./visitor.fixture.ts', import.meta.url), {
      workerData: { sab: ring.sab, from, to, die },
    })
  expect(await once(start(true), 'exit')).toEqual([7])
  expect(await once(start(false), 'message')).toEqual([{ sum: 6, frames: 3 }])
})
