/**
 * The pool of workers: runs batches, and sees to it that every stream of the log has a worker that delivers it.
 */
import { MessageChannel } from 'node:worker_threads'
import { Piscina } from 'piscina'
import type { StreamInfo } from './log/keeper.ts'
import type { Logger } from './ops/logging.ts'
import type { SessionThread } from './threads.ts'
import type {
  WorkerCommand,
  WorkerHello,
  WorkerReply,
  WorkerTask,
  WorkerThreadData,
} from './worker-thread.ts'
import type { GeoDatabases } from './workers/geo-database.ts'
import {
  freeStatusRow,
  type LogTarget,
  logTargets,
  readStatus,
  type TargetStatus,
} from './workers/log-status.ts'

export type Pool = {
  run<Result>(task: WorkerTask): Promise<Result>
  /** What is in the log and not delivered, over all streams. */
  undelivered(): Record<LogTarget, TargetStatus>
  /** Streams with a living writer. */
  isLive(stream: string): boolean
  counts(): { count: number; waiting: number }
  /** New channels between the workers and the session thread, after that was replaced. */
  reconnect(): void
  /** All workers look addresses up in these from now on, those that come later too. */
  setGeo(geo: GeoDatabases): void
  /** Delivers what it can, then ends the workers; true: everything was delivered. */
  stop(deadlineMs: number): Promise<boolean>
}

/** A worker that spins is ended and replaced; an enriched batch takes milliseconds. */
const taskTimeoutMs = 30_000
/** Elastic pools keep an idle worker so long: starting one takes longer than most lulls. */
const idleTimeoutMs = 60_000
const maxQueue = 4096
/** Many times what a worker uses: one that leaks ends, and its batch is run on another. */
const maxOldGenerationSizeMb = 1024

type Member = {
  stream: string
  threadId: number
  send(command: WorkerCommand, transfer?: MessagePort[]): void
}
type MessagePort = WorkerHello['control']
/** A stream without a writer. `owner`: the thread that delivers it; null: it waits for one. */
type Orphan = { owner: number | null; targets: Record<LogTarget, TargetStatus> }

export function createPool(options: {
  data: WorkerThreadData
  threads: { min: number; max: number }
  /** Streams that earlier runs of the process left. */
  leftOver: readonly StreamInfo<LogTarget>[]
  sessions: SessionThread
  log: Logger
}): Pool {
  const { log } = options
  // Piscina copies it for each worker that it starts.
  const data = { ...options.data }
  const members = new Map<number, Member>()
  const orphans = new Map<string, Orphan>(
    options.leftOver.map(({ stream, targets }) => [stream, { owner: null, targets }]),
  )
  /** Streams of this run whose worker is gone: their folders may go once they are delivered. */
  const dead = new Set<string>()
  let stopping = false
  let onDrained: (threadId: number, complete: boolean) => void = () => undefined

  const pool = new Piscina({
    filename: new URL('./worker-thread.ts', import.meta.url).href,
    minThreads: options.threads.min,
    maxThreads: options.threads.max,
    idleTimeout: idleTimeoutMs,
    maxQueue,
    concurrentTasksPerWorker: 1,
    // Piscina's default parks an idle worker, and with it its sockets and timers.
    atomics: 'disabled',
    workerData: data,
    resourceLimits: { maxOldGenerationSizeMb },
  })
  // Without a listener an error outside of a task would end the process.
  pool.on('error', (error) => log.error({ err: error }, 'a pool worker failed outside of a task'))
  pool.on('message', (message: WorkerHello) => {
    if (message?.type === 'hello') welcome(message)
  })

  function welcome({ threadId, stream, control }: WorkerHello): void {
    const member: Member = {
      stream,
      threadId,
      send: (command, transfer = []) => control.postMessage(command, transfer),
    }
    members.set(threadId, member)
    control.on('message', (reply: WorkerReply) => hear(threadId, reply))
    control.on('close', () => bury(member))
    connect(member)
    // It may have been started with what was there before.
    member.send({ type: 'geo', geo: data.geo })
    assignOrphans()
  }

  function connect(member: Member): void {
    const { port1, port2 } = new MessageChannel()
    options.sessions.connect(port1)
    member.send({ type: 'sessions', port: port2 }, [port2])
  }

  function hear(threadId: number, reply: WorkerReply): void {
    if (reply.type === 'delivered') orphans.delete(reply.stream)
    else if (reply.type === 'drained') onDrained(threadId, reply.complete)
    // From now on the worker's own row tells of the stream.
    else orphans.set(reply.stream, { owner: threadId, targets: nothing() })
  }

  function bury(member: Member): void {
    members.delete(member.threadId)
    const row = [...readStatus(data.status).values()].find(({ threadId }) => threadId === member.threadId)
    const targets = row?.targets ?? nothing()
    freeStatusRow(data.status, member.threadId)
    if (stopping) return
    for (const orphan of orphans.values()) {
      if (orphan.owner !== member.threadId) continue
      orphan.owner = null
      orphan.targets = targets
    }
    dead.add(member.stream)
    orphans.set(member.stream, { owner: null, targets })
    assignOrphans()
  }

  function assignOrphans(): void {
    const waiting = [...orphans].filter(([, orphan]) => orphan.owner === null)
    const takers = [...members.values()]
    for (const [index, [stream, orphan]] of waiting.entries()) {
      const taker = takers[index % takers.length]
      if (!taker) return
      orphan.owner = taker.threadId
      taker.send({ type: 'adopt', stream })
    }
  }

  return {
    run: (task) => pool.run(task, { signal: AbortSignal.timeout(taskTimeoutMs) }),
    undelivered() {
      const parts = [
        ...[...readStatus(data.status).values()].map(({ targets }) => targets),
        ...[...orphans.values()].map(({ targets }) => targets),
      ]
      return Object.fromEntries(
        logTargets.map((target) => {
          const oldest = parts.map((part) => part[target].oldestMs).filter((ms) => ms !== null)
          const undelivered = parts.reduce((sum, part) => sum + part[target].undelivered, 0)
          return [target, { undelivered, oldestMs: oldest.length > 0 ? Math.min(...oldest) : null }]
        }),
      ) as Record<LogTarget, TargetStatus>
    },
    isLive: (stream) => stream.startsWith(data.boot) && !dead.has(stream),
    counts: () => ({ count: pool.threads.length, waiting: pool.queueSize }),
    setGeo(geo) {
      data.geo = geo
      for (const member of members.values()) member.send({ type: 'geo', geo })
    },
    reconnect() {
      for (const member of members.values()) connect(member)
    },
    async stop(deadlineMs) {
      const waiting = new Set(members.keys())
      const drained = new Promise<boolean>((resolve) => {
        let all = true
        onDrained = (threadId, complete) => {
          all &&= complete
          waiting.delete(threadId)
          if (waiting.size === 0) resolve(all)
        }
        if (waiting.size === 0) resolve(true)
      })
      stopping = true
      for (const member of members.values()) member.send({ type: 'drain', deadlineMs })
      // The workers keep the deadline themselves; one that does not answer is not waited for much longer.
      const late = AbortSignal.timeout(Math.ceil(deadlineMs) + 1000)
      const complete = await Promise.race([
        drained,
        new Promise<boolean>((resolve) => late.addEventListener('abort', () => resolve(false))),
      ])
      await pool.destroy()
      return complete
    },
  }
}

function nothing(): Record<LogTarget, TargetStatus> {
  return { sessions: { undelivered: 0, oldestMs: null }, publisher: { undelivered: 0, oldestMs: null } }
}
