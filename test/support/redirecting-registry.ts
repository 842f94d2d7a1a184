/** A registry that answers blobs with a redirect to storage on another host, as the large ones do. */
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import { freePort } from './processes.ts'

export type RedirectingRegistry = {
  url: string
  host: string
  /** host:port of the storage, by name: `localhost` where the registry is 127.0.0.1. */
  storageHost: string
  /** Requests that reached the storage: those with a credential have no business there. */
  stored: { path: string; hasAuthorization: boolean }[]
  stop(): void
}

function relay(origin: string, path: string, incoming: IncomingMessage, response: ServerResponse): void {
  const { host: _, connection: __, ...headers } = incoming.headers
  const outgoing = request(`${origin}${path}`, { method: incoming.method ?? 'GET', headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(response)
    // docker-registry announces the whole length with its 416, and ends the connection instead of sending it.
    answer.on('close', () => (answer.complete ? undefined : response.destroy()))
  })
  outgoing.on('error', () => response.destroy())
  response.on('close', () => outgoing.destroy())
  outgoing.end()
}

async function listen(
  handler: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ server: Server; port: number }> {
  const server = createServer(handler)
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return { server, port }
}

/** `origin`: URL of the registry that holds the images. */
export async function startRedirectingRegistry(origin: string): Promise<RedirectingRegistry> {
  const stored: RedirectingRegistry['stored'] = []
  const storage = await listen((incoming, response) => {
    const path = (incoming.url ?? '').split('?')[0] ?? ''
    stored.push({ path, hasAuthorization: incoming.headers.authorization !== undefined })
    relay(origin, path, incoming, response)
  })
  const storageHost = `localhost:${storage.port}`
  const front = await listen((incoming, response) => {
    const path = incoming.url ?? ''
    if (!path.includes('/blobs/')) relay(origin, path, incoming, response)
    else response.writeHead(307, { Location: `http://${storageHost}${path}?signature=1` }).end()
  })
  const host = `127.0.0.1:${front.port}`
  return {
    url: `http://${host}`,
    host,
    storageHost,
    stored,
    stop() {
      for (const { server } of [storage, front]) {
        server.close()
        server.closeAllConnections()
      }
    },
  }
}
