/**
 * One request and its answer: what was asked, what was sent, and the record that it leaves.
 */
import type { Outcome, RequestClass, WaybillRecord } from '../record/record.ts'
import type { HeaderList } from './headers.ts'
import type { ProxyCounters, Records } from './types.ts'

/** The part of uWebSockets.js's HttpResponse that answers need; none of it may be used once `over`. */
export type Downstream = {
  writeStatus(status: Buffer | string): Downstream
  writeHeader(name: Buffer | string, value: Buffer | string): Downstream
  write(chunk: Buffer): boolean
  end(body?: Buffer | string, closeConnection?: boolean): Downstream
  /** The length must be 0 or left out: with any other uWebSockets.js 20.51 waits for that many bytes. */
  endWithoutBody(reportedContentLength?: 0, closeConnection?: boolean): Downstream
  tryEnd(chunk: Buffer, totalSize: number): [ok: boolean, done: boolean]
  close(): Downstream
  getWriteOffset(): number
  cork(callback: () => void): Downstream
  onWritable(handler: (offset: number) => boolean): Downstream
}

/** What sends the exchange's answer, for as long as it takes longer than the handler's call. */
export type Sender = {
  /** Called about once a second while the answer is under way; `nowMs` is of the monotonic clock. */
  sweep(nowMs: number): void
  /** The client went away: say how many bytes it took, and let go of everything. */
  abandon(): void
}

export type Exchange = {
  readonly down: Downstream
  readonly record: WaybillRecord
  /** Host header in lower case without port: what tokens and realms speak of. */
  readonly host: string
  /** `http://` or `https://` and authority that the client knows this front by. */
  readonly publicUrl: string
  readonly isHead: boolean
  /** Raw query without `ns`; '' without one. */
  readonly query: string
  /** What goes upstream: names and values in turns. */
  readonly upstreamHeaders: HeaderList
  readonly accept: string
  readonly ifNoneMatch: string
  /**
   * What the client shows the upstream itself (passthrough), '' without any: no answer may be shared with others.
   * null: nothing of it goes upstream.
   */
  readonly authorization: string | null
  readonly blobs: 'redirect' | 'stream'
  /** Asked when the route's upstream fails; null: none. */
  readonly fallback: { upstream: number; upstreamRepository: string } | null
  /** Names what the route serves, wherever it comes from: one for all its clients, so caches are keyed by it. */
  readonly scope: string
  /** It reached a route of a domain that is recorded; else it is counted in metrics, and leaves no record. */
  readonly isRecorded: boolean
  /** Monotonic ms of the start. */
  readonly startedMs: number
  sender: Sender | null
  /** Its place among the requests of its client (admission.ts); -1: it takes none. */
  ticket: number
  /** Requests to the upstream that go on without this client; it keeps its place for as long. */
  shared: number
  /** The answer is complete, or the connection gone: `down` must not be touched. */
  over: boolean
  /** Its handler has returned: from now on writes must be corked. */
  isHeld: boolean
  /** The next heartbeat is due at this monotonic time. */
  nextHeartbeatMs: number
}

export type Exchanges = {
  /** From now on swept; to be called when the handler returns without an answer. */
  hold(exchange: Exchange): void
  /** The answer has been handed over completely, with `bytes` of body in all. */
  complete(exchange: Exchange, bytes: number): void
  /** The client is gone or was cut off after `bytes` of body. */
  abort(exchange: Exchange): void
  /** The first byte of the answer is being written. */
  begin(exchange: Exchange, status: number, outcome: Outcome): void
  /**
   * To be called with what waits for a request to the upstream that does not end when the client leaves: else a
   * client could have as many under way as it likes, by leaving each at once.
   */
  keepPlace<Value>(exchange: Exchange, then: (value: Value) => void): (value: Value) => void
  /** How many are under way. */
  active(): number
  sweep(): void
  close(): void
}

const sweepIntervalMs = 1000
// Events wait so much longer than the idle time; each costs little.
const tellIntervalMs = 200
// Until a transfer is known, no session of any client is judged: sooner than the other heartbeats.
const firstHeartbeatMs = 2000
// nginx's status for a client that left before any answer; no RFC has one.
const clientClosedRequest = 499

export function createExchanges(options: {
  counters: ProxyCounters
  records: Records
  /** A transfer under way leaves a heartbeat this often, the first one sooner; a third of the sessions' idle time. */
  heartbeatMs: number
  /** An answer must have begun by then. */
  waitMs: number
  /** Answers a request whose answer has not begun in time. */
  expire(exchange: Exchange): void
  /** Gives back a client's place. */
  leave(ticket: number): void
}): Exchanges {
  const { counters, records, heartbeatMs, waitMs } = options
  const held = new Set<Exchange>()

  const leavePlace = (exchange: Exchange): void => {
    if (exchange.ticket < 0 || exchange.shared > 0) return
    options.leave(exchange.ticket)
    exchange.ticket = -1
  }

  const leaveRecord = (exchange: Exchange): void => {
    const { record } = exchange
    exchange.over = true
    record.durationMs = performance.now() - exchange.startedMs
    if (exchange.isHeld) held.delete(exchange)
    leavePlace(exchange)
    counters.countRequest(
      record.class,
      record.outcome,
      record.status,
      record.durationMs,
      record.firstByteMs,
      record.bytesSent,
    )
    if (record.aborted) counters.countAbort()
    exchange.sender = null
    if (!exchange.isRecorded) return
    record.kind = 'request'
    if (record.sequence < 0) record.sequence = records.nextSequence()
    records.write(record)
  }

  const firstMs = Math.min(firstHeartbeatMs, heartbeatMs)

  const leaveHeartbeat = (exchange: Exchange, nowMs: number): void => {
    const { record } = exchange
    // Before the answer has begun there is nothing to say of it.
    exchange.nextHeartbeatMs = nowMs + (record.status === 0 ? 0 : heartbeatMs)
    if (record.status === 0 || !exchange.isRecorded) return
    record.kind = 'heartbeat'
    record.durationMs = nowMs - exchange.startedMs
    if (record.sequence < 0) record.sequence = records.nextSequence()
    records.write(record)
  }

  /** A request that waits longer for its answer than sessions wait for a heartbeat holds them no more. */
  const tell = (): void => {
    const nowMs = performance.now()
    let upToMs = Date.now()
    for (const { record, startedMs, isRecorded } of held) {
      if (isRecorded && record.sequence < 0 && nowMs - startedMs < heartbeatMs)
        upToMs = Math.min(upToMs, record.startMs)
    }
    records.tell(upToMs)
  }

  const exchanges: Exchanges = {
    hold(exchange) {
      exchange.isHeld = true
      exchange.nextHeartbeatMs = exchange.startedMs + firstMs
      held.add(exchange)
    },
    complete(exchange, bytes) {
      exchange.record.bytesSent = bytes
      leaveRecord(exchange)
    },
    abort(exchange) {
      if (exchange.over) return
      exchange.record.aborted = true
      if (exchange.record.status === 0) exchange.record.status = clientClosedRequest
      exchange.over = true
      exchange.sender?.abandon()
      leaveRecord(exchange)
    },
    begin(exchange, status, outcome) {
      const { record } = exchange
      record.status = status
      record.outcome = outcome
      record.firstByteMs = performance.now() - exchange.startedMs
    },
    keepPlace(exchange, then) {
      exchange.shared++
      return (value) => {
        exchange.shared--
        if (exchange.over) leavePlace(exchange)
        then(value)
      }
    },
    active: () => held.size,
    sweep() {
      const nowMs = performance.now()
      for (const exchange of held) {
        exchange.sender?.sweep(nowMs)
        const isLate = exchange.record.status === 0 && nowMs - exchange.startedMs > waitMs
        if (isLate && !exchange.over) options.expire(exchange)
        if (!exchange.over && nowMs >= exchange.nextHeartbeatMs) leaveHeartbeat(exchange, nowMs)
      }
    },
    close() {
      clearInterval(timer)
      clearInterval(teller)
      records.tell(Number.MAX_SAFE_INTEGER)
    },
  }
  const timer = setInterval(exchanges.sweep, Math.min(sweepIntervalMs, heartbeatMs))
  const teller = setInterval(tell, tellIntervalMs)
  return exchanges
}

/** A record of a request whose head has just been read. */
export function newRecord(requestClass: RequestClass, address: Uint8Array): WaybillRecord {
  return {
    kind: 'request',
    sequence: -1,
    method: 'GET',
    class: requestClass,
    outcome: 'local',
    status: 0,
    upstreamStatus: 0,
    startMs: Date.now(),
    durationMs: 0,
    firstByteMs: -1,
    bytesSent: 0,
    offset: 0,
    size: -1,
    aborted: false,
    hasNonce: false,
    domain: -1,
    upstream: -1,
    address,
    nonce: noNonce,
    host: '',
    repository: '',
    reference: '',
    upstreamRepository: '',
    userAgent: '',
    redirectHost: '',
    range: '',
    digest: '',
  }
}

const noNonce = new Uint8Array(16)
