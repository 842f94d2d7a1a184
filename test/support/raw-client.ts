/** Bytes as they are on a socket, and what came back: for requests that no client would send. */
import { connect, type Socket } from 'node:net'

export type Spoken = {
  /** All that came back, as Latin-1. */
  text: string
  /** The front has ended the connection; otherwise it was this side, as `enough` was content. */
  closed: boolean
  /** Statuses of all answers in order, 1xx included. */
  statuses: number[]
  tookMs: number
}

export type SpeakOptions = {
  /** Leaves when it says so; by default only the front ends the connection. */
  enough?: (text: string) => boolean
  /** Rejects when neither has ended by then. */
  timeoutMs?: number
  /** Between the pieces; 0: one event-loop turn. */
  gapMs?: number
  localAddress?: string
}

export function speak(
  port: number,
  pieces: string | readonly string[],
  options: SpeakOptions = {},
): Promise<Spoken> {
  const { enough, timeoutMs = 25_000, gapMs = 0, localAddress } = options
  return new Promise((resolve, reject) => {
    const startedMs = performance.now()
    const socket: Socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      ...(localAddress && { localAddress }),
    })
    let text = ''
    const timer = setTimeout(() => {
      socket.destroy()
      reject(
        new Error(`neither closed nor enough after ${timeoutMs} ms: ${JSON.stringify(text.slice(0, 300))}`),
      )
    }, timeoutMs)
    const finish = (closed: boolean): void => {
      clearTimeout(timer)
      socket.destroy()
      const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))
      resolve({ text, closed, statuses, tookMs: performance.now() - startedMs })
    }
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      if (enough?.(text)) finish(false)
    })
    socket.on('error', () => undefined)
    socket.on('close', () => finish(true))
    const queue = [pieces].flat()
    const next = (): void => {
      const piece = queue.shift()
      if (piece === undefined || socket.destroyed) return
      socket.write(Buffer.from(piece, 'latin1'), () =>
        gapMs > 0 ? setTimeout(next, gapMs) : setImmediate(next),
      )
    }
    socket.on('connect', next)
  })
}

/** As many whole answers as this; of bodies with Content-Length alone. */
export function answered(count: number): (text: string) => boolean {
  return (text) => {
    let rest = text
    for (let answer = 0; answer < count; answer++) {
      const end = rest.indexOf('\r\n\r\n')
      if (end < 0) return false
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(rest.slice(0, end + 2))?.[1] ?? 0)
      if (rest.length < end + 4 + length) return false
      rest = rest.slice(end + 4 + length)
    }
    return true
  }
}
