/**
 * What the log costs a worker: one append of a batch, its crc and write, and reading it back.
 */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { createLogReader } from '../src/log/reader.ts'
import { streamStart } from '../src/log/segments.ts'
import { createLogWriter } from '../src/log/writer.ts'

type Report = (line: { name: string; value: number; unit: string }) => void

/** A request event is some 800 bytes of JSON. */
const entryBytes = 800
const batches = [
  { entries: 1, frames: 5000 },
  { entries: 100, frames: 2000 },
  { entries: 1000, frames: 200 },
]

export async function run(report: Report): Promise<void> {
  for (const { entries, frames } of batches) {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'waybill-bench-log-'))
    try {
      await measure(directory, entries, frames, report)
    } finally {
      fs.rmSync(directory, { recursive: true, force: true })
    }
  }
}

async function measure(directory: string, entries: number, frames: number, report: Report): Promise<void> {
  const stream = 'bench'
  const payload = Buffer.alloc(entries * entryBytes, 'x')
  const writer = createLogWriter({ directory, stream })
  const times: number[] = []
  for (let frame = 0; frame < frames; frame += 1) {
    const before = process.hrtime.bigint()
    writer.append(payload, { entries, oldestMs: frame })
    times.push(Number(process.hrtime.bigint() - before) / 1000)
    // The syncs run beside the appends, as they do in a worker.
    if (frame % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  const closing = process.hrtime.bigint()
  await writer.close()
  const closeMs = Number(process.hrtime.bigint() - closing) / 1e6
  times.sort((a, b) => a - b)
  const total = times.reduce((sum, time) => sum + time, 0)
  report({ name: `log.append_${entries}.p50`, value: times[frames >> 1]!, unit: 'us/batch' })
  report({ name: `log.append_${entries}.p99`, value: times[Math.floor(frames * 0.99)]!, unit: 'us/batch' })
  report({ name: `log.append_${entries}.record`, value: total / frames / entries, unit: 'us/record' })
  report({ name: `log.append_${entries}.throughput`, value: (payload.length * frames) / total, unit: 'MB/s' })
  report({ name: `log.append_${entries}.close`, value: closeMs, unit: 'ms' })
  const reader = createLogReader({ directory, stream, from: streamStart, live: false })
  const reading = process.hrtime.bigint()
  let read = 0
  for (let got = await reader.read(2 ** 20); got.length > 0; got = await reader.read(2 ** 20))
    read += got.length
  const readUs = Number(process.hrtime.bigint() - reading) / 1000
  await reader.close()
  if (read !== frames) throw new Error(`${read} of ${frames} frames came back`)
  report({ name: `log.read_${entries}.throughput`, value: (payload.length * frames) / readUs, unit: 'MB/s' })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await run(({ name, value, unit }) => console.log(`${name.padEnd(28)} ${value.toFixed(2)} ${unit}`))
}
