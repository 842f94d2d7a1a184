/**
 * Listeners behind balancers that speak the PROXY protocol: each reads the header itself, whatever TLS follows,
 * and hands the connection on to the server inside under a source address that stands for the client.
 *
 * uWebSockets.js reads version 2 alone, from any peer, never before TLS, and again before every request of a
 * connection, where it is the client who writes: what it has read is therefore never used.
 */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { type Address, parseAddress, type TrustedProxies } from './client-address.ts'
import { readProxyHeader } from './proxy-protocol.ts'

export type Passenger = { address: Address; encrypted: boolean | null }

export type PassageRefusal = 'connections' | 'client_connections' | 'proxy_header'

export type PassageOptions = {
  proxies: TrustedProxies
  maxConnections: number
  /** A place for one connection of the client; null: it has as many as it may have. */
  admit(address: Address): (() => void) | null
  refused(reason: PassageRefusal): void
  /** A header must be whole by then. */
  headerTimeoutMs?: number
}

export type Passages = {
  /** Listens, and hands connections on to `innerPort` of 127.0.0.1. Rejects when it cannot. */
  listen(host: string, port: number, innerPort: number): Promise<void>
  /** Who came in under a source address (4 bytes); null: nobody that was let in here. */
  find(source: ArrayBuffer): Passenger | null
  stopListening(): void
  close(): void
}

// As long as uWebSockets.js waits for a request's head.
const headerTimeoutMs = 10_000
const backlog = 4096
// 127.64.0.0/10: all of 127.0.0.0/8 is this host's own on Linux, and nothing else uses this part of it.
const places = 2 ** 22

export function createPassages(options: PassageOptions): Passages {
  const { proxies, refused } = options
  const servers: Server[] = []
  const sockets = new Set<Socket>()
  const passengers = new Map<number, Passenger>()
  let lastPlace = 0

  const takePlace = (passenger: Passenger): number => {
    do lastPlace = (lastPlace + 1) % places
    while (passengers.has(lastPlace))
    passengers.set(lastPlace, passenger)
    return lastPlace
  }

  const handOn = (outer: Socket, innerPort: number, first: Buffer, passenger: Passenger): void => {
    const leave = options.admit(passenger.address)
    if (!leave) {
      refused('client_connections')
      outer.destroy()
      return
    }
    const place = takePlace(passenger)
    const inner = connect({
      host: '127.0.0.1',
      port: innerPort,
      localAddress: sourceOf(place),
      noDelay: true,
    })
    sockets.add(inner)
    inner.on('error', () => outer.destroy())
    inner.on('close', () => {
      sockets.delete(inner)
      passengers.delete(place)
      leave()
      outer.destroySoon()
    })
    outer.on('close', () => inner.destroySoon())
    inner.write(first)
    outer.pipe(inner).pipe(outer)
  }

  const accept = (outer: Socket, innerPort: number): void => {
    outer.on('error', () => outer.destroy())
    const peer = parseAddress(outer.remoteAddress ?? '')
    // It has gone already, as health checks do.
    if (!peer) return void outer.destroy()
    if (sockets.size >= 2 * options.maxConnections) {
      refused('connections')
      outer.destroy()
      return
    }
    sockets.add(outer)
    outer.on('close', () => sockets.delete(outer))
    const trusted = proxies.trusts(peer)
    let bytes: Buffer = Buffer.alloc(0)
    const refuse = (): void => {
      refused('proxy_header')
      outer.destroy()
    }
    const timer = setTimeout(() => outer.destroy(), options.headerTimeoutMs ?? headerTimeoutMs)
    outer.on('close', () => clearTimeout(timer))
    const read = (chunk: Buffer): void => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
      const header = readProxyHeader(bytes)
      if (header.state === 'more') return
      clearTimeout(timer)
      outer.off('data', read)
      outer.pause()
      if (header.state === 'whole' && trusted) {
        const { address, encrypted, length } = header
        handOn(outer, innerPort, bytes.subarray(length), { address: address ?? peer, encrypted })
      } else if (header.state === 'none' && !trusted) {
        handOn(outer, innerPort, bytes, { address: peer, encrypted: null })
      } else {
        // A stranger who names a client, or a trusted balancer that names none: no guess is safe.
        refuse()
      }
    }
    outer.on('data', read)
  }

  return {
    listen: (host, port, innerPort) =>
      new Promise((resolve, reject) => {
        const server = createServer({ noDelay: true }, (outer) => accept(outer, innerPort))
        servers.push(server)
        server.once('error', reject)
        // Every proxy thread listens on the same port, as uWebSockets.js does.
        server.listen({ host, port, backlog, reusePort: true }, () => {
          server.off('error', reject)
          server.on('error', () => refused('connections'))
          resolve()
        })
      }),
    find(source) {
      if (source.byteLength !== 4) return null
      const bytes = new Uint8Array(source)
      const place = (((bytes[1] as number) & 0x3f) << 16) | ((bytes[2] as number) << 8) | (bytes[3] as number)
      return passengers.get(place) ?? null
    },
    stopListening() {
      for (const server of servers.splice(0)) server.close()
    },
    close() {
      for (const server of servers.splice(0)) server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

function sourceOf(place: number): string {
  return `127.${64 + (place >> 16)}.${(place >> 8) & 0xff}.${place & 0xff}`
}
