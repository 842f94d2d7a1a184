/**
 * One address for a suite that pushes and pulls: reads go to the front, all else to the registry behind it, under
 * the name that the repository has there. Heads and bodies pass as they are.
 */
import {
  type ClientRequest,
  createServer,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'

export type Splitter = {
  url: string
  /** host:port */
  host: string
  /** Requests that went to the front so far. */
  toFront(): number
  stop(): Promise<void>
}

/** First parts of repository names. */
export type Renaming = { front: string; registry: string }

export type SplitterOptions = {
  /** URL of the front. */
  front: string
  /** URL of the registry behind it. */
  registry: string
  renaming?: Renaming
}

const answerTimeoutMs = 60_000

/** The session of an upload is of the registry, also where a client only asks how far it got. */
function isRead({ method, url = '' }: IncomingMessage): boolean {
  return (method === 'GET' || method === 'HEAD') && !url.includes('/blobs/uploads/')
}

/** A path or URL with the other name in its path, and in the query of a mount. */
function rename(target: string, from: string, to: string): string {
  return target.replace(`/v2/${from}/`, `/v2/${to}/`).replace(`from=${from}%2F`, `from=${to}%2F`)
}

function renameLocation(rawHeaders: readonly string[], { front, registry }: Renaming): string[] {
  return rawHeaders.map((word, at) =>
    rawHeaders[at - 1]?.toLowerCase() === 'location' && at % 2 === 1 ? rename(word, registry, front) : word,
  )
}

export async function startSplitter(options: SplitterOptions): Promise<Splitter> {
  const { renaming } = options
  let reads = 0

  function pass(incoming: IncomingMessage, answer: ServerResponse): ClientRequest {
    const read = isRead(incoming)
    if (read) reads++
    const { hostname, port } = new URL(read ? options.front : options.registry)
    const url = incoming.url ?? '/'
    const renamed = renaming && !read
    const outgoing = request(
      {
        hostname,
        port,
        method: incoming.method ?? 'GET',
        path: renamed ? rename(url, renaming.front, renaming.registry) : url,
        // As they came, Host among them: realm and Location are made of it.
        headers: incoming.rawHeaders,
        setHost: false,
        agent: false,
        timeout: answerTimeoutMs,
      },
      (response) => {
        const { statusCode = 502, statusMessage, rawHeaders } = response
        answer.writeHead(
          statusCode,
          statusMessage,
          renamed ? renameLocation(rawHeaders, renaming) : rawHeaders,
        )
        response.pipe(answer)
        response.on('error', () => answer.destroy())
      },
    )
    outgoing.on('timeout', () => outgoing.destroy())
    // The suite is to see what broke, not an answer that nobody gave.
    outgoing.on('error', () => answer.destroy())
    answer.on('close', () => outgoing.destroy())
    return outgoing
  }

  const server = createServer((incoming, answer) => void incoming.pipe(pass(incoming, answer)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: `http://${host}`,
    host,
    toFront: () => reads,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
