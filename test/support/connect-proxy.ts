/** An HTTP proxy that leads every CONNECT to a port of the test: it stands for the name service of a test's host names. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { freePort } from './processes.ts'

export type ConnectProxy = {
  /** For HTTPS_PROXY. */
  url: string
  stop(): void
}

/** `port` of 127.0.0.1 for all names, or for each; a name without one is refused. */
export async function startConnectProxy(
  port: number | ((name: string) => number | undefined),
): Promise<ConnectProxy> {
  const open = new Set<Duplex>()
  const proxy = createServer().on('connect', (request, client: Duplex) => {
    const name = (request.url ?? '').split(':')[0] ?? ''
    const target = typeof port === 'number' ? port : port(name)
    if (target === undefined) {
      client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
      return
    }
    const through = connect(target, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connected\r\n\r\n')
      through.pipe(client).pipe(through)
    })
    for (const side of [through, client]) {
      open.add(side)
      side.on('error', () => through.destroy())
      side.on('close', () => open.delete(side))
    }
  })
  const own = await freePort()
  proxy.listen(own, '127.0.0.1')
  await once(proxy, 'listening')
  return {
    url: `http://127.0.0.1:${own}`,
    stop() {
      proxy.close()
      for (const side of open) side.destroy()
    },
  }
}
