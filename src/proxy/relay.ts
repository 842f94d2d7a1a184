/**
 * Hands an upstream's answer on as it comes, in the way that its class asks for.
 */
import { createHash, type Hash } from 'node:crypto'
import type { Outcome } from '../record/record.ts'
import { Answer, type AnswerOptions } from './answer.ts'
import { type LocalError, localErrors } from './errors.ts'
import type { Exchange, Sender } from './exchange.ts'
import { type AnswerFields, emptyFields, passDown } from './headers.ts'
import { sendError } from './respond.ts'
import type { UpstreamErrorReason } from './types.ts'
import type { Ask, Sink, UpstreamCall, Upstreams } from './upstream.ts'

/** What a class of requests does differently with an answer; one object for each class, without state. */
export type RelayPlan = {
  /**
   * Called with the head before anything is sent. 'relay': send the answer on; 'hold': collect its body and ask
   * `finish`; 'taken': the plan has answered, or asked the upstream again, itself.
   */
  head(relay: Relay): 'relay' | 'hold' | 'taken'
  /** What to send instead of the held body; the body itself is fine. */
  finish?(relay: Relay, body: Buffer): Buffer
}

export type RelayOptions = AnswerOptions & {
  /** Largest body that a plan may hold. */
  holdBytes: number
}

// RFC 9110 15: no class of statuses lies above.
export const maxStatus = 599

/** A class for its shape: undici calls it for every chunk of every relayed answer. */
export class Relay implements Sink, Sender {
  readonly exchange: Exchange
  readonly fields: AnswerFields = emptyFields()
  status = 0
  outcome: Outcome = 'relay'
  /** Body bytes of the answer; -1: not known, sent as chunks. */
  total = -1
  /** What the upstream is asked, and how many redirects led here. */
  readonly ask: Ask
  readonly hops: number
  readonly #options: RelayOptions
  readonly #plan: RelayPlan
  readonly #answer: Answer
  #call: UpstreamCall | null = null
  #block: Buffer | null = null
  #mode: 'wait' | 'relay' | 'hold' | 'taken' = 'wait'
  #held: Buffer[] = []
  #heldBytes = 0
  /** Of a body whose end nothing else tells from a broken connection. */
  #hash: Hash | null = null

  constructor(options: RelayOptions, exchange: Exchange, plan: RelayPlan, ask: Ask, hops: number) {
    this.#options = options
    this.ask = ask
    this.hops = hops
    this.exchange = exchange
    this.#plan = plan
    this.#answer = new Answer(options, exchange)
    exchange.sender = this
  }

  head(call: UpstreamCall, status: number, raw: readonly Buffer[]): void {
    if (this.exchange.over) return call.abort()
    this.#call = call
    this.status = status
    this.exchange.record.upstreamStatus = status
    const block = status <= maxStatus ? passDown(raw, this.fields) : null
    if (!block) return this.refuse(localErrors.upstreamFailed, 'relay')
    // A challenge of the upstream is never the client's to answer: what is not public does not exist here.
    if (status === 401 || status === 403) return this.refuse(localErrors.nameUnknown)
    this.#block = Buffer.from(block)
    readLength(this)
    this.#mode = this.#plan.head(this)
    if (this.#mode !== 'taken' && endsWithConnection(this) && !this.#verify()) {
      return this.refuse(localErrors.upstreamFailed, 'relay')
    }
    if (this.#mode === 'relay') this.#begin()
  }

  data(call: UpstreamCall, chunk: Buffer): void {
    if (this.exchange.over) return call.abort()
    this.#hash?.update(chunk)
    if (this.#mode === 'relay') return this.#answer.write(chunk)
    if (this.#mode !== 'hold') return
    this.#heldBytes += chunk.length
    if (this.#heldBytes > this.#options.holdBytes) return this.refuse(localErrors.upstreamFailed, 'relay')
    this.#held.push(chunk)
  }

  end(): void {
    if (this.exchange.over) return
    if (this.#hash && !this.exchange.record.digest.endsWith(`:${this.#hash.digest('hex')}`)) {
      return this.#answer.cut()
    }
    if (this.#mode === 'relay') return this.#answer.end()
    if (this.#mode !== 'hold') return
    const held = Buffer.concat(this.#held)
    const body = this.#plan.finish?.(this, held) ?? held
    this.#held = []
    this.#mode = 'relay'
    this.total = body.length
    this.#begin()
    if (this.exchange.over) return
    if (body.length > 0) this.#answer.write(body)
    else this.#answer.end()
  }

  fail(_call: UpstreamCall, reason: UpstreamErrorReason): void {
    if (this.exchange.over) return
    if (this.#answer.headWritten) this.#answer.cut()
    else this.refuse(errorOf(reason), 'relay')
  }

  /** Answers with an error of the front's own, and lets go of the upstream. */
  refuse(error: LocalError, outcome: Outcome = 'reject'): void {
    this.takeOver()
    if (!this.exchange.over) sendError(this.#options.exchanges, this.exchange, error, outcome)
  }

  /** The plan answers itself: the upstream's body is not wanted. */
  takeOver(): void {
    this.#mode = 'taken'
    this.#call?.abort()
  }

  /** Adds a header line to the answer. */
  addHeader(name: string, value: string): void {
    if (this.#block)
      this.#block = Buffer.concat([this.#block, Buffer.from(`\r\n${name}: ${value}`, 'latin1')])
  }

  sweep(nowMs: number): void {
    this.#answer.sweep(nowMs)
  }

  abandon(): void {
    this.exchange.record.bytesSent = this.#answer.sent
    this.#call?.abort()
  }

  /** Whether the body can be told whole from broken by its own digest. */
  #verify(): boolean {
    const { record } = this.exchange
    const algorithm = /^(sha256|sha512):/.exec(record.digest)?.[1]
    if (record.class !== 'blob' || this.status !== 200 || algorithm === undefined) return false
    this.#hash = createHash(algorithm)
    return true
  }

  #begin(): void {
    this.#answer.head(this.status, this.outcome, this.#block as Buffer, this.total, this.#call)
    this.#block = null
  }
}

/** Asks the upstream, and hands its answer on. */
export function startRelay(
  upstreams: Upstreams,
  options: RelayOptions,
  exchange: Exchange,
  plan: RelayPlan,
  ask: Ask,
  hops = 0,
): void {
  upstreams.ask(ask, new Relay(options, exchange, plan, ask, hops))
}

/**
 * RFC 9112 6.3: without length and coding the end of the connection is the end of the body, and undici takes a
 * reset for one, too. An error's text may be short, an image may not.
 */
function endsWithConnection({ exchange, fields, status, total }: Relay): boolean {
  if (total >= 0 || fields.transferEncoding !== '' || status >= 400) return false
  return !exchange.isHead && status !== 204 && status !== 304
}

/** Takes from the head what the record says of the body: its length, place and digest. */
function readLength(relay: Relay): void {
  const { fields, status } = relay
  const { record } = relay.exchange
  if (/^\d{1,15}$/.test(fields.contentLength)) relay.total = Number(fields.contentLength)
  if (status === 200) record.size = relay.total
  const range = status === 206 ? /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15})$/.exec(fields.contentRange) : null
  if (range) {
    record.offset = Number(range[1])
    record.size = Number(range[2])
  }
  if (record.class === 'manifest' && fields.digest !== '' && status < 300) record.digest = fields.digest
}

export function errorOf(reason: UpstreamErrorReason): LocalError {
  if (reason === 'admission') return localErrors.overloaded
  return reason.startsWith('timeout') ? localErrors.upstreamSlow : localErrors.upstreamFailed
}
