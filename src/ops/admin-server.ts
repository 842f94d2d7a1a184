/** The operator's side door: metrics, health and readiness, on its own port and never on that of the traffic. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { DependencyReport } from './dependencies.ts'
import { describeError } from './describe-error.ts'

export const servingStates = ['starting', 'serving', 'stopping', 'no_listener'] as const
export type ServingState = (typeof servingStates)[number]

export type Readiness = {
  state: ServingState
  /** RFC 3339 UTC, when this state began. */
  since: string
  dependencies: Record<string, DependencyReport>
  /** More for the reader, by section: small, JSON, without addresses of clients. */
  sections?: Record<string, unknown>
}

export type AdminServer = { host: string; port: number; close(): Promise<void> }

type Answer = { status: number; type: string; body: string; headers?: Record<string, string> }
type Endpoint = { path: string; about: string; answer: () => Answer | Promise<Answer> }

const json = 'application/json; charset=utf-8'
const text = 'text/plain; charset=utf-8'
const html = 'text/html; charset=utf-8'

/** Rejects when the port cannot be had (`code` EADDRINUSE, EACCES, EADDRNOTAVAIL). Port 0 takes a free one. */
export async function createAdminServer(options: {
  host: string
  port: number
  /** The metrics page and its content type. */
  metrics: () => Promise<string>
  metricsType: string
  readiness: () => Readiness
  log: { error(fields: object, message: string): void }
}): Promise<AdminServer> {
  let rendering: Promise<string> | null = null
  // Scrapes at the same time share one rendering: a bound on its cost, whoever asks however often.
  const renderOnce = (): Promise<string> => {
    rendering ??= options.metrics().finally(() => {
      rendering = null
    })
    return rendering
  }

  const endpoints: Endpoint[] = [
    {
      path: '/metrics',
      about: 'metrics in the Prometheus text format',
      answer: async () => ({ status: 200, type: options.metricsType, body: await renderOnce() }),
    },
    {
      path: '/healthz',
      about: '200 while the process is alive',
      answer: () => ({ status: 200, type: text, body: 'ok\n' }),
    },
    {
      path: '/readyz',
      about: '200 while traffic is served, with the state of every dependency',
      answer: () => answerReadiness(options.readiness()),
    },
  ]
  const index = indexPage(endpoints)
  endpoints.push({ path: '/', about: 'this list', answer: () => ({ status: 200, type: html, body: index }) })
  const byPath = new Map(endpoints.map((endpoint) => [endpoint.path, endpoint]))

  const answerRequest = async (request: IncomingMessage): Promise<Answer> => {
    const endpoint = byPath.get((request.url ?? '').split('?', 1)[0] as string)
    if (endpoint === undefined) return { status: 404, type: text, body: 'not found\n' }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return { status: 405, type: text, body: 'method not allowed\n', headers: { allow: 'GET, HEAD' } }
    }
    try {
      return await endpoint.answer()
    } catch (error) {
      options.log.error({ path: endpoint.path, err: describeError(error) }, 'admin endpoint failed')
      return { status: 500, type: text, body: 'internal error\n' }
    }
  }

  const server = createServer(
    {
      // A scraper's head is a few hundred bytes and comes at once; whoever needs more is none.
      maxHeaderSize: 8 * 1024,
      headersTimeout: 5_000,
      requestTimeout: 10_000,
      keepAliveTimeout: 30_000,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => {
      answerRequest(request).then(
        (answer) => send(request, response, answer),
        () => response.destroy(),
      )
    },
  )
  // Far more than the scrapers and probes of one node.
  server.maxConnections = 100
  await listen(server, options.port, options.host)
  const { port, address } = server.address() as AddressInfo

  return {
    host: address,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeIdleConnections()
        // A scrape that runs may end, one that hangs may not hold the stop.
        setTimeout(() => server.closeAllConnections(), 1_000).unref()
      }),
  }
}

function answerReadiness(readiness: Readiness): Answer {
  const { state, since, dependencies, sections } = readiness
  return {
    status: state === 'serving' ? 200 : 503,
    type: json,
    body: `${JSON.stringify({ status: state, since, dependencies, ...sections }, null, 2)}\n`,
  }
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  // A request body is never read; the connection ends instead of waiting for it.
  const hasBody = 'transfer-encoding' in request.headers || (request.headers['content-length'] ?? '0') !== '0'
  response.writeHead(answer.status, {
    'content-type': answer.type,
    'content-length': Buffer.byteLength(answer.body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(hasBody ? { connection: 'close' } : {}),
    ...answer.headers,
  })
  response.end(request.method === 'HEAD' ? undefined : answer.body)
}

function indexPage(endpoints: readonly Endpoint[]): string {
  const items = endpoints.map(({ path, about }) => `<li><a href="${path}">${path}</a>: ${about}</li>`)
  return `<!doctype html><html lang="en"><title>Waybill</title><h1>Waybill</h1><ul>${items.join('')}</ul></html>\n`
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
