/** One request of the storm and its answer, as its client saw them. */
import { createHash } from 'node:crypto'
import { Agent, type IncomingMessage, request } from 'node:http'
import type { Step } from './kinds.ts'

export type Exchange = {
  method: Step['method']
  what: Step['what']
  /** As it stood in the request. */
  reference: string
  status: number
  /** Body bytes that came. */
  bytes: number
  /** Position of the first of them. */
  offset: number
  /** They came to their end. */
  whole: boolean
  /** Unix ms. */
  sentMs: number
  endedMs: number
  /** Index of the node that was asked. */
  node: number
  /** Number of the client's token, 0 without. */
  token: number
}

export type Question = {
  method: Step['method']
  path: string
  headers: Record<string, string>
  node: number
  /** The client leaves after so many bytes of the body. */
  leaveAfter?: number
}

export type Reply = { status: number; body: Buffer; whole: boolean; sentMs: number; endedMs: number }

export type Asker = {
  /** Throws when there is no answer at all. */
  ask(question: Question): Promise<Reply>
  close(): void
}

const timeoutMs = 60_000
const maxTries = 4
const unread = new Error('the connection was closed before the request was read')

/** `hosts`: host:port of each node. Connections are shared by all clients, as those of a balancer are. */
export function createAsker(hosts: readonly string[]): Asker {
  const agent = new Agent({ keepAlive: true, maxSockets: 256, scheduling: 'lifo' })
  function askOnce({ method, path, headers, node, leaveAfter }: Question): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const [host, port] = (hosts[node] ?? '').split(':')
      const parts: Buffer[] = []
      let received = 0
      let sentMs = Date.now()
      const sent = request({ host, port, agent, method, path, headers }, (response: IncomingMessage) => {
        const finish = (whole: boolean): void => {
          clearTimeout(limit)
          const body = Buffer.concat(parts)
          resolve({ status: response.statusCode ?? 0, body, whole, sentMs, endedMs: Date.now() })
        }
        response.on('data', (part: Buffer) => {
          parts.push(part)
          received += part.length
          if (leaveAfter === undefined || received < leaveAfter) return
          finish(false)
          sent.destroy()
        })
        response.on('error', () => finish(false))
        response.on('end', () => finish(response.complete))
      })
      const limit = setTimeout(() => sent.destroy(new Error('no answer in time')), timeoutMs)
      // It may have waited for a connection.
      sent.on('socket', () => {
        sentMs = Date.now()
      })
      sent.on('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(limit)
        // RFC 9112, 9.3.1: an idle connection may end just as it is used again; nobody has read the request.
        if (sent.reusedSocket && error.code === 'ECONNRESET') reject(unread)
        else reject(error)
      })
      sent.end()
    })
  }
  return {
    async ask(question) {
      for (let tries = 1; ; tries++) {
        try {
          return await askOnce(question)
        } catch (error) {
          if (error !== unread || tries === maxTries) throw error
        }
      }
    },
    close: () => agent.destroy(),
  }
}

export function digestOf(body: Buffer): string {
  return `sha256:${createHash('sha256').update(body).digest('hex')}`
}
