/**
 * Entry of a proxy thread: wires the proxy to its ring, counters and the main thread.
 */
import { parentPort, workerData } from 'node:worker_threads'
import type { Config } from './config/types.ts'
import { createProxyCounters } from './ops/counters.ts'
import { attachDependencyStates } from './ops/dependencies.ts'
import { dependencyReason } from './ops/dependency-reasons.ts'
import { watchEventLoop } from './ops/event-loop-watch.ts'
import { createLogger } from './ops/logging.ts'
import { readThreadId } from './ops/thread-id.ts'
import { attachTold } from './ops/told-requests.ts'
import { createProxy } from './proxy/proxy.ts'
import type { Certificates, ManifestNotice, ProxyUpdate } from './proxy/types.ts'
import { createRecordWriter } from './record/encode.ts'
import { createRingWriter } from './ring/writer.ts'

export type ProxyThreadData = {
  config: Config
  certificates: Certificates
  /** How many upstreams there may ever be. */
  upstreamRoom: number
  number: number
  tokenKeys: readonly string[]
  ring: SharedArrayBuffer
  counters: SharedArrayBuffer
  told: { sab: SharedArrayBuffer; row: number }
  lag: { sab: SharedArrayBuffer; slot: number }
  dependencies: { names: readonly string[]; sab: SharedArrayBuffer }
  /** Who is refused; null: nobody. */
  block: SharedArrayBuffer | null
}

/** To the thread. */
export type ProxyCommand =
  /** Told again, the shorter time counts. */
  | { type: 'stop'; deadlineMs: number }
  | { type: 'block'; block: SharedArrayBuffer | null }
  /** Answered with `updated`. */
  | { type: 'update'; update: ProxyUpdate | null; certificates: Certificates | null }
  | { type: 'token-keys'; keys: readonly string[] }

/** From the thread. */
export type ProxyMessage =
  /** `threadId`: the operating system's; null where it is not known. */
  | { type: 'listening'; threadId: number | null }
  | { type: 'failed'; code: string; message: string }
  | { type: 'manifest'; notice: ManifestNotice }
  /** `error`: what could not be done; null: all was. */
  | { type: 'updated'; error: string | null }
  /** An upstream (index of the config) led to this host; at most once a minute for each. */
  | { type: 'redirect-host'; upstream: number; host: string; seenMs: number }
  | { type: 'stopped'; cutOff: number }

const data = workerData as ProxyThreadData
const main = parentPort as NonNullable<typeof parentPort>
const log = createLogger(data.config.logLevel, { thread: `proxy-${data.number}` })
const tell = (message: ProxyMessage): void => main.postMessage(message)

// A proxy thread that ends while its sockets are open aborts the whole process (a native assertion in
// libuv's loop), so nothing that goes wrong in one request may end it.
process.on('uncaughtException', (error) => log.error({ err: error }, 'an error that nothing caught'))
process.on('unhandledRejection', (error) => log.error({ err: error }, 'a rejection that nothing caught'))

const ring = createRingWriter(data.ring)
const records = createRecordWriter(ring)
const dependencies = attachDependencyStates(data.dependencies.names, data.dependencies.sab)
const openCircuit = ({ host }: Config['upstreams'][number]) => {
  dependencies.add(`upstream:${host}`)
  return dependencies.circuit(`upstream:${host}`)
}
let upstreams = data.config.upstreams.map(openCircuit)
const watch = watchEventLoop(data.lag)

try {
  const proxy = await createProxy({
    config: data.config,
    certificates: data.certificates,
    threads: data.config.threads.proxy,
    tokenKeys: data.tokenKeys,
    counters: createProxyCounters({ sab: data.counters, upstreams: data.upstreamRoom }),
    records: { write: records.write, nextSequence: ring.nextSequence, tell: attachTold(data.told) },
    block: data.block,
    announceManifest: (notice) => tell({ type: 'manifest', notice }),
    reportUpstream(index, failure) {
      if (failure === null) upstreams[index]?.succeeded()
      else upstreams[index]?.failed(dependencyReason(failure))
    },
    reportRedirectHost: (upstream, host, seenMs) => tell({ type: 'redirect-host', upstream, host, seenMs }),
    log,
  })
  main.on('message', (command: ProxyCommand) => {
    if (command.type === 'stop') void stop(command.deadlineMs)
    else if (command.type === 'block') proxy.setBlock(command.block)
    else if (command.type === 'token-keys') proxy.setTokenKeys(command.keys)
    else tell({ type: 'updated', error: change(command) })
  })
  tell({ type: 'listening', threadId: readThreadId() })

  const change = ({ update, certificates }: Extract<ProxyCommand, { type: 'update' }>): string | null => {
    try {
      if (certificates) proxy.replaceCertificates(certificates)
      if (update) {
        upstreams = update.upstreams.map(openCircuit)
        proxy.update(update)
      }
      return null
    } catch (error) {
      return (error as Error).message
    }
  }

  let endsAt = Number.POSITIVE_INFINITY
  const stop = async (deadlineMs: number): Promise<void> => {
    const isFirst = endsAt === Number.POSITIVE_INFINITY
    endsAt = Math.min(endsAt, performance.now() + deadlineMs)
    if (!isFirst) return
    proxy.stopListening()
    while (proxy.active() > 0 && performance.now() < endsAt) await new Promise((next) => setTimeout(next, 20))
    const cutOff = proxy.active()
    await proxy.close()
    watch.close()
    tell({ type: 'stopped', cutOff })
    main.close()
  }
} catch (error) {
  const { code = 'FAILED', message } = error as NodeJS.ErrnoException
  tell({ type: 'failed', code, message })
  watch.close()
  main.close()
}
