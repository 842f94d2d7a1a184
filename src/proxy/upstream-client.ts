/**
 * Asks upstreams over kept connections, HTTP/1.1, one request at a time on each.
 */
import { connect, isIP } from 'node:net'
import {
  type ConnectionOptions,
  connect as connectTls,
  createSecureContext,
  type SecureContext,
} from 'node:tls'
import type { lookupPublic } from './public-host.ts'
import {
  type AnswerHandler,
  type ConnectionLimits,
  type OpenSocket,
  UpstreamConnection,
} from './upstream-connection.ts'

/** Without method GET there is HEAD; neither has a body. */
export type UpstreamRequest = {
  method: 'GET' | 'HEAD'
  /** Origin-form target. */
  path: string
  /** Names in lower case and values in turns, Latin-1; not Host and Connection. */
  headers: readonly string[]
  /** '' without one. */
  authorization: string
}

/** The connections to one origin. */
export type OriginConnections = {
  /**
   * Asks on an idle connection, or a new one; `isFresh`: a new one in any case.
   * @returns null: the request cannot be written as HTTP.
   */
  ask(request: UpstreamRequest, handler: AnswerHandler, isFresh: boolean): UpstreamConnection | null
}

export type UpstreamClient = {
  origin(origin: string): OriginConnections
  close(): void
}

export type UpstreamClientOptions = ConnectionLimits & {
  /** Authorities in place of the system's. */
  ca?: string | string[]
  lookup?: typeof lookupPublic
}

const longestSweepMs = 1000
// Dead peers behind a firewall that drops silently.
const probeAfterMs = 60_000

export function createUpstreamClient(options: UpstreamClientOptions): UpstreamClient {
  const { ca, lookup } = options
  // Authorities are read once: there are more than a hundred of them.
  let secureContext: SecureContext | undefined
  const trust = (): SecureContext => {
    secureContext ??= createSecureContext(ca === undefined ? {} : { ca })
    return secureContext
  }
  const origins = new Map<string, Origin>()
  const connections = new Set<UpstreamConnection>()

  const sweep = (): void => {
    const nowMs = performance.now()
    for (const connection of connections) connection.sweep(nowMs)
    // Storage has many names over the years; a registry's own is soon back.
    for (const [name, origin] of origins) if (origin.open === 0) origins.delete(name)
  }
  const shortestMs = Math.min(options.connectTimeoutMs, options.headTimeoutMs, options.bodyTimeoutMs)
  const timer = setInterval(sweep, Math.max(10, Math.min(longestSweepMs, shortestMs / 4)))
  timer.unref()

  return {
    origin(name) {
      let origin = origins.get(name)
      if (!origin) {
        origin = new Origin(name, options, connections, openerOf(name, trust, lookup))
        origins.set(name, origin)
      }
      return origin
    },
    close() {
      clearInterval(timer)
      for (const connection of connections) connection.fail('other')
    },
  }
}

class Origin implements OriginConnections {
  open = 0
  readonly #host: string
  readonly #isTls: boolean
  readonly #limits: ConnectionLimits
  readonly #socket: OpenSocket
  readonly #all: Set<UpstreamConnection>
  /** The one used last is asked first, so that those too many grow old. */
  readonly #idle: UpstreamConnection[] = []

  constructor(name: string, limits: ConnectionLimits, all: Set<UpstreamConnection>, socket: OpenSocket) {
    const url = new URL(name)
    this.#host = url.host
    this.#isTls = url.protocol === 'https:'
    this.#limits = limits
    this.#all = all
    this.#socket = socket
  }

  ask(request: UpstreamRequest, handler: AnswerHandler, isFresh: boolean): UpstreamConnection | null {
    const text = requestText(this.#host, request)
    if (text === null) return null
    const connection = (isFresh ? undefined : this.#idle.pop()) ?? this.#open()
    connection.ask(text, request.method === 'HEAD', handler)
    return connection
  }

  freed(connection: UpstreamConnection): void {
    this.#idle.push(connection)
  }

  closed(connection: UpstreamConnection): void {
    if (!this.#all.delete(connection)) return
    this.open--
    const at = this.#idle.lastIndexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
  }

  #open(): UpstreamConnection {
    const connection = new UpstreamConnection(this, this.#limits, this.#socket, this.#isTls)
    this.#all.add(connection)
    this.open++
    return connection
  }
}

/** What opens sockets to an origin. */
function openerOf(
  name: string,
  trust: () => SecureContext,
  lookup: typeof lookupPublic | undefined,
): OpenSocket {
  const { hostname, port, protocol } = new URL(name)
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  const common = { host, ...(lookup && { lookup }), keepAlive: true, keepAliveInitialDelay: probeAfterMs }
  if (protocol !== 'https:') {
    return (buffer, callback) =>
      connect({ ...common, port: Number(port || 80), onread: { buffer, callback } })
  }
  let session: Buffer | undefined
  return (buffer, callback) => {
    const options: ConnectionOptions & { onread: object } = {
      ...common,
      port: Number(port || 443),
      onread: { buffer, callback },
      // RFC 6066 3: an address is no server name.
      ...(isIP(host) === 0 && { servername: host }),
      ALPNProtocols: ['http/1.1'],
      secureContext: trust(),
      ...(session && { session }),
    }
    const socket = connectTls(options)
    socket.on('session', (latest) => {
      session = latest
    })
    return socket
  }
}

const tokenPattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
// RFC 9110 5.5.
const valuePattern = /^[\t\x20-\x7e\x80-\xff]*$/
// RFC 9112 3.2.1: no blank, nothing that ends a line.
const targetPattern = /^\/[\x21-\x7e]*$/

/** null: something of it would be read as another line, or not as what it is. */
export function requestText(host: string, request: UpstreamRequest): string | null {
  const { method, path, headers, authorization } = request
  if (!targetPattern.test(path) || !valuePattern.test(authorization)) return null
  let text = `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n`
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index] as string
    const value = headers[index + 1] as string
    if (!tokenPattern.test(name) || !valuePattern.test(value)) return null
    text += `${name}: ${value}\r\n`
  }
  return authorization === '' ? `${text}\r\n` : `${text}authorization: ${authorization}\r\n\r\n`
}
