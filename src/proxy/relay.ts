/**
 * Hands an upstream's answer on as it comes, in the way that its class asks for.
 */
import type { Outcome } from '../record/record.ts'
import { Answer, type AnswerOptions } from './answer.ts'
import { type AnswerFields, type AnswerHead, emptyFields } from './answer-head.ts'
import { type Ask, recordSource } from './ask.ts'
import { refuseAccess } from './auth.ts'
import { type BodyCheck, createBodyCheck } from './body-check.ts'
import { type LocalError, localErrors } from './errors.ts'
import type { Exchange, Sender } from './exchange.ts'
import { sendError } from './respond.ts'
import type { ProxyCounters, UpstreamErrorReason } from './types.ts'
import type { Sink, UpstreamCall, Upstreams } from './upstream.ts'

/** What a class of requests does differently with an answer; one object for each class, without state. */
export type RelayPlan = {
  /**
   * Called with the head before anything is sent. 'relay': send the answer on; 'check': send it on, but its end
   * only if the body is that of the digest asked for; 'hold': collect its body and ask `finish`; 'taken': the plan
   * has answered, or asked the upstream again, itself.
   */
  head(relay: Relay): 'relay' | 'check' | 'hold' | 'taken'
  /** What to send instead of the held body; the body itself is fine. */
  finish?(relay: Relay, body: Buffer): Buffer
}

export type RelayOptions = AnswerOptions & {
  /** Largest body that a plan may hold. */
  holdBytes: number
  counters: Pick<ProxyCounters, 'countUpstreamError'>
}

/** Before there is an answer. */
const noFields = emptyFields()
// RFC 9110 15: no class of statuses lies above.
export const maxStatus = 599

/** A class for its shape: called for every chunk of every relayed answer. */
export class Relay implements Sink, Sender {
  readonly exchange: Exchange
  fields: AnswerFields = noFields
  status = 0
  outcome: Outcome = 'relay'
  /** Body bytes of the answer; -1: not known, sent as chunks. */
  total = -1
  /** What was asked of whoever answered, and how many redirects led here. */
  ask: Ask
  readonly hops: number
  readonly #options: RelayOptions
  readonly #plan: RelayPlan
  readonly #answer: Answer
  #call: UpstreamCall | null = null
  #block: Buffer | null = null
  #mode: 'wait' | 'relay' | 'check' | 'hold' | 'taken' = 'wait'
  #check: BodyCheck | null = null
  #held: Buffer[] = []
  #heldBytes = 0

  constructor(options: RelayOptions, exchange: Exchange, plan: RelayPlan, ask: Ask, hops: number) {
    this.#options = options
    this.ask = ask
    this.hops = hops
    this.exchange = exchange
    this.#plan = plan
    this.#answer = new Answer(options, exchange)
    exchange.sender = this
  }

  head(call: UpstreamCall, head: AnswerHead): void {
    if (this.exchange.over) return call.abort()
    const { status } = head
    this.#call = call
    this.ask = call.ask
    this.status = status
    this.fields = head.fields
    recordSource(this.exchange, call.ask)
    const { record } = this.exchange
    record.upstreamStatus = status
    const block = status <= maxStatus ? head.block() : null
    if (!block) return this.refuse(localErrors.upstreamFailed, 'relay')
    // A challenge of the upstream is never the client's to answer: what is not public does not exist here.
    if (status === 401 || status === 403) return this.#refuseAccess(status)
    this.#block = Buffer.from(block)
    readLength(this)
    this.#mode = this.#plan.head(this)
    const isUnsure = this.#mode !== 'taken' && endsWithConnection(this)
    // A blob can be told whole from broken by its own digest, and nothing else can.
    if (isUnsure && record.class === 'blob' && status === 200) this.#mode = 'check'
    if (this.#mode === 'check') this.#check = createBodyCheck(record.reference)
    if (isUnsure && !this.#check) return this.refuse(localErrors.upstreamFailed, 'relay')
    if (this.#mode === 'relay' || this.#mode === 'check') this.#begin()
  }

  data(call: UpstreamCall, chunk: Buffer): void {
    if (this.exchange.over) return call.abort()
    if (this.#mode === 'relay') return this.#answer.write(chunk)
    if (this.#mode === 'check') {
      const ready = this.#check ? this.#check.add(chunk) : chunk
      if (ready) this.#answer.write(ready)
      return
    }
    if (this.#mode !== 'hold') return
    this.#heldBytes += chunk.length
    if (this.#heldBytes > this.#options.holdBytes) return this.refuse(localErrors.upstreamFailed, 'relay')
    this.#held.push(Buffer.from(chunk))
  }

  end(): void {
    if (this.exchange.over) return
    if (this.#mode === 'relay') return this.#answer.end()
    if (this.#mode === 'check') return this.#endChecked()
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

  fail(_call: UpstreamCall | null, reason: UpstreamErrorReason): void {
    if (this.exchange.over) return
    if (this.#answer.headWritten) this.#answer.cut()
    else this.refuse(errorOf(reason), 'relay')
  }

  #endChecked(): void {
    const last = this.#check ? this.#check.end() : null
    if (last === false) {
      this.#options.counters.countUpstreamError(this.ask.upstream, 'digest_mismatch')
      return this.fail(null, 'digest_mismatch')
    }
    if (last) this.#answer.write(last)
    this.#answer.end()
  }

  /** Answers with an error of the front's own, and lets go of the upstream. */
  refuse(error: LocalError, outcome: Outcome = 'reject'): void {
    this.takeOver()
    if (!this.exchange.over) sendError(this.#options.exchanges, this.exchange, error, outcome)
  }

  #refuseAccess(status: 401 | 403): void {
    const asked = this.exchange.authorization !== null && this.ask.origin === ''
    if (!asked) return this.refuse(localErrors.nameUnknown)
    this.takeOver()
    if (!this.exchange.over)
      refuseAccess(this.#options.exchanges, this.exchange, status, this.fields.challenge)
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
 * RFC 9112 6.3: without length and coding the end of the connection is the end of the body, be it that of a part of
 * it. An error's text may be short, an image may not.
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
