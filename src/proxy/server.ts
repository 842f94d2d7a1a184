/**
 * The only user of uWebSockets.js: listeners, connections, and the reading of a request's head.
 */

import uWS from 'uWebSockets.js'
import { statSync } from 'node:fs'
import type { Listener } from '../config/types.ts'
import type { Downstream } from './exchange.ts'
import type { Passages } from './passages.ts'

export type Head = {
  /** As it was sent. */
  method: string
  /** Raw, without query. */
  path: string
  /** Raw; '' without one. */
  query: string
  /** Lower-case names and values in turns, in the order that they came. */
  headers: string[]
  /** The peer's address: 4 or 16 bytes. */
  peer: ArrayBuffer
  /** What came in by the PROXY protocol and was let in: who it is (16 bytes). */
  passenger: Uint8Array | null
  tls: boolean
}

export type Handler<Held> = {
  /** null: it has answered. Otherwise it holds `down` until it does. */
  request(down: Downstream, head: Head): Held | null
  /** The client went away before the answer was complete. */
  aborted(held: Held): void
  /** Told of connections that did not come by the PROXY protocol; false: it is closed at once. */
  admits(peer: ArrayBuffer, connections: number): boolean
  connectionOpened(): void
  connectionClosed(): void
  /** A bug: the connection is closed, and the thread lives on. */
  failed(error: unknown): void
}

/** Shown to clients that ask for `host` (SNI), `*.` before a suffix. */
export type NameCertificate = { host: string; cert: string; key: string }

export type Server = {
  /**
   * Shows other certificates from the next connection on: `listen`, in the order of the start, those of the
   * listeners themselves. Throws when one cannot be used, and nothing changes then.
   */
  replaceCertificates(listen: readonly Listener['tls'][], names: readonly NameCertificate[]): void
  /** No new connections; those that stand go on. */
  stopListening(): void
  /** Ends every connection. */
  close(): void
}

/**
 * Rejects when a listener cannot be opened. With `passages` all connections come by them, from this host itself.
 * Header sizes are bounded by UWS_HTTP_MAX_HEADERS_SIZE, which main.ts sets before any thread loads this.
 */
export async function createServer<Held>(options: {
  listen: readonly Listener[]
  names: readonly NameCertificate[]
  passages: Passages | null
  handler: Handler<Held>
}): Promise<Server> {
  // No `uWebSockets` line in answers; its Date stays, and an upstream's is dropped (headers.ts).
  ;(uWS as unknown as { _cfg(setting: string): void })._cfg('silent')
  const { handler, passages } = options
  let connections = 0
  const sockets: uWS.us_listen_socket[] = []
  const apps = new Set<uWS.TemplatedApp>()
  const doors: { acceptor: ParentApp; room: Room }[] = []

  const openRoom = (tls: Listener['tls'], names: readonly NameCertificate[]): Room => {
    if (tls) refuseUnservable({ host: 'a listener', ...tls })
    const app = (tls ? uWS.SSLApp(certificateOf(tls)) : uWS.App()) as ParentApp
    const room: Room = { app, open: 0, isLeft: false }
    // biome-ignore lint/suspicious/useIterableCallbackReturn: not an array's filter, but uWebSockets.js's hook
    app.filter((res, count) => {
      const opened = Number(count) > 0
      connections += opened ? 1 : -1
      room.open += opened ? 1 : -1
      if (opened) handler.connectionOpened()
      else handler.connectionClosed()
      if (opened && passages === null && !handler.admits(res.getRemoteAddress(), connections)) res.close()
      if (room.isLeft && room.open === 0) setImmediate(tryRetire, room)
    })
    const serve = (res: uWS.HttpResponse, req: uWS.HttpRequest): void => {
      // Nothing may be thrown out of here: uWebSockets.js would end the process (std::terminate).
      try {
        const head = readHead(res, req, tls !== null)
        if (passages !== null && !seat(head, passages)) return void res.close()
        const held = handler.request(res as unknown as Downstream, head)
        // Attached only where it can be called: most local answers are complete by now.
        if (held !== null) res.onAborted(() => handler.aborted(held))
      } catch (error) {
        handler.failed(error)
        tryClose(res)
      }
    }
    app.any('/*', serve)
    for (const name of names) {
      refuseUnservable(name)
      app.addServerName(name.host, certificateOf(name))
      // Each name has routes of its own.
      app.domain(name.host).any('/*', serve)
    }
    apps.add(app)
    return room
  }
  const tryRetire = ({ app, open }: Room): void => {
    if (open === 0 && apps.delete(app)) app.close()
  }

  const open = async (app: uWS.TemplatedApp, host: string, port: number): Promise<void> => {
    if (passages === null) {
      sockets.push(await listen(app, host, port))
      return
    }
    const inner = await listen(app, '127.0.0.1', 0)
    sockets.push(inner)
    await passages.listen(host, port, uWS.us_socket_local_port(inner))
  }

  for (const { host, port, tls } of options.listen) {
    const room = openRoom(tls, tls ? options.names : [])
    if (!tls) {
      await open(room.app, host, port)
      continue
    }
    // removeServerName of 20.51 frees the routes that open connections of the name still use (the process ends),
    // and the certificate of an app cannot be changed at all. So one app listens and hands every connection to
    // another one, which can be replaced as a whole; the old one serves on those that it has.
    const acceptor = uWS.SSLApp(certificateOf(tls)) as ParentApp
    apps.add(acceptor)
    acceptor.addChildAppDescriptor(room.app.getDescriptor())
    doors.push({ acceptor, room })
    await open(acceptor, host, port)
  }
  return {
    replaceCertificates(listeners, names) {
      const pairs = listeners.filter((tls) => tls !== null)
      const rooms: Room[] = []
      try {
        for (const index of doors.keys()) rooms.push(openRoom(pairs[index] ?? null, names))
      } catch (error) {
        for (const room of rooms) tryRetire(room)
        throw error
      }
      for (const [index, door] of doors.entries()) {
        const [room, left] = [rooms[index] as Room, door.room]
        door.acceptor.addChildAppDescriptor(room.app.getDescriptor())
        door.acceptor.removeChildAppDescriptor(left.app.getDescriptor())
        door.room = room
        left.isLeft = true
        // A connection that was accepted before may still be on its way into it, by the next turn of the loop.
        setTimeout(tryRetire, handOverMs, left).unref()
      }
    },
    stopListening() {
      passages?.stopListening()
      for (const socket of sockets.splice(0)) uWS.us_listen_socket_close(socket)
    },
    close() {
      passages?.close()
      for (const app of apps) app.close()
      apps.clear()
    },
  }
}

/** What the types of uWebSockets.js leave out; made for handing connections to apps of other threads. */
type ParentApp = uWS.TemplatedApp & {
  getDescriptor(): unknown
  addChildAppDescriptor(descriptor: unknown): void
  removeChildAppDescriptor(descriptor: unknown): void
}

/** An app and its connections. `isLeft`: no more come. */
type Room = { app: ParentApp; open: number; isLeft: boolean }

const handOverMs = 1000

/** Files that were tried: an app that is closed gives its 36 KB back never. */
const servable = new Set<string>()

/** addServerName passes over what it cannot use without a word, and clients would get another certificate. */
function refuseUnservable(name: NameCertificate): void {
  try {
    const id = [name.cert, name.key].map((path) => {
      const { dev, ino, size, ctimeMs } = statSync(path)
      return [dev, ino, size, ctimeMs].join(':')
    })
    if (servable.has(id.join(' '))) return
    uWS.SSLApp(certificateOf(name)).close()
    servable.add(id.join(' '))
  } catch {
    throw new Error(`the certificate of ${name.host} cannot be served`)
  }
}

function certificateOf({ cert, key }: { cert: string; key: string }): uWS.AppOptions {
  return { cert_file_name: cert, key_file_name: key }
}

/** Puts in whom the passage let in; false: nobody did, it is another program of this host. */
function seat(head: Head, passages: Passages): boolean {
  const passenger = passages.find(head.peer)
  if (!passenger) return false
  head.passenger = passenger.address
  if (passenger.encrypted !== null) head.tls ||= passenger.encrypted
  return true
}

/** Closes the connection, unless the answer was complete before: then there is nothing left to touch. */
function tryClose(res: uWS.HttpResponse): void {
  try {
    res.close()
  } catch {
    // uWebSockets.js throws on any use of a response that has ended.
  }
}

function listen(app: uWS.TemplatedApp, host: string, port: number): Promise<uWS.us_listen_socket> {
  return new Promise((resolve, reject) => {
    app.listen(host, port, (socket) => {
      if (socket) resolve(socket)
      else reject(Object.assign(new Error(`cannot listen on ${host}:${port}`), { code: 'EADDRINUSE' }))
    })
  })
}

let collected: string[] = []
// One callback for all requests, so that reading a head costs no closure.
const collect = (name: string, value: string): void => {
  collected.push(name, value)
}

function readHead(res: uWS.HttpResponse, req: uWS.HttpRequest, tls: boolean): Head {
  collected = []
  // The method comes first and by this call alone: getMethod() changes the buffer to lower case.
  const method = req.getCaseSensitiveMethod()
  req.forEach(collect)
  return {
    method,
    path: req.getUrl(),
    query: req.getQuery() ?? '',
    headers: collected,
    peer: res.getRemoteAddress(),
    passenger: null,
    tls,
  }
}
