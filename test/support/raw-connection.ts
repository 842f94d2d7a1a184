/** One connection that sends request heads as they are written, byte for byte, and reads whole answers. */
import { once } from 'node:events'
import { connect } from 'node:net'

export type RawAnswer = { status: number; headers: Map<string, string>; body: Buffer }

export type RawConnection = {
  /** `lines`: the head without its empty line. One request at a time; throws when no whole answer comes. */
  send(lines: readonly string[]): Promise<RawAnswer>
  close(): void
}

const timeoutMs = 30_000

/** `host`: address:port of plain HTTP. */
export async function openRawConnection(host: string): Promise<RawConnection> {
  const [address, port] = host.split(':')
  const socket = connect(Number(port), address)
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error('no answer in time')))
  let received = Buffer.alloc(0)
  let failure: Error | null = null
  let wake = (): void => undefined
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk])
    wake()
  })
  const end = (error: Error): void => {
    failure ??= error
    wake()
  }
  socket.on('error', end)
  socket.on('close', () => end(new Error('the connection was closed')))
  await once(socket, 'connect')

  /** The first `take()` that is not null, tried again whenever bytes come. */
  async function receive<Value>(take: () => Value | null): Promise<Value> {
    for (;;) {
      const value = take()
      if (value !== null) return value
      if (failure) throw failure
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }

  function takeBytes(length: number): Buffer | null {
    if (received.length < length) return null
    const taken = received.subarray(0, length)
    received = received.subarray(length)
    return taken
  }

  return {
    async send(lines) {
      socket.write(`${lines.join('\r\n')}\r\n\r\n`)
      const head = await receive(() => {
        const at = received.indexOf('\r\n\r\n')
        return at < 0 ? null : takeBytes(at + 4)
      })
      const [statusLine = '', ...fields] = head.toString('latin1').trimEnd().split('\r\n')
      const headers = new Map(
        fields.map((field) => {
          const at = field.indexOf(':')
          return [field.slice(0, at).toLowerCase(), field.slice(at + 1).trim()] as const
        }),
      )
      const status = Number(statusLine.split(' ')[1])
      if (headers.has('transfer-encoding')) throw new Error('a body without a length')
      const length = lines[0]?.startsWith('HEAD ') ? 0 : Number(headers.get('content-length') ?? 0)
      return { status, headers, body: await receive(() => takeBytes(length)) }
    },
    close: () => socket.destroy(),
  }
}
