/** What a session remembers of the events it has given, so that later facts are judged with them. */
import type { PackageEvent } from '../record/events.ts'
import { createByteReader, createByteWriter } from './bytes.ts'

export type EventTrace = Pick<
  PackageEvent,
  'type' | 'kind' | 'session_method' | 'session_ids' | 'started_at' | 'ended_at' | 'tag' | 'digest'
>

/** Attempts are counted over 10 minutes (CONTRACT 7); older ones only tell a straggler's pull. */
const memoryMs = 600_000
const oldTraces = 4
const maxTraces = 64

const writer = createByteWriter()

export function traceOf(event: PackageEvent): EventTrace {
  const { type, kind, session_method, session_ids, started_at, ended_at, tag_source, digest } = event
  // What other sessions say of a pull that is over, none of this one would know if it were still open.
  const tag = tag_source === 'inferred' ? null : event.tag
  return { type, kind, session_method, session_ids, started_at, ended_at, tag, digest }
}

/** Newest last; what need not be remembered any more is left out. */
export function joinTraces(
  earlier: readonly EventTrace[],
  events: readonly EventTrace[],
  watermarkMs: number,
): EventTrace[] {
  const all = [...earlier, ...events].sort((a, b) => Date.parse(a.ended_at) - Date.parse(b.ended_at))
  return all
    .filter(
      (trace, at) => at >= all.length - oldTraces || Date.parse(trace.ended_at) >= watermarkMs - memoryMs,
    )
    .slice(-maxTraces)
}

export function packTraces(traces: readonly EventTrace[]): Buffer {
  const parts = traces.map((trace) => {
    writer.reset()
    writer.byte(trace.session_method === 'token' ? 1 : 0)
    writer.text(trace.type)
    writer.text(trace.kind)
    writer.time(trace.started_at)
    writer.time(trace.ended_at)
    writer.text(trace.tag)
    const [algorithm, ...hex] = trace.digest?.split(':') ?? []
    writer.text(algorithm ?? null)
    writer.text(trace.digest === null ? null : hex.join(':'))
    writer.varint(trace.session_ids.length)
    for (const sessionId of trace.session_ids) writer.text(sessionId)
    return writer.bytes()
  })
  return Buffer.concat(parts)
}

export function unpackTraces(bytes: Buffer): EventTrace[] {
  const reader = createByteReader(bytes)
  const traces: EventTrace[] = []
  while (reader.left() > 0) {
    const session_method = reader.byte() === 1 ? 'token' : 'client'
    const type = (reader.text() ?? '') as PackageEvent['type']
    const kind = (reader.text() ?? '') as PackageEvent['kind']
    const started_at = reader.text() ?? ''
    const ended_at = reader.text() ?? ''
    const tag = reader.text()
    const algorithm = reader.text()
    const hex = reader.text()
    const digest = algorithm === null ? null : `${algorithm}:${hex ?? ''}`
    const session_ids = Array.from({ length: reader.varint() }, () => reader.text() ?? '')
    traces.push({ type, kind, session_method, session_ids, started_at, ended_at, tag, digest })
  }
  return traces
}
