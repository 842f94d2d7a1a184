/** Asks another thread for something over a MessagePort and waits, for a bounded time, for its answer. */
import type { MessagePort, Transferable } from 'node:worker_threads'
import { describeError, scrub } from './describe-error.ts'

type Request = { id: number; method: string; argument: unknown }
type Reply = { id: number; result: unknown } | { id: number; error: { code: string; message: string } }

export const callErrorCodes = ['TIMEOUT', 'BUSY', 'CLOSED', 'UNKNOWN_METHOD', 'FAILED'] as const

export type CallError = Error & { code: string }

export type Caller = {
  /**
   * Resolves with what the handler gave. Rejects with a CallError: a code of `callErrorCodes`, or that of the
   * error the handler threw. After TIMEOUT the handler may still do its work.
   */
  call<Result = unknown>(
    method: string,
    argument: unknown,
    transfer?: readonly Transferable[],
  ): Promise<Result>
  /** Calls that wait for an answer. */
  pending(): number
  /** Closes the port; waiting calls reject with CLOSED. */
  close(): void
}

type Waiting = { resolve(result: unknown): void; reject(error: CallError): void; timer: NodeJS.Timeout }

export function createCaller(port: MessagePort, options: { timeoutMs: number; maxPending: number }): Caller {
  const waiting = new Map<number, Waiting>()
  let nextId = 1
  let open = true

  const take = (id: number): Waiting | undefined => {
    const entry = waiting.get(id)
    if (entry === undefined) return undefined
    waiting.delete(id)
    clearTimeout(entry.timer)
    return entry
  }
  port.on('message', (reply: Reply) => {
    // Without an entry it came after its timeout.
    const entry = take(reply.id)
    if (entry === undefined) return
    if ('error' in reply) entry.reject(callError(reply.error.code, reply.error.message))
    else entry.resolve(reply.result)
  })
  port.on('close', () => {
    open = false
    for (const id of [...waiting.keys()]) take(id)?.reject(callError('CLOSED', 'the other thread is gone'))
  })

  return {
    call<Result>(method: string, argument: unknown, transfer: readonly Transferable[] = []): Promise<Result> {
      if (!open) return Promise.reject(callError('CLOSED', 'the port is closed'))
      if (waiting.size >= options.maxPending) {
        return Promise.reject(callError('BUSY', `${options.maxPending} calls wait already`))
      }
      const id = nextId
      nextId += 1
      return new Promise<Result>((resolve, reject) => {
        const request: Request = { id, method, argument }
        // Before the entry is made: an argument that cannot be cloned throws here and rejects this promise.
        port.postMessage(request, transfer)
        const timer = setTimeout(() => {
          take(id)?.reject(callError('TIMEOUT', `${method} took longer than ${options.timeoutMs} ms`))
        }, options.timeoutMs)
        waiting.set(id, { resolve: resolve as (result: unknown) => void, reject, timer })
      })
    },
    pending: () => waiting.size,
    close() {
      port.close()
    },
  }
}

// The type of an argument is agreed between the two sides; a structured clone is all that passes.
export type Handlers = Record<string, (argument: never) => unknown>

/** Answers the calls of one port; `maxRunning` calls at a time, more are refused with BUSY. */
export function serveCalls(
  port: MessagePort,
  handlers: Handlers,
  options: { maxRunning?: number } = {},
): { close(): void } {
  const maxRunning = options.maxRunning ?? 1_024
  let running = 0
  const byName = new Map(Object.entries(handlers) as [string, (argument: unknown) => unknown][])

  const refuse = (id: number, code: string, message: string): void => {
    port.postMessage({ id, error: { code, message } } satisfies Reply)
  }
  const answer = async ({ id, method, argument }: Request): Promise<void> => {
    const handler = byName.get(method)
    if (handler === undefined) return refuse(id, 'UNKNOWN_METHOD', `no method ${scrub(method)}`)
    if (running >= maxRunning) return refuse(id, 'BUSY', `${maxRunning} calls run already`)
    running += 1
    try {
      const result = await handler(argument)
      // Posting to a port whose other side is gone does nothing.
      port.postMessage({ id, result } satisfies Reply)
    } catch (error) {
      // Errors of results that cannot be cloned arrive here too.
      const code =
        error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'FAILED'
      refuse(id, code, describeError(error))
    } finally {
      running -= 1
    }
  }
  port.on('message', (request: Request) => {
    answer(request).catch(() => refuse(request.id, 'FAILED', 'the answer could not be sent'))
  })
  return {
    close() {
      port.close()
    },
  }
}

function callError(code: string, message: string): CallError {
  return Object.assign(new Error(message), { code })
}
