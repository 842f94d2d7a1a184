/**
 * Asks the upstream registries: admission, tokens, one retry on a stale connection, the fallback, and the count
 * of it all.
 */
import type { Config } from '../config/types.ts'
import type { AnswerHead } from './answer-head.ts'
import { type Ask, askFallback } from './ask.ts'
import type { ProxyOptions, UpstreamErrorReason } from './types.ts'
import { isUseless, tooManyBody, tooManyHead } from './upstream-answers.ts'
import type { Obtained } from './upstream-auth.ts'
import type { AnswerHandler, UpstreamConnection } from './upstream-connection.ts'
import { createUpstreamPools, type Upstream } from './upstream-pools.ts'

/** Receives one answer. After `fail`, or after `call.abort()`, nothing more comes. */
export type Sink = {
  /** `head` is valid during the call, its `fields` for as long as one likes. */
  head(call: UpstreamCall, head: AnswerHead): void
  /** `chunk` is valid during the call: whoever needs it later copies it. */
  data(call: UpstreamCall, chunk: Buffer): void
  end(call: UpstreamCall): void
  fail(call: UpstreamCall, reason: UpstreamErrorReason): void
}

export type Upstreams = {
  /** Asks; the sink hears of everything, failures at once included. */
  ask(ask: Ask, sink: Sink): UpstreamCall
  /** After `Config.upstreams` has grown, or `Config.redirectHosts` changed. */
  update(): void
  close(): Promise<void>
}

type Shared = {
  upstreams: readonly Upstream[]
  limitEach: number
  options: UpstreamOptions
}

/** Why an upstream is of no use now; of a 429 what it said of when to come back. */
type Failure = { reason: UpstreamErrorReason; retryAfter: string | null }

const reportEveryMs = 1000

export type UpstreamOptions = Pick<ProxyOptions, 'counters' | 'reportUpstream' | 'threads' | 'log'> & {
  config: Pick<Config, 'upstreams' | 'limits' | 'redirectHosts'>
}

export function createUpstreams(options: UpstreamOptions): Upstreams {
  const { config } = options
  const pools = createUpstreamPools(config, (index, reason) => {
    options.log.warn({ upstream: config.upstreams[index]?.host, reason }, 'no token from the registry')
  })
  const shared: Shared = {
    upstreams: pools.list,
    limitEach: Math.max(1, Math.floor(config.limits.upstreamRequests / options.threads)),
    options,
  }
  return {
    ask(ask, sink) {
      const call = new UpstreamCall(shared, ask, sink)
      call.start()
      return call
    },
    update: pools.update,
    close: pools.close,
  }
}

/** One request to an upstream, over as many attempts as it takes; a class for its shape. */
export class UpstreamCall implements AnswerHandler {
  /** What is asked now: of the fallback, once the first has failed. */
  ask: Ask
  readonly #shared: Shared
  #upstream: Upstream
  readonly #sink: Sink
  /** Of the attempt that is heard now. */
  #connection: UpstreamConnection | null = null
  #startedMs = 0
  #status = 0
  #authorization = ''
  #challenged = false
  #retried = false
  #over = false
  #admitted = false
  #firstFailure: Failure | null = null

  constructor(shared: Shared, ask: Ask, sink: Sink) {
    this.ask = ask
    this.#shared = shared
    this.#upstream = shared.upstreams[ask.upstream] as Upstream
    this.#sink = sink
  }

  start(): void {
    const { ask } = this
    const { shared: pool, auth, health } = this.#upstream
    if (ask.isCounted) {
      const waitMs = health.heldBackMs(performance.now())
      if (waitMs > 0) return this.#giveUp('other', String(Math.ceil(waitMs / 1000)))
    }
    const own = ask.origin === ''
    if (ask.fallback && own && !health.tryPass(performance.now())) {
      return this.#giveUp(health.lastReason())
    }
    const { limitEach, options } = this.#shared
    if (pool.inFlight >= (ask.isSpare ? limitEach / 2 : limitEach)) {
      if (!ask.isSpare) options.counters.countUpstreamError(ask.upstream, 'admission')
      return this.#giveUp('admission')
    }
    this.#admitted = !ask.isSpare
    if (this.#admitted) pool.inFlight++
    if (this.#signsIn() && auth.wants(ask.repository, Date.now())) {
      void auth.obtain(ask.repository, null).then(() => this.#dispatch())
    } else {
      this.#dispatch()
    }
  }

  /** Stop reading until `resume`. */
  pause(): void {
    this.#connection?.pause()
  }

  resume(): void {
    if (!this.#over) this.#connection?.resume()
  }

  /** Lets go of the request; the sink hears nothing more. */
  abort(): void {
    if (this.#over) return
    this.#drop()
    this.#finish()
  }

  /** Whether it is the front that shows who it is; never to another host. */
  #signsIn(): boolean {
    return this.ask.origin === '' && this.ask.authorization === null
  }

  #dispatch(): void {
    if (this.#over) return
    const { ask } = this
    const { shared: pool, auth } = this.#upstream
    const own = this.#signsIn() ? auth.authorization(ask.repository, Date.now()) : ''
    const authorization = (ask.origin === '' && ask.authorization) || own
    this.#authorization = authorization
    this.#startedMs = performance.now()
    this.#status = 0
    const origin = ask.origin === '' ? pool.own : pool.follow.origin(ask.origin)
    // A stale connection is seldom the only one.
    this.#connection = origin.ask({ ...ask, authorization }, this, this.#retried)
    if (this.#connection === null) this.onFail('other')
  }

  onHead(head: AnswerHead): void {
    const { ask } = this
    const { status, fields } = head
    const nowMs = performance.now()
    this.#status = status
    this.#shared.options.counters.countUpstream(ask.upstream, status, nowMs - this.#startedMs)
    this.#report(null, status, nowMs)
    if (status < 400) return this.#sink.head(this, head)
    if (status === 401 && this.#signsIn()) {
      if (!this.#challenged) return this.#obtain(head)
      this.#upstream.auth.rejected(ask.repository)
    }
    const retryAfter = status === 429 ? fields.retryAfter : null
    if (retryAfter !== null && ask.isCounted) this.#upstream.health.holdBack(retryAfter, nowMs)
    if (isUseless(status, ask)) {
      this.#drop()
      return this.#giveUp('other', retryAfter)
    }
    this.#sink.head(this, head)
  }

  /** The upstream wants to know who asks: it is asked again, once, when there is something to show. */
  #obtain(head: AnswerHead): void {
    const { ask } = this
    this.#challenged = true
    this.#drop()
    const kept = head.copy()
    const refused = { challenge: head.fields.challenge, authorization: this.#authorization }
    void this.#upstream.auth.obtain(ask.repository, refused).then((obtained) => {
      if (obtained.kind === 'ready') this.#dispatch()
      else this.#refuse(obtained, kept)
    })
  }

  /** What is left of the answer is not heard. */
  #drop(): void {
    this.#connection?.drop()
    this.#connection = null
  }

  onData(chunk: Buffer): void {
    this.#sink.data(this, chunk)
  }

  onEnd(): void {
    this.#connection = null
    this.#finish()
    this.#sink.end(this)
  }

  onFail(reason: UpstreamErrorReason): void {
    this.#connection = null
    if (reason === 'reset' && this.#status === 0 && !this.#retried) {
      // A kept connection may be closed just as the request is sent; GET and HEAD may be sent again
      // (RFC 9110 9.2.2), once, and only while the client has seen nothing.
      this.#retried = true
      this.#dispatch()
      return
    }
    this.#shared.options.counters.countUpstreamError(this.ask.upstream, reason)
    this.#report(reason, 0, performance.now())
    if (this.#status === 0) return this.#giveUp(reason)
    this.#finish()
    this.#sink.fail(this, reason)
  }

  /** Nothing of an answer was handed on: the fallback is asked, or the sink hears how the first one failed. */
  #giveUp(reason: UpstreamErrorReason, retryAfter: string | null = null): void {
    this.#release()
    this.#firstFailure ??= { reason, retryAfter }
    const { fallback } = this.ask
    if (fallback) {
      this.ask = askFallback(this.ask, fallback)
      this.#upstream = this.#shared.upstreams[fallback.upstream] as Upstream
      this.#challenged = false
      this.#retried = false
      this.start()
      return
    }
    const first = this.#firstFailure
    if (first.retryAfter === null) {
      this.#over = true
      this.#sink.fail(this, first.reason)
      return
    }
    this.#sink.head(this, tooManyHead(first.retryAfter))
    if (!this.#over) this.#sink.data(this, tooManyBody)
    if (this.#over) return
    this.#finish()
    this.#sink.end(this)
  }

  /** The front has nothing to show: the 401 stands, unless it is the token service that has failed. */
  #refuse(obtained: Obtained, head: AnswerHead): void {
    if (this.#over) return
    const { ask } = this
    this.#shared.options.counters.countUpstreamError(ask.upstream, 'auth')
    if (obtained.kind === 'limited') return this.#giveUp('auth', obtained.retryAfter)
    if (obtained.kind === 'failed' || ask.isFallback) return this.#giveUp('auth')
    this.#sink.head(this, head)
    if (this.#over) return
    this.#finish()
    this.#sink.end(this)
  }

  #finish(): void {
    this.#over = true
    this.#release()
  }

  #release(): void {
    if (this.#admitted) this.#upstream.shared.inFlight--
    this.#admitted = false
  }

  #report(failure: UpstreamErrorReason | null, status: number, nowMs: number): void {
    if (this.ask.origin !== '') return
    const upstream = this.#upstream
    const { health } = upstream
    if (failure !== null) health.failed(failure, nowMs)
    else if (status >= 500) health.failed('other', nowMs)
    else health.succeeded()
    const failing = failure !== null
    if (failing === upstream.failing && nowMs - upstream.reportedMs < reportEveryMs) return
    upstream.failing = failing
    upstream.reportedMs = nowMs
    this.#shared.options.reportUpstream(this.ask.upstream, failure)
  }
}
