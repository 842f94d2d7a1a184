/**
 * Delivers one stream of the log to both targets.
 */
import { createCursorFile } from '../log/cursors.ts'
import { type Corruption, createLogReader } from '../log/reader.ts'
import type { LogEntry } from '../record/events.ts'
import { createDeliverer, type Deliverer } from './deliverer.ts'
import type { EntryFilter } from './delivery-send.ts'
import type { DeliveryFrame } from './delivery-source.ts'
import { type LogTarget, logTargets } from './log-status.ts'

export type Target = {
  /** Name of what it depends on, for its circuit. */
  dependency: string
  /** null: it wants none. */
  filter: EntryFilter
  /** Resolves once the entries are safe there. */
  send(entries: LogEntry[]): Promise<unknown>
}
export type Targets = Record<LogTarget, Target>

export type Circuit = { tryPass(): boolean; succeeded(): void; failed(reason: number): void }

export type StreamDeliveryOptions = {
  directory: string
  stream: string
  /** Whether this thread's writer still appends to it. */
  live: boolean
  targets: Targets
  circuit(dependency: string): Circuit
  /** Index of the reason that an error stands for. */
  reasonOf(error: unknown): number
  timeoutMs: number
  log: { info(fields: object, message: string): void; warn(fields: object, message: string): void }
  onCorrupt(corruption: Corruption): void
}

export type StreamDelivery = {
  /** The frame just appended, in order. */
  offer(frame: DeliveryFrame): void
  /** Unix ms of the oldest entry not delivered; 0: not known yet; null: there is none. */
  oldestMs(target: LogTarget): number | null
  undelivered(target: LogTarget): number
  /** Waits up to `deadlineMs`; true: both targets have everything. */
  drain(deadlineMs: number): Promise<boolean>
  close(): Promise<void>
}

export function createStreamDelivery(options: StreamDeliveryOptions): StreamDelivery {
  const { directory, stream, live } = options
  const cursors = createCursorFile({
    directory,
    stream,
    targets: logTargets,
    onError: (error) => options.log.warn({ err: error, stream }, 'a cursor of the log was not written'),
  })
  const deliverers = Object.fromEntries(logTargets.map((name) => [name, deliverTo(name)])) as Record<
    LogTarget,
    Deliverer
  >

  function deliverTo(name: LogTarget): Deliverer {
    const { dependency, filter, send } = options.targets[name]
    const circuit = options.circuit(dependency)
    let reason = 0
    return createDeliverer({
      target: name,
      from: cursors.positions[name],
      openReader: (from) => createLogReader({ directory, stream, from, live, onCorrupt: options.onCorrupt }),
      cursor: { advance: (_target, position) => cursors.advance(name, position) },
      send: (entries) =>
        send(entries).catch((error) => {
          reason = options.reasonOf(error)
          throw error
        }),
      circuit: {
        tryPass: circuit.tryPass,
        succeeded: circuit.succeeded,
        failed: (failure) => circuit.failed(failure === 'timeout' ? timeoutReason(options) : reason),
      },
      filter,
      log: options.log,
      timeoutMs: options.timeoutMs,
    })
  }

  return {
    offer(frame) {
      for (const name of logTargets) deliverers[name].offer(frame)
    },
    oldestMs: (target) => deliverers[target].oldestMs(),
    undelivered: (target) => deliverers[target].undelivered(),
    async drain(deadlineMs) {
      const drained = await Promise.all(logTargets.map((name) => deliverers[name].drain(deadlineMs)))
      return drained.every(Boolean)
    },
    async close() {
      await Promise.all(logTargets.map((name) => deliverers[name].close()))
      cursors.close()
    },
  }
}

function timeoutReason({ reasonOf }: StreamDeliveryOptions): number {
  return reasonOf(Object.assign(new Error('timeout'), { code: 'TIMEOUT' }))
}
