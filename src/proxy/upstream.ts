/**
 * Asks the upstream registries: admission, tokens, one retry on a stale connection, the fallback, and the count
 * of it all.
 */
import type { Dispatcher } from 'undici'
import type { Config } from '../config/types.ts'
import { type Ask, askFallback } from './ask.ts'
import type { ProxyOptions, UpstreamErrorReason } from './types.ts'
import { headerValue, isUseless, tooManyBody, tooManyHead } from './upstream-answers.ts'
import type { Obtained } from './upstream-auth.ts'
import { reasonOf } from './upstream-errors.ts'
import { createUpstreamPools, type Upstream } from './upstream-pools.ts'

type Controller = Dispatcher.DispatchController

/** Receives one answer. After `fail`, or after `call.abort()`, nothing more comes. */
export type Sink = {
  /** `raw`: header names and values in turns, valid as long as the caller keeps them. */
  head(call: UpstreamCall, status: number, raw: readonly Buffer[]): void
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

/** One request to an upstream, over as many attempts as it takes; a class, as undici calls its methods. */
export class UpstreamCall {
  /** What is asked now: of the fallback, once the first has failed. */
  ask: Ask
  readonly #shared: Shared
  #upstream: Upstream
  readonly #sink: Sink
  #controller: Controller | null = null
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
    this.#controller?.pause()
  }

  resume(): void {
    if (!this.#over) this.#controller?.resume()
  }

  /** Lets go of the request; the sink hears nothing more. */
  abort(): void {
    if (this.#over) return
    this.#finish()
    this.#controller?.abort(abandoned)
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
    this.#controller = null
    const request = {
      path: ask.path,
      method: ask.method,
      headers: authorization === '' ? ask.headers : [...ask.headers, 'authorization', authorization],
      // undici closes the connection after a HEAD unless told not to.
      reset: false,
    }
    if (ask.origin === '') pool.pool.dispatch(request, this)
    else pool.follow.dispatch({ ...request, origin: ask.origin }, this)
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller
    if (this.#over) controller.abort(abandoned)
  }

  onResponseStart(controller: Controller, status: number): void {
    // 1xx are steps on the way (RFC 9110 15.2); the final status follows.
    if (status < 200 || this.#over || controller !== this.#controller) return
    const { ask } = this
    const nowMs = performance.now()
    this.#status = status
    this.#shared.options.counters.countUpstream(ask.upstream, status, nowMs - this.#startedMs)
    this.#report(null, status, nowMs)
    const raw = controller.rawHeaders as readonly Buffer[]
    if (status < 400) return this.#sink.head(this, status, raw)
    if (status === 401 && this.#signsIn()) {
      if (!this.#challenged) return this.#obtain(raw)
      this.#upstream.auth.rejected(ask.repository)
    }
    const retryAfter = status === 429 ? headerValue(raw, 'retry-after') : null
    if (retryAfter !== null && ask.isCounted) this.#upstream.health.holdBack(retryAfter, nowMs)
    if (isUseless(status, ask)) {
      this.#controller = null
      return this.#giveUp('other', retryAfter)
    }
    this.#sink.head(this, status, raw)
  }

  /** The upstream wants to know who asks: it is asked again, once, when there is something to show. */
  #obtain(raw: readonly Buffer[]): void {
    const { ask } = this
    this.#challenged = true
    // What is left of this answer is read and dropped, so that its connection can be used again.
    this.#controller = null
    const refused = { challenge: headerValue(raw, 'www-authenticate'), authorization: this.#authorization }
    void this.#upstream.auth.obtain(ask.repository, refused).then((obtained) => {
      if (obtained.kind === 'ready') this.#dispatch()
      else this.#refuse(obtained, raw)
    })
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (!this.#over && controller === this.#controller) this.#sink.data(this, chunk)
  }

  onResponseEnd(controller: Controller): void {
    if (this.#over || controller !== this.#controller) return
    this.#finish()
    this.#sink.end(this)
  }

  onResponseError(controller: Controller | null, error: Error): void {
    // A request that never started has no controller, neither here nor in undici.
    if (this.#over || (controller ?? null) !== this.#controller) return
    const reason = reasonOf(error)
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
      this.#controller = null
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
    this.#controller = null
    this.#sink.head(this, 429, tooManyHead(first.retryAfter))
    if (!this.#over) this.#sink.data(this, tooManyBody)
    if (this.#over) return
    this.#finish()
    this.#sink.end(this)
  }

  /** The front has nothing to show: the 401 stands, unless it is the token service that has failed. */
  #refuse(obtained: Obtained, raw: readonly Buffer[]): void {
    if (this.#over) return
    const { ask } = this
    this.#shared.options.counters.countUpstreamError(ask.upstream, 'auth')
    if (obtained.kind === 'limited') return this.#giveUp('auth', obtained.retryAfter)
    if (obtained.kind === 'failed' || ask.isFallback) return this.#giveUp('auth')
    this.#sink.head(this, 401, raw)
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

const abandoned = new Error('abandoned')
