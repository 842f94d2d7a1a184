/**
 * What a record costs its proxy thread: five strings written into a ring, time, bytes and heap growth.
 */
import { fileURLToPath } from 'node:url'
import { decodeRecord } from '../src/record/decode.ts'
import { createRecordWriter } from '../src/record/encode.ts'
import { startMsOffset } from '../src/record/layout.ts'
import type { WaybillRecord } from '../src/record/record.ts'
import { createRingBuffer } from '../src/ring/layout.ts'
import { createRingReader, forEachFrame } from '../src/ring/reader.ts'
import { createRingWriter } from '../src/ring/writer.ts'

type Report = (line: { name: string; value: number; unit: string }) => void

const records = 1_000_000
const capacityBytes = 16 * 2 ** 20
const digests = Array.from(
  { length: 64 },
  (_, index) => `sha256:${index.toString(16).padStart(2, '0').repeat(32)}`,
)

/** The one object that a proxy thread uses for all its records. */
const record: WaybillRecord = {
  kind: 'request',
  sequence: 0,
  method: 'GET',
  class: 'blob',
  outcome: 'redirect',
  status: 307,
  upstreamStatus: 307,
  startMs: 1_790_000_000_000,
  durationMs: 41,
  firstByteMs: 40,
  bytesSent: 0,
  offset: 0,
  size: -1,
  aborted: false,
  hasNonce: true,
  domain: 0,
  upstream: 0,
  address: Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7]),
  nonce: new Uint8Array(16).fill(7),
  host: 'cr.example.io',
  repository: 'app/server',
  reference: '',
  upstreamRepository: 'acme-org/app-server',
  userAgent: 'containerd/v2.1.4',
  redirectHost: 'production.cloudfront.example.net',
  range: '',
  digest: '',
}

function createBench() {
  const sab = createRingBuffer(capacityBytes)
  const ring = createRingWriter(sab)
  return {
    sab,
    ring,
    writer: createRecordWriter(ring),
    reader: createRingReader(sab, { timestampOffset: startMsOffset }),
  }
}

export async function run(report: Report): Promise<void> {
  const bench = createBench()
  const write = (count: number) => {
    let nanoseconds = 0n
    let heapBytes = 0
    let ringBytes = 0
    for (let done = 0; done < count; done += 25_000) {
      const heapBefore = process.memoryUsage().heapUsed
      const before = process.hrtime.bigint()
      for (let index = 0; index < 25_000; index += 1) {
        record.sequence = bench.ring.nextSequence()
        record.digest = digests[index & 63]!
        record.reference = record.digest
        if (!bench.writer.write(record)) throw new Error('the ring is full')
      }
      nanoseconds += process.hrtime.bigint() - before
      heapBytes += Math.max(0, process.memoryUsage().heapUsed - heapBefore)
      ringBytes += bench.reader.usedRatio() * capacityBytes
      bench.reader.free(bench.reader.trySlice(25_000)!)
    }
    return { ns: Number(nanoseconds) / count, heap: heapBytes / count, ring: ringBytes / count }
  }
  write(200_000)
  const measured = write(records)
  report({ name: 'record.write', value: measured.ns, unit: 'ns/record' })
  report({ name: 'record.ring_room', value: measured.ring, unit: 'bytes/record' })
  // What the two readings of the heap themselves leave behind is part of it; an object a record would be 16 or more.
  report({ name: 'record.write_heap_growth', value: measured.heap, unit: 'bytes/record' })
  report({ name: 'record.read', value: read(bench, 25_000, 20), unit: 'ns/record' })
  if (measured.heap >= 1) throw new Error(`writing a record allocates ${measured.heap} bytes`)
}

/** Time to slice, decode and free, which also proves that what was written is what is read. */
function read(bench: ReturnType<typeof createBench>, batch: number, rounds: number): number {
  let nanoseconds = 0n
  for (let round = 0; round < rounds; round += 1) {
    for (let index = 0; index < batch; index += 1) bench.writer.write(record)
    const before = process.hrtime.bigint()
    const slice = bench.reader.trySlice(batch)!
    forEachFrame(bench.sab, slice.from, slice.to, (bytes, _view, offset) => {
      const decoded = decodeRecord(bytes, offset)
      if (decoded.digest !== record.digest || decoded.userAgent !== record.userAgent)
        throw new Error('damaged')
    })
    bench.reader.free(slice)
    nanoseconds += process.hrtime.bigint() - before
  }
  return Number(nanoseconds) / (batch * rounds)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await run(({ name, value, unit }) => console.log(`${name.padEnd(28)} ${value.toFixed(2)} ${unit}`))
}
