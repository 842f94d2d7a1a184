/** The registry behind the storm, which fails where a request asks for it. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { createImageStore, type ImageStore } from './images.ts'

/** `answer=STATUS`, `cut=BYTES` (the connection breaks after so many) or `hold=BYTES` (nothing comes after them). */
export const failureHeader = 'x-storm-failure'

export type StormRegistry = {
  url: string
  host: string
  add: ImageStore['add']
  stop(): Promise<void>
}

export async function startStormRegistry(): Promise<StormRegistry> {
  const images = createImageStore()
  const sockets = new Set<Socket>()
  const server = createServer((request, response) => answer(request, response, images))
  // As long as the storm may last: a connection that ends just as it is used again is no failure that was asked for.
  server.keepAliveTimeout = 600_000
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`

  return {
    host,
    url: `http://${host}`,
    add: images.add,
    async stop() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

function answer(request: IncomingMessage, response: ServerResponse, images: ImageStore): void {
  response.on('error', () => undefined)
  request.resume()
  const [failure, amount] = String(request.headers[failureHeader] ?? '').split('=')
  const found = images.find((request.url ?? '').split('?', 1)[0] ?? '')
  if (failure === 'answer' || !found) {
    const body = found ? '{"errors":[{"code":"UNAVAILABLE"}]}' : '{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'
    response.writeHead(found ? Number(amount) : 404, {
      'Content-Type': 'application/json',
      'Content-Length': body.length,
    })
    response.end(request.method === 'HEAD' ? undefined : body)
    return
  }
  const { headers, body } = found
  const first = Number(/^bytes=(\d+)-$/.exec(String(request.headers.range ?? ''))?.[1] ?? 0)
  const isPart = first > 0 && first < body.length
  response.writeHead(isPart ? 206 : 200, {
    ...{ 'Accept-Ranges': 'bytes', ...headers, 'Content-Length': body.length - (isPart ? first : 0) },
    ...(isPart && { 'Content-Range': `bytes ${first}-${body.length - 1}/${body.length}` }),
  })
  if (request.method === 'HEAD') response.end()
  else if (failure === 'hold' || failure === 'cut') {
    response.write(body.subarray(first, first + Number(amount)), () => {
      if (failure === 'cut') request.socket.end()
    })
  } else response.end(body.subarray(isPart ? first : 0))
}
