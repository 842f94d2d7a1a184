/**
 * The upstream registries: a pool of connections for each, admission, tokens, one retry on a stale
 * connection, and the count of it all.
 */
import { Agent, type Dispatcher, Pool } from 'undici'
import type { Config } from '../config/types.ts'
import type { HeaderList } from './headers.ts'
import { lookupPublic } from './public-host.ts'
import type { ProxyOptions, UpstreamErrorReason } from './types.ts'
import { createUpstreamAuth, parseChallenge, type UpstreamAuth } from './upstream-auth.ts'

type Controller = Dispatcher.DispatchController

/** Receives one answer. After `fail`, or after `call.abort()`, nothing more comes. */
export type Sink = {
  /** `raw`: header names and values in turns, valid as long as the caller keeps them. */
  head(call: UpstreamCall, status: number, raw: readonly Buffer[]): void
  data(call: UpstreamCall, chunk: Buffer): void
  end(call: UpstreamCall): void
  fail(call: UpstreamCall, reason: UpstreamErrorReason): void
}

export type Ask = {
  /** Index into `Config.upstreams`. */
  upstream: number
  /** Name there: what tokens are for. */
  repository: string
  method: 'GET' | 'HEAD'
  /** Origin-form target, already in the upstream's names. */
  path: string
  headers: HeaderList
  /** Another origin than the upstream's (a redirect followed inside): no token goes there. */
  origin?: string
}

export type Upstreams = {
  /** Asks; the sink hears of everything, failures at once included. */
  ask(ask: Ask, sink: Sink): UpstreamCall
  /** After `Config.upstreams` has grown: which of them are used. Others keep their connections while they are asked. */
  use(active: readonly number[]): void
  close(): Promise<void>
}

type Upstream = {
  pool: Pool
  encrypted: boolean
  auth: UpstreamAuth
  inFlight: number
  reportedMs: number
  failing: boolean
  /** No route leads there any more: closed with its last request. */
  retired: boolean
  closed: boolean
}

type Shared = {
  upstreams: Upstream[]
  /** For redirects followed inside: anywhere, or to public addresses only. */
  followAnywhere: Agent
  followPublic: Agent
  limitEach: number
  options: UpstreamOptions
}

const connectTimeoutMs = 10_000
// Silence in the middle of a body; a registry that streams a layer is never silent so long.
const bodyTimeoutMs = 60_000
// Registries and load balancers keep idle connections for a minute or more; the stale one is retried.
const keepAliveTimeoutMs = 30_000
const reportEveryMs = 1000

export type UpstreamOptions = Pick<ProxyOptions, 'counters' | 'reportUpstream' | 'threads'> & {
  config: Pick<Config, 'upstreams' | 'limits' | 'redirectHosts'>
}

export function createUpstreams(options: UpstreamOptions): Upstreams {
  const { config } = options
  const { firstByteTimeoutMs } = config.limits
  const poolOptions = {
    allowH2: false,
    pipelining: 1,
    headersTimeout: firstByteTimeoutMs,
    bodyTimeout: bodyTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    keepAliveMaxTimeout: 10 * keepAliveTimeoutMs,
    maxHeaderSize: 32 * 1024,
  }
  const connect = { timeout: Math.min(connectTimeoutMs, firstByteTimeoutMs) }
  const open = ({ origin }: Config['upstreams'][number]): Upstream => ({
    pool: new Pool(origin, { ...poolOptions, connect }),
    encrypted: origin.startsWith('https:'),
    auth: createUpstreamAuth({ origin, timeoutMs: Math.min(15_000, firstByteTimeoutMs), now: Date.now }),
    inFlight: 0,
    reportedMs: 0,
    failing: false,
    retired: false,
    closed: false,
  })
  const shared: Shared = {
    upstreams: config.upstreams.map(open),
    followAnywhere: new Agent({ ...poolOptions, connect }),
    followPublic: new Agent({ ...poolOptions, connect: { ...connect, lookup: lookupPublic } }),
    limitEach: Math.max(1, Math.floor(config.limits.upstreamRequests / options.threads)),
    options,
  }
  return {
    ask(ask, sink) {
      const upstream = shared.upstreams[ask.upstream]
      // Asked by one who chose it before it went.
      if (upstream?.closed) {
        const fresh = open(config.upstreams[ask.upstream] as Config['upstreams'][number])
        shared.upstreams[ask.upstream] = { ...fresh, retired: upstream.retired }
      }
      const call = new UpstreamCall(shared, ask, sink)
      call.start()
      return call
    },
    use(active) {
      const used = new Set(active)
      for (const [index, upstream] of config.upstreams.entries()) {
        const known = shared.upstreams[index] ?? open(upstream)
        shared.upstreams[index] = known
        known.retired = !used.has(index)
        closeIfIdle(known)
      }
    },
    async close() {
      await Promise.all([
        shared.followAnywhere.destroy(),
        shared.followPublic.destroy(),
        ...shared.upstreams.flatMap(({ pool, auth }) => [pool.destroy(), auth.close()]),
      ])
    },
  }
}

function closeIfIdle(upstream: Upstream): void {
  if (!upstream.retired || upstream.closed || upstream.inFlight > 0) return
  upstream.closed = true
  upstream.pool.destroy().catch(() => undefined)
  upstream.auth.close().catch(() => undefined)
}

/** One request to an upstream, over as many attempts as it takes; a class, as undici calls its methods. */
export class UpstreamCall {
  readonly ask: Ask
  readonly #shared: Shared
  readonly #upstream: Upstream
  readonly #sink: Sink
  #controller: Controller | null = null
  #startedMs = 0
  #status = 0
  #challenged = false
  #retried = false
  #over = false
  #admitted = false

  constructor(shared: Shared, ask: Ask, sink: Sink) {
    this.ask = ask
    this.#shared = shared
    this.#upstream = shared.upstreams[ask.upstream] as Upstream
    this.#sink = sink
  }

  start(): void {
    const upstream = this.#upstream
    if (upstream.inFlight >= this.#shared.limitEach) {
      this.#over = true
      this.#shared.options.counters.countUpstreamError(this.ask.upstream, 'admission')
      this.#sink.fail(this, 'admission')
      return
    }
    upstream.inFlight++
    this.#admitted = true
    if (this.ask.origin === undefined && upstream.auth.wants(this.ask.repository, Date.now())) {
      void upstream.auth.obtain(this.ask.repository, null).then(() => this.#dispatch())
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

  #dispatch(): void {
    if (this.#over) return
    const { ask } = this
    const authorization =
      ask.origin === undefined ? this.#upstream.auth.authorization(ask.repository, Date.now()) : ''
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
    if (ask.origin === undefined) this.#upstream.pool.dispatch(request, this)
    else this.#followAgent().dispatch({ ...request, origin: ask.origin }, this)
  }

  /**
   * A host that an upstream names must be public, unless the operator listed it, or the upstream itself is one
   * without TLS, which stands in a private network.
   */
  #followAgent(): Agent {
    const { followAnywhere, followPublic, options } = this.#shared
    const listed = options.config.redirectHosts.length > 0
    return listed || !this.#upstream.encrypted ? followAnywhere : followPublic
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller
    if (this.#over) controller.abort(abandoned)
  }

  onResponseStart(controller: Controller, status: number): void {
    // 1xx are steps on the way (RFC 9110 15.2); the final status follows.
    if (status < 200 || this.#over || controller !== this.#controller) return
    this.#status = status
    this.#shared.options.counters.countUpstream(
      this.ask.upstream,
      status,
      performance.now() - this.#startedMs,
    )
    this.#report(null)
    const raw = controller.rawHeaders as readonly Buffer[]
    const challenge =
      status === 401 && !this.#challenged && this.ask.origin === undefined
        ? parseChallenge(headerValue(raw, 'www-authenticate'))
        : null
    if (!challenge) return this.#sink.head(this, status, raw)
    this.#challenged = true
    // What is left of this answer is read and dropped, so that its connection can be used again.
    this.#controller = null
    void this.#upstream.auth.obtain(this.ask.repository, challenge).then((fetched) => {
      if (fetched) this.#dispatch()
      else this.#refuse(raw)
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
    this.#report(reason)
    this.#finish()
    this.#sink.fail(this, reason)
  }

  /** The realm gave no token: the 401 stands. */
  #refuse(raw: readonly Buffer[]): void {
    if (this.#over) return
    this.#shared.options.counters.countUpstreamError(this.ask.upstream, 'auth')
    this.#sink.head(this, 401, raw)
    if (this.#over) return
    this.#finish()
    this.#sink.end(this)
  }

  #finish(): void {
    this.#over = true
    if (this.#admitted) {
      this.#upstream.inFlight--
      // Not in undici's own turn, which still holds the connection.
      if (this.#upstream.retired) setImmediate(closeIfIdle, this.#upstream)
    }
    this.#admitted = false
  }

  #report(failure: UpstreamErrorReason | null): void {
    if (this.ask.origin !== undefined) return
    const upstream = this.#upstream
    const failing = failure !== null
    const nowMs = performance.now()
    if (failing === upstream.failing && nowMs - upstream.reportedMs < reportEveryMs) return
    upstream.failing = failing
    upstream.reportedMs = nowMs
    this.#shared.options.reportUpstream(this.ask.upstream, failure)
  }
}

const abandoned = new Error('abandoned')

/** First value of a header in undici's raw list; '' without one. `name` in lower case. */
export function headerValue(raw: readonly Buffer[], name: string): string {
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const key = raw[index] as Buffer
    if (key.length === name.length && key.toString('latin1').toLowerCase() === name) {
      return (raw[index + 1] as Buffer).toString('latin1')
    }
  }
  return ''
}

const reasonByCode: Record<string, UpstreamErrorReason> = {
  UND_ERR_CONNECT_TIMEOUT: 'timeout_connect',
  ETIMEDOUT: 'timeout_connect',
  UND_ERR_HEADERS_TIMEOUT: 'timeout_first_byte',
  UND_ERR_BODY_TIMEOUT: 'timeout_body',
  UND_ERR_SOCKET: 'reset',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  ECONNREFUSED: 'connect',
  ENOTFOUND: 'connect',
  EAI_AGAIN: 'connect',
  EHOSTUNREACH: 'connect',
  ENETUNREACH: 'connect',
  EPRIVATE: 'connect',
  UND_ERR_HEADERS_OVERFLOW: 'protocol',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'protocol',
}

function reasonOf(error: Error): UpstreamErrorReason {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  const known = reasonByCode[code]
  if (known) return known
  if (code.startsWith('HPE_')) return 'protocol'
  if (code.startsWith('CERT_') || code.startsWith('ERR_TLS_') || /CERT|SELF_SIGNED|UNABLE_TO/.test(code)) {
    return 'connect'
  }
  return 'other'
}
