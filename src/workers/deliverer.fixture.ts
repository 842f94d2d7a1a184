/** A deliverer whose target is in the test's hand, and a stream of frames in memory. */
import { afterEach } from 'vitest'
import type { LogFrame } from '../log/reader.ts'
import { comparePositions, type LogPosition, streamStart } from '../log/segments.ts'
import type { LogEntry } from '../record/events.ts'
import { createDeliverer, type Deliverer, type DelivererOptions } from './deliverer.ts'

export const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** A stream in memory that counts what is read of it. */
export function createStream(readDelay = () => new Promise((resolve) => setImmediate(resolve))) {
  const frames: LogFrame[] = []
  const reads = { frames: 0 }
  function append(ids: number[], oldestMs = 1000 + (ids[0] ?? 0)): LogFrame {
    const payload = Buffer.from(ids.map((id) => `${JSON.stringify({ id })}\n`).join(''))
    const end = { segment: 1, offset: (frames.at(-1)?.end.offset ?? 0) + 32 + payload.length }
    const frame = { payload, entries: ids.length, oldestMs, end }
    frames.push(frame)
    return frame
  }
  function openReader(from: LogPosition) {
    let position = from
    return {
      async read() {
        await readDelay()
        const found = frames.filter(({ end }) => comparePositions(end, position) > 0).slice(0, 3)
        reads.frames += found.length
        position = found.at(-1)?.end ?? position
        return found
      },
      position: () => position,
      close: async () => {},
    }
  }
  return { append, openReader, reads, end: () => frames.at(-1)?.end ?? streamStart }
}

type Sent = { ids: number[]; resolve(): void; reject(error: Error): void; signal: AbortSignal }

export function idsOf(entries: LogEntry[]): number[] {
  return entries.map((entry) => Number((entry as unknown as { id: number }).id))
}

export function setUp(options: Partial<DelivererOptions> & Pick<DelivererOptions, 'openReader'>) {
  const sent: Sent[] = []
  const cursor: LogPosition[] = []
  const circuit = { open: true, results: [] as string[] }
  const lines: string[] = []
  const log = (fields: object, message: string) => void lines.push(JSON.stringify([fields, message]))
  const deliverer: Deliverer = createDeliverer({
    target: 'sessions',
    from: streamStart,
    cursor: { advance: (_, position) => cursor.push(position) },
    send: (entries, signal) =>
      new Promise((resolve, reject) => {
        sent.push({ ids: idsOf(entries), resolve: () => resolve(undefined), reject, signal })
      }),
    circuit: {
      tryPass: () => circuit.open,
      succeeded: () => circuit.results.push('ok'),
      failed: (reason) => circuit.results.push(reason),
    },
    filter: () => true,
    log: { info: log, warn: log },
    timeoutMs: 5000,
    maxSendEntries: 2,
    random: () => 0,
    ...options,
  })
  cleanups.push(() => deliverer.close())
  return { deliverer, sent, cursor, circuit, lines }
}
