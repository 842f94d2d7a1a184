/** Counts what a proxy thread does, in memory shared with `/metrics`, for a few nanoseconds a request. */
import { classes, type Outcome, outcomes, type RequestClass } from '../record/record.ts'
import {
  bucketBoundsMs,
  codeLabels,
  histogramSlots,
  proxyCountersBytes,
  type RefusalReason,
  refusalReasons,
  scalars,
  slots,
  statusCodes,
  sumSlot,
  type UnrecordedReason,
  type UpstreamErrorReason,
  unrecordedReasons,
  upstreamErrorReasons,
  upstreamSlots,
} from './counter-layout.ts'

export type ProxyCounters = {
  /** At the end of each answered request; `firstByteMs` -1: no byte was sent, `bytes`: body bytes on the socket. */
  countRequest(
    requestClass: RequestClass,
    outcome: Outcome,
    status: number,
    durationMs: number,
    firstByteMs: number,
    bytes: number,
  ): void
  /** Body bytes that no `countRequest` will report (it counts its own). */
  addBytes(bytes: number): void
  countAbort(): void
  connectionOpened(): void
  connectionClosed(): void
  /** A forwarding header came from a peer that is no trusted proxy. */
  countUntrustedForwarded(): void
  /** A connection or a request was refused by a limit, or a PROXY header by its rules. */
  countRefusal(reason: RefusalReason): void
  /** A request was served and leaves no record. */
  countUnrecorded(reason: UnrecordedReason): void
  /** At the end of each upstream answer; `index` is that of `Config.upstreams`. */
  countUpstream(index: number, status: number, durationMs: number): void
  /** `reason`: index into `upstreamErrorReasons`, or the reason itself. */
  countUpstreamError(index: number, reason: number | UpstreamErrorReason): void
  /** Of the upstream's `ratelimit-remaining` header, at Unix time `nowMs`. */
  setRatelimitRemaining(index: number, remaining: number, nowMs: number): void
}

const codes = codeLabels.length
const otherCode = codes - 1
const otherReason = upstreamErrorReasons.length - 1
const [bytesSlot, abortsSlot, connectionsSlot, untrustedSlot, refusalsSlot] = scalars.map(
  (_, index) => slots.scalars + index,
) as [number, number, number, number, number]

const unrecordedSlot = refusalsSlot + refusalReasons.length

// A table instead of a search or a Map: one byte load a request.
const codeOfStatus = new Uint8Array(1000).fill(otherCode)
for (const [index, status] of statusCodes.entries()) codeOfStatus[status] = index

// Objects without prototype, keyed by interned strings: a lookup costs a hash that the string already carries.
const classIndex = indexOf(classes)
const outcomeIndex = indexOf(outcomes)

function indexOf<Value extends string>(values: readonly Value[]): Readonly<Record<Value, number>> {
  return Object.assign(Object.create(null), Object.fromEntries(values.map((value, index) => [value, index])))
}

export function createCountersMemory(upstreams: number): SharedArrayBuffer {
  return new SharedArrayBuffer(proxyCountersBytes(upstreams))
}

/**
 * The writing side: one a proxy thread, over memory that no other thread writes.
 *
 * No Atomics: with a single writer an increment cannot be lost, and every slot is an aligned float64, which
 * 64-bit machines (uWebSockets.js runs on no other) load and store whole, so a reader sees an old or a new
 * value, never a mix. What it may see is slots of different moments: a request in `requests` that is not
 * yet in `duration`. For numbers that are read every few seconds that is no error, and each of them only
 * ever grows.
 */
export function createProxyCounters(options: { sab: SharedArrayBuffer; upstreams: number }): ProxyCounters {
  const { upstreams } = options
  if (options.sab.byteLength !== proxyCountersBytes(upstreams)) {
    throw new RangeError(`counters for ${upstreams} upstreams need ${proxyCountersBytes(upstreams)} bytes`)
  }
  const view = new Float64Array(options.sab)
  // A thread that takes over after another died goes on counting, but the dead one's connections are gone.
  view[connectionsSlot] = 0

  const observe = (start: number, valueMs: number): void => {
    let bucket = 0
    while (bucket < bucketBoundsMs.length && valueMs > (bucketBoundsMs[bucket] as number)) bucket += 1
    view[start + bucket]! += 1
    view[start + sumSlot]! += valueMs
  }
  // -1 (no upstream) and an index beyond the memory's end would land in another counter.
  const upstreamStart = (index: number): number =>
    index >= 0 && index < upstreams ? slots.upstreams + index * upstreamSlots.total : -1

  return {
    countRequest(requestClass, outcome, status, durationMs, firstByteMs, bytes) {
      const pair = classIndex[requestClass] * outcomes.length + outcomeIndex[outcome]
      view[slots.requests + pair * codes + (codeOfStatus[status] ?? otherCode)]! += 1
      observe(slots.duration + pair * histogramSlots, durationMs)
      if (firstByteMs >= 0) observe(slots.firstByte + pair * histogramSlots, firstByteMs)
      view[bytesSlot]! += bytes
    },
    addBytes(bytes) {
      view[bytesSlot]! += bytes
    },
    countAbort() {
      view[abortsSlot]! += 1
    },
    connectionOpened() {
      view[connectionsSlot]! += 1
    },
    connectionClosed() {
      view[connectionsSlot]! -= 1
    },
    countUntrustedForwarded() {
      view[untrustedSlot]! += 1
    },
    countRefusal(reason) {
      view[refusalsSlot + refusalReasons.indexOf(reason)]! += 1
    },
    countUnrecorded(reason) {
      view[unrecordedSlot + unrecordedReasons.indexOf(reason)]! += 1
    },
    countUpstream(index, status, durationMs) {
      const start = upstreamStart(index)
      if (start < 0) return
      view[start + upstreamSlots.requests + (codeOfStatus[status] ?? otherCode)]! += 1
      observe(start + upstreamSlots.duration, durationMs)
    },
    countUpstreamError(index, reason) {
      const start = upstreamStart(index)
      if (start < 0) return
      const position = typeof reason === 'number' ? reason : upstreamErrorReasons.indexOf(reason)
      const known = position >= 0 && position < upstreamErrorReasons.length
      view[start + upstreamSlots.errors + (known ? position : otherReason)]! += 1
    },
    setRatelimitRemaining(index, remaining, nowMs) {
      const start = upstreamStart(index)
      if (start < 0) return
      view[start + upstreamSlots.ratelimitRemaining] = remaining
      view[start + upstreamSlots.ratelimitAtMs] = nowMs
    },
  }
}
