/**
 * Loads one server from a fixed number of connections and compares every byte of every answer with what it
 * should be; cheap enough to keep nginx busy, which no client that builds an object for each answer does.
 */
import { connect, type Socket } from 'node:net'

export type Question = {
  path: string
  method?: 'GET' | 'HEAD'
  /** Bearer tokens, which the requests take in turns; none without. */
  tokens?: readonly string[]
  status: number
  /** Body bytes, as Content-Length says them. */
  length: number
  /** What the body must be; without it only its length is compared (tokens are random). */
  body?: Buffer
}

export type LoadResult = { requests: number; bytes: number; elapsedMs: number }

export type Loader = {
  /** Asks on every connection, one answer after the other, until the time is over and all are answered. */
  run(durationMs: number): Promise<LoadResult>
  close(): void
}

// As nginx and uWebSockets.js write at most so much at once, one read takes what is there.
const readBytes = 512 * 1024
const answerTimeoutMs = 30_000
const headEnd = Buffer.from('\r\n\r\n')

export async function openLoader(host: string, question: Question, connections: number): Promise<Loader> {
  const { hostname, port } = new URL(`http://${host}`)
  const head = `${question.method ?? 'GET'} ${question.path} HTTP/1.1\r\nHost: ${host}\r\n`
  const heads = question.tokens?.map((token) => `${head}Authorization: Bearer ${token}\r\n`) ?? [head]
  const questions = heads.map((lines) => Buffer.from(`${lines}\r\n`))
  const bodyBytes = question.method === 'HEAD' ? 0 : question.length
  // Every read is consumed before the next one, so one buffer serves all sockets.
  const buffer = Buffer.allocUnsafe(readBytes)
  const sockets: Socket[] = []
  let until = 0
  let turn = 0
  let waiting = 0
  let requests = 0
  let bytes = 0
  let closed = false
  let settle: { resolve(): void; reject(error: Error): void } | null = null

  const fail = (why: string): void => {
    if (closed) return
    closed = true
    for (const socket of sockets) socket.destroy()
    settle?.reject(new Error(`${question.path} of ${host}: ${why}`))
  }
  const ask = (socket: Socket): void => {
    socket.write(questions[turn++ % questions.length] as Buffer)
    waiting++
  }
  const answered = (socket: Socket): void => {
    requests++
    waiting--
    if (performance.now() < until) ask(socket)
    else if (waiting === 0) settle?.resolve()
  }

  const openSocket = (): Promise<void> =>
    new Promise((resolve, reject) => {
      let missing = -1
      let head = ''
      const consume = (length: number): void => {
        let at = 0
        if (missing < 0) {
          const end = buffer.subarray(0, length).indexOf(headEnd)
          head += buffer.toString('latin1', 0, end < 0 ? length : end)
          if (end < 0) return
          const wrong = findWrong(head, question)
          if (wrong !== null) return fail(wrong)
          head = ''
          at = end + headEnd.length
          missing = bodyBytes
        }
        const got = length - at
        if (got > missing) return fail('more bytes than announced')
        const from = bodyBytes - missing
        if (question.body && question.body.compare(buffer, at, length, from, from + got) !== 0)
          return fail('another body')
        missing -= got
        bytes += got
        if (missing > 0) return
        missing = -1
        answered(socket)
      }
      const socket = connect({
        host: hostname,
        port: Number(port),
        noDelay: true,
        onread: {
          buffer,
          callback(length) {
            consume(length)
            return true
          },
        },
      })
      sockets.push(socket)
      socket.setTimeout(answerTimeoutMs, () => {
        if (waiting > 0) fail('no answer in time')
      })
      socket.on('connect', () => resolve())
      socket.on('error', (error) => {
        reject(error)
        fail(error.message)
      })
      socket.on('close', () => fail('the connection was closed'))
    })

  for (let count = 0; count < connections; count++) await openSocket()
  return {
    async run(durationMs) {
      if (closed) throw new Error(`the connections to ${host} are closed`)
      requests = 0
      bytes = 0
      const startedMs = performance.now()
      until = startedMs + durationMs
      await new Promise<void>((resolve, reject) => {
        settle = { resolve, reject }
        for (const socket of sockets) ask(socket)
      })
      settle = null
      return { requests, bytes, elapsedMs: performance.now() - startedMs }
    },
    close() {
      closed = true
      for (const socket of sockets) socket.destroy()
    },
  }
}

function findWrong(head: string, question: Question): string | null {
  if (!head.startsWith(`HTTP/1.1 ${question.status} `)) return `status line ${head.slice(0, 40)}`
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1]
  return length === String(question.length) ? null : `Content-Length ${length}, not ${question.length}`
}
