/** A TCP balancer before several nodes: each connection goes to the next one, and every request is noted. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { freePort } from './processes.ts'

export type Balancer = {
  url: string
  host: string
  /** All requests so far; `head`: its lines as the client sent them. */
  requests: { method: string; path: string; node: number; head: string }[]
  /** Ends all connections, and new ones at once, until `mend`. */
  cut(): void
  mend(): void
  stop(): void
}

/** Of plain HTTP without bodies. `nodes`: host:port. */
export async function startBalancer(nodes: readonly string[]): Promise<Balancer> {
  const requests: Balancer['requests'] = []
  const open = new Set<Socket>()
  let connections = 0
  let isCut = false

  const endAll = () => {
    for (const socket of open) socket.destroy()
  }

  const server = createServer((client) => {
    if (isCut) {
      client.destroy()
      return
    }
    const node = connections++ % nodes.length
    const through = connect(Number(nodes[node]?.split(':')[1]), '127.0.0.1')
    let head = ''
    client.on('data', (chunk) => {
      head += chunk.toString('latin1')
      for (let end = head.indexOf('\r\n\r\n'); end >= 0; end = head.indexOf('\r\n\r\n')) {
        const [method = '', path = ''] = head.split(' ', 2)
        requests.push({ method, path, node, head: head.slice(0, end) })
        head = head.slice(end + 4)
      }
    })
    client.pipe(through).pipe(client)
    for (const [side, other] of [
      [client, through],
      [through, client],
    ] as const) {
      open.add(side)
      side.on('error', () => other.destroy())
      side.on('close', () => open.delete(side))
    }
  })
  const port = await freePort()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${port}`
  return {
    url: `http://${host}`,
    host,
    requests,
    cut() {
      isCut = true
      endAll()
    },
    mend() {
      isCut = false
    },
    stop() {
      server.close()
      endAll()
    },
  }
}
