/**
 * Writes one answer to the client's socket: head and first bytes together, then the body with backpressure.
 */
import type { Outcome } from '../record/record.ts'
import { statusLine } from './errors.ts'
import type { Exchange, Exchanges } from './exchange.ts'

export type AnswerOptions = {
  exchanges: Exchanges
  minRateBytes: number
  requestTimeoutMs: number
}

/** Where the body comes from, when it can be told to wait. */
export type Source = { pause(): void; resume(): void }

const via = Buffer.from('Via')
const contentLengthName = Buffer.from('Content-Length')
const nothing: Buffer = Buffer.alloc(0)
// uWebSockets.js ends a response without progress for 10 s; trying the write again starts its timer anew.
const retryWriteMs = 4000
const leastFreedBytes = 16 * 1024
// A client is judged by what it took over this long: bursts and pauses are how real downloads go.
const rateWindowMs = 20_000

// uWebSockets.js wants writes inside cork(callback); one callback for all, so that a chunk costs no closure.
let corked: Answer
const writeCorked = (): void => corked.writeNow()
const retryCorked = (): void => corked.retryNow()

/**
 * Frees memory that nobody reads any more: the collector lets tens of megabytes of it pile up, which is more than
 * all that is really held.
 */
function giveBack({ buffer }: Buffer): void {
  // Small ones come from a slab that others share (Buffer.poolSize).
  if (buffer.byteLength >= leastFreedBytes) (buffer as ArrayBuffer).transfer(0)
}

/** A class for its shape: one is made for each answer that is not local, and lives on the hot path. */
export class Answer {
  /** Body bytes that the client's socket has taken. */
  sent = 0
  headWritten = false
  readonly #options: AnswerOptions
  readonly #exchange: Exchange
  #source: Source | null = null
  #status = 0
  #outcome: Outcome = 'local'
  #block: Buffer = nothing
  #total = -1
  #chunk: Buffer = nothing
  #ending = false
  /** What the socket did not take of the last chunk, from body offset `#pendingAt` on. */
  #pending: Buffer | null = null
  #pendingAt = 0
  #waiting = false
  #listening = false
  #triedMs = 0
  /** Start of the window that the client's rate is judged by; 0: it keeps nobody waiting. */
  #windowMs = 0
  #windowSent = 0
  /** How long of that window the upstream has waited for the client, before the wait that began at `#blockedAtMs`. */
  #blockedMs = 0
  #blockedAtMs = 0

  constructor(options: AnswerOptions, exchange: Exchange) {
    this.#options = options
    this.#exchange = exchange
  }

  /**
   * Sets the head; it is written with the first bytes of the body, or at once when there is no body to come.
   * `block`: value of the first header line, `Via`, and all further lines. `total`: body bytes, -1: unknown.
   */
  head(status: number, outcome: Outcome, block: Buffer, total: number, source: Source | null): void {
    this.#status = status
    this.#outcome = outcome
    this.#block = block
    this.#total = total
    this.#source = source
    if (this.#bodiless()) this.#flush(nothing)
  }

  write(chunk: Buffer): void {
    // More than was announced would become the head of the next answer on this connection; and an empty
    // tryEnd would end this one.
    if (this.#total >= 0 && this.sent + chunk.length > this.#total) return this.cut()
    if (chunk.length === 0) return
    this.#flush(chunk)
  }

  /** The body is at its end; one that is shorter than was announced is cut off. */
  end(): void {
    if (this.#exchange.over || this.#pending) return
    if (this.#total > 0) return this.cut()
    this.#ending = true
    this.#flush(nothing)
  }

  /** Breaks the answer off: after its head only the end of the connection says that it is not whole. */
  cut(): void {
    this.#exchange.record.bytesSent = this.sent
    this.#exchange.down.close()
  }

  sweep(nowMs: number): void {
    this.#exchange.record.bytesSent = this.sent
    if (nowMs - this.#exchange.startedMs > this.#options.requestTimeoutMs) return this.cut()
    if (this.#windowMs === 0) return
    if (nowMs - this.#windowMs >= rateWindowMs && this.#isTooSlow(nowMs)) return this.cut()
    if (this.#pending && nowMs - this.#triedMs >= retryWriteMs) {
      corked = this
      this.#exchange.down.cork(retryCorked)
    }
  }

  /** Judges a window that is over, and begins the next. Waits are short where a chunk is soon taken: they add up. */
  #isTooSlow(nowMs: number): boolean {
    const elapsedMs = nowMs - this.#windowMs
    const blockedMs = this.#blockedMs + (this.#waiting ? nowMs - this.#blockedAtMs : 0)
    const wanted = (this.#options.minRateBytes * elapsedMs) / 1000
    const taken = this.sent - this.#windowSent
    this.#windowMs = this.#waiting ? nowMs : 0
    this.#windowSent = this.sent
    this.#blockedMs = 0
    this.#blockedAtMs = nowMs
    // Where the upstream was slow for most of the time, it is not the client's fault.
    return blockedMs > elapsedMs / 2 && taken < wanted
  }

  #bodiless(): boolean {
    return this.#exchange.isHead || this.#status === 204 || this.#status === 304
  }

  #flush(chunk: Buffer): void {
    this.#chunk = chunk
    corked = this
    // In the handler's own turn uWebSockets.js has corked already.
    if (this.#exchange.isHeld) this.#exchange.down.cork(writeCorked)
    else this.writeNow()
  }

  /** Corked only. */
  writeNow(): void {
    const { down } = this.#exchange
    if (!this.headWritten) {
      this.headWritten = true
      this.#options.exchanges.begin(this.#exchange, this.#status, this.#outcome)
      // 200 is what uWebSockets.js writes unasked.
      if (this.#status !== 200) down.writeStatus(statusLine(this.#status))
      down.writeHeader(via, this.#block)
      if (this.#bodiless()) {
        // Only a HEAD says the length of a body that it has not got (RFC 9110 8.6); written by hand, as
        // uWebSockets.js 20.51 waits for that many bytes when it is told the length.
        if (this.#exchange.isHead && this.#total >= 0)
          down.writeHeader(contentLengthName, String(this.#total))
        down.endWithoutBody()
        return this.#complete()
      }
    }
    if (this.#ending) {
      down.end()
      this.#complete()
    } else if (this.#total < 0) {
      this.sent += this.#chunk.length
      // uWebSockets.js keeps what the socket did not take; the source waits until it has.
      if (!down.write(this.#chunk)) this.#awaitRoom()
    } else {
      this.#writeSized(this.#chunk)
    }
  }

  #writeSized(chunk: Buffer): void {
    const { down } = this.#exchange
    const [taken, done] = down.tryEnd(chunk, this.#total)
    if (done) {
      this.sent = this.#total
      this.#complete()
    } else if (taken) {
      this.sent += chunk.length
    } else {
      const before = this.sent
      this.sent = down.getWriteOffset()
      this.#pendingAt = this.sent
      // The chunk is its caller's again after this call.
      const rest = chunk.subarray(this.sent - before)
      this.#pending = Buffer.allocUnsafeSlow(rest.length)
      rest.copy(this.#pending)
      this.#awaitRoom()
    }
  }

  #awaitRoom(): void {
    this.#source?.pause()
    this.#triedMs = performance.now()
    if (!this.#waiting) {
      this.#waiting = true
      this.#blockedAtMs = this.#triedMs
      if (this.#windowMs === 0) {
        this.#windowMs = this.#triedMs
        this.#windowSent = this.sent
        this.#blockedMs = 0
      }
    }
    if (this.#listening) return
    this.#listening = true
    // One closure for each answer that ever has to wait; uWebSockets.js keeps a single handler, and corks it.
    this.#exchange.down.onWritable((offset) => this.#resume(offset))
  }

  retryNow(): void {
    this.#resume(this.#exchange.down.getWriteOffset())
  }

  /** The socket may have room again; `offset` bytes of the body are gone. */
  #resume(offset: number): boolean {
    if (this.#exchange.over) return true
    if (this.#pending) {
      const { down } = this.#exchange
      this.#triedMs = performance.now()
      const [taken, done] = down.tryEnd(this.#pending.subarray(offset - this.#pendingAt), this.#total)
      if (!taken && !done) {
        this.sent = down.getWriteOffset()
        return false
      }
      this.sent = this.#pendingAt + this.#pending.length
      giveBack(this.#pending)
      this.#pending = null
      if (done) {
        this.#complete()
        return true
      }
    }
    if (this.#waiting) this.#blockedMs += performance.now() - this.#blockedAtMs
    this.#waiting = false
    this.#source?.resume()
    return true
  }

  #complete(): void {
    this.#options.exchanges.complete(this.#exchange, this.#exchange.isHead ? 0 : this.sent)
  }
}
