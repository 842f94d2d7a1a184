/** An upstream that misbehaves exactly as a test scripts it, path by path. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import { freePort } from './processes.ts'

export type Answer = {
  /** 200 */
  status?: number
  /** Content-Length is that of the body, unless given here; null leaves it out (chunked). */
  headers?: Record<string, string | string[] | null>
  body?: string | Uint8Array
  /** Nothing is sent before this. */
  headAfter?: Promise<unknown>
  /** After the head and `bytesFirst` (0) body bytes nothing is sent before this. */
  bodyAfter?: Promise<unknown>
  bytesFirst?: number
  /** The connection ends after so many body bytes (-1: before the head): in order, or by a TCP reset. */
  breakAt?: { bytes: number; how: 'close' | 'reset' }
  /** Sent instead of all else, byte for byte; then the connection closes. */
  raw?: string | Uint8Array
  /** The same, and the connection stays. */
  rawKept?: string | Uint8Array
}

export type Seen = {
  method: string
  /** Path and query as they came. */
  url: string
  headers: IncomingMessage['headers']
  rawHeaders: string[]
  /** Number of the connection, from 0: tells reuse from new. */
  connection: number
  /** The other side left before the answer was whole. */
  aborted: boolean
}

export type FaultUpstream = {
  url: string
  host: string
  /** All requests so far, in order of arrival. */
  seen: Seen[]
  /** For a path (without query): one answer, a list of which the last stays, or one made from the request. */
  answer(path: string, answer: Answer | Answer[] | ((request: Seen) => Answer)): void
  /** Open connections now. */
  connections(): number
  /** Ends all open connections by TCP reset; it goes on listening. */
  resetAll(): void
  stop(): Promise<void>
}

/** A promise for `headAfter` and `bodyAfter` that the test releases. */
export function createGate(): { opened: Promise<void>; release(): void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, release: resolve }
}

async function write(response: ServerResponse, bytes: Uint8Array): Promise<void> {
  if (bytes.length === 0 || response.destroyed) return
  if (response.write(bytes)) return
  const left = new AbortController()
  response.once('close', () => left.abort())
  await once(response, 'drain', { signal: left.signal }).catch(() => undefined)
}

/** The bytes that were written are out before the connection ends. */
function end(response: ServerResponse, socket: Socket, how: 'close' | 'reset'): void {
  if (how === 'close') socket.end()
  else if (socket.writableLength === 0) socket.resetAndDestroy()
  else response.write('', () => socket.resetAndDestroy())
}

async function send(request: IncomingMessage, response: ServerResponse, answer: Answer): Promise<void> {
  const { socket } = request
  await answer.headAfter
  if (answer.rawKept !== undefined) {
    socket.write(answer.rawKept)
    return
  }
  if (answer.raw !== undefined) {
    socket.end(answer.raw)
    return
  }
  if (answer.breakAt && answer.breakAt.bytes < 0) return end(response, socket, answer.breakAt.how)
  // Not a copy: bodies are large, and many answers may wait at once.
  const body = typeof answer.body === 'object' ? answer.body : Buffer.from(answer.body ?? '')
  const status = answer.status ?? 200
  const withLength = status >= 200 && status !== 204 && status !== 304
  const headers = { ...(withLength && { 'Content-Length': String(body.length) }), ...answer.headers }
  // In the test's own letter case; the last of the same name counts.
  const byName = new Map(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), { name, value }]),
  )
  for (const { name, value } of byName.values()) if (value !== null) response.setHeader(name, value)
  response.writeHead(status)
  response.flushHeaders()
  if (request.method === 'HEAD' && !answer.breakAt) {
    response.end()
    return
  }
  const stop = Math.min(answer.breakAt?.bytes ?? body.length, body.length)
  const first = Math.min(answer.bytesFirst ?? 0, stop)
  await write(response, body.subarray(0, first))
  await answer.bodyAfter
  await write(response, body.subarray(first, stop))
  if (answer.breakAt) end(response, socket, answer.breakAt.how)
  // A body shorter than the Content-Length that was claimed: the connection can only close.
  else if (Number(response.getHeader('content-length') ?? body.length) > body.length) socket.end()
  else response.end()
}

export async function startFaultUpstream(
  options: { tls?: { cert: string; key: string } } = {},
): Promise<FaultUpstream> {
  const answers = new Map<string, Answer[] | ((request: Seen) => Answer)>()
  const seen: Seen[] = []
  const sockets = new Set<Socket>()
  const numbers = new WeakMap<Socket, number>()
  let connectionCount = 0

  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const { method = '', url = '', headers, rawHeaders, socket } = request
    const entry: Seen = {
      method,
      url,
      headers,
      rawHeaders,
      connection: numbers.get(socket) ?? -1,
      aborted: false,
    }
    seen.push(entry)
    request.resume()
    response.on('error', () => undefined)
    response.on('close', () => {
      entry.aborted = !response.writableFinished
    })
    const script = answers.get(url.split('?', 1)[0] ?? '')
    const next = typeof script === 'function' ? script(entry) : script?.[0]
    if (Array.isArray(script) && script.length > 1) script.shift()
    send(request, response, next ?? { status: 404 }).catch(() => socket.destroy())
  }
  const server = options.tls
    ? createTlsServer({ cert: readFileSync(options.tls.cert), key: readFileSync(options.tls.key) }, listener)
    : createServer(listener)
  server.on(options.tls ? 'secureConnection' : 'connection', (socket: Socket) => {
    numbers.set(socket, connectionCount++)
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
  })
  const port = await freePort()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${port}`
  return {
    url: `${options.tls ? 'https' : 'http'}://${host}`,
    host,
    seen,
    answer(path, answer) {
      answers.set(
        path,
        Array.isArray(answer) ? [...answer] : typeof answer === 'function' ? answer : [answer],
      )
    },
    connections: () => sockets.size,
    resetAll() {
      for (const socket of sockets) socket.resetAndDestroy()
    },
    async stop() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
