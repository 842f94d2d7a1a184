/**
 * Starts and stops the proxy threads and the session thread.
 */
import { type MessagePort, Worker } from 'node:worker_threads'
import type { Logger } from './ops/logging.ts'
import type { ManifestNotice } from './proxy/types.ts'
import type { ProxyCommand, ProxyMessage, ProxyThreadData } from './proxy-thread.ts'
import type { SessionCommand, SessionMessage, SessionThreadData } from './session-thread.ts'

/** A start that failed for a reason that a person can mend: one line, no stack. */
export class StartError extends Error {
  override readonly name = 'StartError'
}

export type ProxyThreads = {
  /** Ids of the operating system, in the order of the threads; null where it is not known. */
  ids: readonly (number | null)[]
  /** What could not be done, of each thread; resolves when all have done it. */
  update(
    change: Pick<Extract<ProxyCommand, { type: 'update' }>, 'update' | 'certificates'>,
  ): Promise<string[]>
  /** Resolves when all have ended; `deadlineMs` is what running requests get. */
  stop(deadlineMs: number): Promise<void>
  /** In hex, the first signs. */
  setTokenKeys(keys: readonly string[]): void
  /** Takes the rest of that time away. */
  hurry(): void
  /** Who is refused from now on. */
  setBlock(block: SharedArrayBuffer | null): void
}

export async function startProxyThreads(options: {
  data: readonly ProxyThreadData[]
  onManifest(notice: ManifestNotice): void
  /** `upstream`: index into `Config.upstreams`. */
  onRedirectHost(upstream: number, host: string, seenMs: number): void
  log: Logger
}): Promise<ProxyThreads> {
  const threads = options.data.map((workerData) => {
    const worker = new Worker(new URL('./proxy-thread.ts', import.meta.url), {
      workerData,
      name: `proxy-${workerData.number}`,
    })
    /** Those who wait for an answer to an update, in the order that they asked. */
    const updated: ((error: string | null) => void)[] = []
    const exited = new Promise<void>((resolve) =>
      worker.on('exit', () => {
        for (const settle of updated.splice(0)) settle(null)
        resolve()
      }),
    )
    const listening = new Promise<number | null>((resolve, reject) => {
      worker.on('message', (message: ProxyMessage) => {
        if (message.type === 'listening') resolve(message.threadId)
        else if (message.type === 'failed') reject(new StartError(message.message))
        else if (message.type === 'manifest') options.onManifest(message.notice)
        else if (message.type === 'updated') updated.shift()?.(message.error)
        else if (message.type === 'redirect-host')
          options.onRedirectHost(message.upstream, message.host, message.seenMs)
        else if (message.cutOff > 0) options.log.warn({ cutOff: message.cutOff }, 'requests were cut off')
      })
      worker.on('error', reject)
      worker.on('exit', () => reject(new StartError('a proxy thread ended while it started')))
    })
    return { worker, exited, listening, updated }
  })
  const command = (message: ProxyCommand): void => {
    for (const { worker } of threads) worker.postMessage(message)
  }
  const tell = (deadlineMs: number): void => command({ type: 'stop', deadlineMs })
  const stop = async (deadlineMs: number): Promise<void> => {
    tell(deadlineMs)
    await Promise.all(threads.map(({ exited }) => exited))
  }
  try {
    const ids = await Promise.all(threads.map(({ listening }) => listening))
    const update: ProxyThreads['update'] = async (change) => {
      const errors = threads.map(({ worker, updated }) => {
        worker.postMessage({ type: 'update', ...change } satisfies ProxyCommand)
        return new Promise<string | null>((resolve) => updated.push(resolve))
      })
      return (await Promise.all(errors)).filter((error) => error !== null)
    }
    return {
      ids,
      update,
      stop,
      setTokenKeys: (keys) => command({ type: 'token-keys', keys }),
      hurry: () => tell(0),
      setBlock: (block) => command({ type: 'block', block }),
    }
  } catch (error) {
    await stop(0)
    throw error
  }
}

export type SessionThread = {
  setWatermark(oldestMs: number): void
  publishDeadLetters(letters: Extract<SessionCommand, { type: 'dead-letters' }>['letters']): void
  /** Hands the thread one end of a channel, of which a pool worker has the other. */
  connect(port: MessagePort): void
  stop(): Promise<void>
}

const restartDelayMs = 1000

/** Rejects when the thread cannot start; one that ends later is replaced, and `onReplaced` told. */
export async function startSessionThread(options: {
  data: SessionThreadData
  onLines(lines: string[]): void
  onReplaced(): void
  log: Logger
}): Promise<SessionThread> {
  let worker: Worker
  let stopping = false
  let exited: Promise<void>

  const spawn = (): Promise<void> => {
    worker = new Worker(new URL('./session-thread.ts', import.meta.url), {
      workerData: options.data,
      name: 'session',
    })
    return new Promise((resolve, reject) => {
      let ready = false
      worker.on('message', (message: SessionMessage) => {
        if (message.type === 'ready') {
          ready = true
          resolve()
        } else if (message.type === 'failed') reject(new StartError(message.message))
        else if (message.type === 'events') options.onLines(message.lines)
      })
      worker.on('error', (error) => {
        options.log.error({ err: error }, 'the session thread failed')
        reject(error)
      })
      exited = new Promise((done) => {
        worker.on('exit', () => {
          done()
          reject(new StartError('the session thread ended while it started'))
          if (ready && !stopping) setTimeout(replace, restartDelayMs)
        })
      })
    })
  }
  const replace = (): void => {
    if (stopping) return
    spawn().then(
      () => {
        options.log.warn({}, 'the session thread was replaced')
        options.onReplaced()
      },
      (error) => {
        options.log.error({ err: error }, 'the session thread could not be replaced')
        setTimeout(replace, restartDelayMs)
      },
    )
  }
  const send = (command: SessionCommand, transfer: MessagePort[] = []): void =>
    worker.postMessage(command, transfer)

  await spawn()
  return {
    setWatermark: (oldestMs) => send({ type: 'watermark', oldestMs }),
    publishDeadLetters: (letters) => send({ type: 'dead-letters', letters }),
    connect: (port) => send({ type: 'worker', port }, [port]),
    async stop() {
      stopping = true
      send({ type: 'stop' })
      await exited
    },
  }
}
