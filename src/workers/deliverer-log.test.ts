import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createRandom } from '../../test/support/random.ts'
import { createLogReader } from '../log/reader.ts'
import { comparePositions, type LogPosition, streamStart } from '../log/segments.ts'
import { createLogWriter } from '../log/writer.ts'
import type { LogEntry } from '../record/events.ts'
import { cleanups, idsOf, setUp } from './deliverer.fixture.ts'
import { range } from './ring.fixture.ts'

test.each([1, 2, 3, 4])(
  'seed %i: on a real log, with failures and restarts, nothing is lost',
  async (seed) => {
    const { next: random } = createRandom(seed)
    const directory = mkdtempSync(join(tmpdir(), 'waybill-deliverer-'))
    cleanups.push(() => rmSync(directory, { recursive: true }))
    const writer = createLogWriter({ directory, stream: 's', segmentBytes: 4000 })
    cleanups.push(() => writer.close())
    const arrived = new Set<number>()
    const starts = new Map<string, number>()
    let cursorAt: LogPosition = streamStart
    let next = 0
    const total = 600

    const options = {
      openReader: (from: LogPosition) => createLogReader({ directory, stream: 's', from }),
      windowBatches: 4,
      maxSendEntries: 10,
      maxTailBytes: 2000,
      timeoutMs: 1000,
      random: () => 0,
      send: async (entries: LogEntry[]) => {
        for (let i = random() * 4; i > 0; i--) await new Promise((resolve) => setImmediate(resolve))
        if (random() < 0.04) throw new Error('down before')
        for (const id of idsOf(entries)) arrived.add(id)
        if (random() < 0.04) throw new Error('down after')
      },
      cursor: {
        advance: (_: string, position: LogPosition) => {
          expect(comparePositions(position, cursorAt)).toBeGreaterThan(0)
          cursorAt = position
          // Never beyond what has arrived.
          const before = starts.get(`${position.segment}/${position.offset}`)
          for (const id of range(before ?? 0)) expect(arrived.has(id)).toBe(true)
        },
      },
    }
    while (next < total) {
      const { deliverer } = setUp({ ...options, from: cursorAt })
      const stopAt = Math.min(total, next + 250)
      while (next < stopAt) {
        const ids = range(1 + Math.floor(random() * 12), next)
        next += ids.length
        const payload = Buffer.from(ids.map((id) => `${JSON.stringify({ id })}\n`).join(''))
        const info = { entries: ids.length, oldestMs: 1000 }
        const end = writer.append(payload, info)
        starts.set(`${end.segment}/${end.offset}`, next)
        if (random() < 0.8) deliverer.offer({ payload, ...info, end })
        else deliverer.wake()
        if (random() < 0.7) await new Promise((resolve) => setImmediate(resolve))
      }
      if (next >= total) expect(await deliverer.drain(20_000)).toBe(true)
      await deliverer.close()
    }
    expect(arrived.size).toBe(next)
    expect(comparePositions(cursorAt, writer.position())).toBeGreaterThanOrEqual(0)
  },
  30_000,
)
