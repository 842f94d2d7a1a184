/** The proxy of one thread inside the test's own process, with its records in a list. */
import { connect } from 'node:net'
import type { Config } from '../../src/config/types.ts'
import type { Proxy as TestedProxy } from '../../src/proxy/proxy.ts'
import type {
  ManifestNotice,
  RefusalReason,
  UnrecordedReason,
  UpstreamErrorReason,
} from '../../src/proxy/types.ts'
import type { WaybillRecord } from '../../src/record/record.ts'
import { freePort } from './processes.ts'

export type TestFront = {
  url: string
  port: number
  /** Of requests that have ended. */
  records: WaybillRecord[]
  /** Of those under way. */
  heartbeats: WaybillRecord[]
  manifests: ManifestNotice[]
  upstreamErrors: UpstreamErrorReason[]
  /** Index of the upstream, and status, of each answer of an upstream. */
  upstreamAnswers: [index: number, status: number][]
  /** Index of the upstream, and host, of each redirect target that was told of. */
  redirectHosts: [index: number, host: string][]
  /** What was told of `RateLimit-Remaining`. */
  rateLimits: number[]
  untrustedForwarded(): number
  refusals: RefusalReason[]
  unrecorded: UnrecordedReason[]
  warnings: string[]
  /** Fields of the warnings. */
  warned: object[]
  proxy: TestedProxy
  /** A token of this front. */
  token(): Promise<string>
  stop(): Promise<void>
}

export type FrontOptions = {
  upstream: string
  auth?: 'token' | 'open' | 'passthrough'
  blobs?: 'redirect' | 'stream'
  /** Pattern and upstream's name; default `**` both. */
  route?: { repository: string; upstreamRepository: string }
  /** Routes before that one, to other upstreams. */
  before?: { upstream: string; repository: string; upstreamRepository: string }[]
  /** What the front itself signs in with. */
  credentials?: { username: string; password: string }
  publicUrl?: string
  trustedProxies?: string[]
  proxyProtocol?: boolean
  tls?: { cert: string; key: string }
  redirectHosts?: string[]
  streamRanges?: string[]
  /** A second upstream, asked when the first fails; by the same names. */
  fallback?: string
  /** PEM of the upstream's authorities. */
  ca?: string
  /** More hosts that are this front's own. */
  ownHosts?: string[]
  recording?: boolean
  block?: SharedArrayBuffer
  idleMs?: number
  limits?: Partial<Config['limits']>
}

const nothing = (): void => undefined

function describeUpstream(url: string) {
  const { origin, host } = new URL(url)
  return { origin, host, dockerHub: false, ca: null, credentials: null }
}

export async function startFront(options: FrontOptions): Promise<TestFront> {
  // Read once, when uWebSockets.js is loaded; so the proxy is imported after it.
  process.env['UWS_HTTP_MAX_HEADERS_SIZE'] = '16384'
  const { createProxy } = await import('../../src/proxy/proxy.ts')
  const port = await freePort()
  const records: WaybillRecord[] = []
  const heartbeats: WaybillRecord[] = []
  const manifests: ManifestNotice[] = []
  const upstreamErrors: UpstreamErrorReason[] = []
  const rateLimits: number[] = []
  const upstreamAnswers: TestFront['upstreamAnswers'] = []
  const redirectHosts: TestFront['redirectHosts'] = []
  let sequence = 0
  let untrusted = 0
  const refusals: RefusalReason[] = []
  const unrecorded: UnrecordedReason[] = []
  const warnings: string[] = []
  const warned: object[] = []
  const { before = [] } = options
  const upstreams = [
    {
      ...describeUpstream(options.upstream),
      ca: options.ca ?? null,
      credentials: options.credentials ?? null,
    },
    ...(options.fallback === undefined ? [] : [describeUpstream(options.fallback)]),
    ...before.map(({ upstream }) => describeUpstream(upstream)),
  ]
  const route = options.route ?? { repository: '**', upstreamRepository: '**' }
  const config = {
    listen: [{ host: '127.0.0.1', port, tls: options.tls ?? null }],
    upstreams,
    domains: [
      {
        host: null,
        publicUrl: options.publicUrl ?? null,
        auth: options.auth ?? 'open',
        recording: options.recording ?? true,
        routes: [
          ...before.map(({ upstream, ...names }) => ({
            ...{ ...names, blobs: 'redirect', public: false, fallback: null },
            upstream: upstreams.findIndex(({ origin }) => origin === upstream),
          })),
          {
            ...route,
            upstream: 0,
            public: options.credentials !== undefined,
            blobs: options.blobs ?? 'redirect',
            fallback:
              options.fallback === undefined
                ? null
                : { upstream: 1, upstreamRepository: route.upstreamRepository },
          },
        ],
      },
      ...(options.ownHosts ?? []).map((own) => ({ host: own, publicUrl: null, auth: 'open', routes: [] })),
    ],
    trustedProxies: options.trustedProxies ?? [],
    proxyProtocol: options.proxyProtocol ?? false,
    redirectHosts: options.redirectHosts ?? [],
    streamRanges: options.streamRanges ?? [],
    sessions: { idleMs: options.idleMs ?? 60_000 },
    geo: { detail: 'region' },
    privacy: { rotationMs: 86_400_000, operator: 'Example <Org>', contact: null, purpose: null },
    retention: { eventsMs: 400 * 86_400_000, requestsMs: 0 },
    log: { maxAgeMs: 86_400_000 },
    kafka: null,
    limits: {
      headerBytes: 16384,
      connections: 20_000,
      connectionsPerClient: 512,
      upstreamRequests: 1024,
      manifestBytes: 8 * 1024 * 1024,
      manifestCacheBytes: 64 * 1024 * 1024,
      firstByteTimeoutMs: 30_000,
      minRateBytes: 1024,
      requestTimeoutMs: 6 * 3600 * 1000,
      ...options.limits,
    },
  } as unknown as Config
  const proxy = await createProxy({
    config,
    threads: 1,
    tokenKeys: ['5a'.repeat(32)],
    counters: {
      countRequest: nothing,
      countAbort: nothing,
      connectionOpened: nothing,
      connectionClosed: nothing,
      countUntrustedForwarded: () => {
        untrusted++
      },
      countRefusal: (reason) => refusals.push(reason),
      countUnrecorded: (reason) => unrecorded.push(reason),
      countUpstream: (index, status) => upstreamAnswers.push([index, status]),
      countUpstreamError: (_index, reason) => upstreamErrors.push(reason),
      setRatelimitRemaining: (_index, remaining) => rateLimits.push(remaining),
    },
    records: {
      nextSequence: () => sequence++,
      tell() {},
      write: (record) => {
        const list = record.kind === 'heartbeat' ? heartbeats : records
        list.push({ ...record, address: record.address.slice() })
        return true
      },
    },
    block: options.block ?? null,
    announceManifest: (notice) => manifests.push(notice),
    reportUpstream: nothing,
    log: {
      debug: nothing,
      info: nothing,
      warn(fields, message) {
        warnings.push(message)
        warned.push(fields)
      },
      error: nothing,
    },
    reportRedirectHost: (index, seen) => redirectHosts.push([index, seen]),
  })
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    port,
    records,
    heartbeats,
    manifests,
    upstreamErrors,
    rateLimits,
    upstreamAnswers,
    redirectHosts,
    untrustedForwarded: () => untrusted,
    refusals,
    unrecorded,
    warnings,
    warned,
    proxy,
    async token() {
      const answer = (await (await fetch(`${url}/token`)).json()) as { token: string }
      return answer.token
    },
    async stop() {
      proxy.stopListening()
      await proxy.close()
    },
  }
}

/**
 * Sends bytes as they are and collects the answer until the connection closes, or until `enough` says so.
 * Pieces after the first are sent one event-loop turn apart.
 */
export function exchangeRaw(
  port: number,
  pieces: string | string[],
  enough: (text: string) => boolean = () => false,
): Promise<{ text: string; closed: boolean }> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    const finish = (closed: boolean): void => {
      socket.destroy()
      resolve({ text, closed })
    }
    socket.setTimeout(10_000, () => reject(new Error(`no more after: ${text.slice(0, 500)}`)))
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      if (enough(text)) finish(false)
    })
    socket.on('close', () => finish(true))
    socket.on('error', () => undefined)
    socket.on('connect', () => {
      const queue = [pieces].flat()
      const next = (): void => {
        const piece = queue.shift()
        if (piece === undefined || socket.destroyed) return
        socket.write(Buffer.from(piece, 'latin1'), () => setImmediate(next))
      }
      next()
    })
  })
}
