/**
 * A process of clients that read one blob at a given rate each and compare every byte; prints what came of it.
 * Arguments: one JSON object of `SlowReaders`.
 */
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'

export type SlowReaders = {
  host: string
  path: string
  /** What the body must be. */
  file: string
  clients: number
  bytesPerSecond: number
  durationMs: number
}

/** `wrong`: the first thing that was not as it should be. */
export type SlowReadersResult = { answered: number; bytes: number; finished: number; wrong: string | null }

export const script = fileURLToPath(import.meta.url)

// Clients take turns, so that the load is even: each gets its bytes every 100 ms.
const turnMs = 20
const turns = 5
const headEnd = Buffer.from('\r\n\r\n')

type Reader = { socket: Socket; allowance: number; paused: boolean }

async function read(options: SlowReaders): Promise<SlowReadersResult> {
  const expected = readFileSync(options.file)
  const { hostname, port } = new URL(`http://${options.host}`)
  const result: SlowReadersResult = { answered: 0, bytes: 0, finished: 0, wrong: null }
  const buffer = Buffer.allocUnsafe(64 * 1024)
  const share = (options.bytesPerSecond * turnMs * turns) / 1000
  let over = false

  const fail = (why: string): void => {
    if (!over) result.wrong ??= why
  }
  const openReader = (): Reader => {
    let received = -1
    const take = (length: number): number => {
      if (received >= 0) return check(0, length)
      // A head of some hundred bytes comes in one piece on loopback.
      const end = buffer.subarray(0, length).indexOf(headEnd)
      const head = buffer.toString('latin1', 0, Math.max(0, end))
      if (!head.startsWith('HTTP/1.1 200 ')) fail(`answer ${head.slice(0, 60)}`)
      if (Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1]) !== expected.length) fail('wrong length')
      result.answered++
      received = 0
      return check(end + headEnd.length, length)
    }
    const check = (from: number, to: number): number => {
      const count = to - from
      if (expected.compare(buffer, from, to, received, received + count) !== 0) fail('wrong bytes')
      received += count
      result.bytes += count
      if (received === expected.length) result.finished++
      return count
    }
    const socket = connect({
      host: hostname,
      port: Number(port),
      onread: {
        buffer,
        callback(length) {
          reader.allowance -= take(length)
          reader.paused = reader.allowance <= 0
          return !reader.paused
        },
      },
    })
    const reader: Reader = { socket, allowance: share, paused: false }
    socket.on('connect', () => socket.write(`GET ${options.path} HTTP/1.1\r\nHost: ${options.host}\r\n\r\n`))
    socket.on('error', (error) => fail(error.message))
    socket.on('close', () => fail('a connection was closed'))
    return reader
  }

  const readers = Array.from({ length: options.clients }, openReader)
  let turn = 0
  const timer = setInterval(() => {
    for (let index = turn++ % turns; index < readers.length; index += turns) {
      const reader = readers[index] as Reader
      // What could not be read is not saved up: a stall must not be followed by a burst.
      reader.allowance = Math.min(share, reader.allowance + share)
      if (!reader.paused || reader.allowance <= 0) continue
      reader.paused = false
      reader.socket.resume()
    }
  }, turnMs)
  await new Promise((resolve) => setTimeout(resolve, options.durationMs))
  over = true
  clearInterval(timer)
  for (const { socket } of readers) socket.destroy()
  return result
}

if (process.argv[1] === script) {
  const result = await read(JSON.parse(process.argv[2] ?? '') as SlowReaders)
  console.log(JSON.stringify(result))
}
