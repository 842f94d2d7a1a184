import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { createUpstreamClient, requestText, type UpstreamClient } from './upstream-client.ts'
import type { UpstreamConnection } from './upstream-connection.ts'

type Peer = { socket: Socket; asked: string[] }

let server: Server
let client: UpstreamClient
let peers: Peer[] = []
let origin = ''

const limits = { connectTimeoutMs: 5000, headTimeoutMs: 5000, bodyTimeoutMs: 5000, keepAliveMs: 60_000 }

/** `answer` is called with each request that came whole. */
async function start(
  answer: (socket: Socket, path: string) => void,
  changes: Partial<typeof limits> = {},
): Promise<void> {
  peers = []
  server = createServer((socket) => {
    const peer: Peer = { socket, asked: [] }
    peers.push(peer)
    socket.on('error', () => undefined)
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        peer.asked.push(text.slice(0, end))
        const path = text.split(' ')[1] ?? ''
        text = text.slice(end + 4)
        answer(socket, path)
      }
    })
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  origin = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  client = createUpstreamClient({ ...limits, ...changes })
}

afterEach(async () => {
  client.close()
  for (const { socket } of peers) socket.destroy()
  await new Promise((closed) => server.close(closed))
})

type Result = { status: number; body: string; reason: string }

function ask(
  path = '/',
  options: { isFresh?: boolean; onHead?: (connection: () => UpstreamConnection) => void } = {},
) {
  const result: Result = { status: 0, body: '', reason: '' }
  let connection: UpstreamConnection | null = null
  const done = new Promise<Result>((resolve) => {
    connection = client.origin(origin).ask(
      { method: 'GET', path, headers: ['accept', '*/*'], authorization: '' },
      {
        onHead(head) {
          result.status = head.status
          options.onHead?.(() => connection as unknown as UpstreamConnection)
        },
        onData(chunk) {
          result.body += chunk.toString('latin1')
        },
        onEnd: () => resolve(result),
        onFail(reason) {
          result.reason = reason
          resolve(result)
        },
      },
      options.isFresh ?? false,
    )
  })
  return { done, result, connection: connection as unknown as UpstreamConnection }
}

const sized = (body: string, more = '') =>
  `HTTP/1.1 200 OK\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`
const open = () => peers.filter(({ socket }) => !socket.destroyed).length

test('a request is written as HTTP, and its connection used again', async () => {
  await start((socket, path) => socket.write(sized(path)))
  expect((await ask('/a?b=c').done).body).toBe('/a?b=c')
  expect((await ask('/d').done).body).toBe('/d')
  expect(peers).toHaveLength(1)
  expect(peers[0]?.asked[0]?.split('\r\n')).toEqual([
    'GET /a?b=c HTTP/1.1',
    `host: ${new URL(origin).host}`,
    'connection: keep-alive',
    'accept: */*',
  ])
})

test('a connection has one request at a time', async () => {
  const held: (() => void)[] = []
  await start((socket, path) => held.push(() => socket.write(sized(path))))
  const all = ['/1', '/2', '/3'].map((path) => ask(path).done)
  await expect.poll(() => held.length).toBe(3)
  expect(peers.map(({ asked }) => asked.length)).toEqual([1, 1, 1])
  for (const go of held) go()
  expect((await Promise.all(all)).map(({ body }) => body)).toEqual(['/1', '/2', '/3'])
})

test('a fresh connection is one that nobody has used', async () => {
  await start((socket, path) => socket.write(sized(path)))
  await ask().done
  await ask('/', { isFresh: true }).done
  expect(peers).toHaveLength(2)
})

test.each([
  ['the upstream says close', sized('a', 'Connection: close\r\n')],
  ['more came than was announced', `${sized('a')}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`],
  ['the upstream keeps it for no longer than it takes', sized('a', 'Keep-Alive: timeout=2\r\n')],
])('a connection is not used again when %s', async (_name, answer) => {
  await start((socket) => socket.write(answer))
  expect((await ask().done).body).toBe('a')
  expect((await ask().done).body).toBe('a')
  expect(peers.map(({ asked }) => asked.length)).toEqual([1, 1])
})

test('what comes unasked ends an idle connection', async () => {
  await start((socket) => socket.write(sized('a')))
  await ask().done
  peers[0]?.socket.write(sized('evil'))
  await expect.poll(open).toBe(0)
  expect((await ask().done).body).toBe('a')
})

test('an idle connection that the upstream closes is let go, and one that is old', async () => {
  await start((socket) => socket.write(sized('a')), { keepAliveMs: 50 })
  await ask().done
  peers[0]?.socket.end()
  await expect.poll(open).toBe(0)
  await ask().done
  expect(peers).toHaveLength(2)
  // Connections are looked at once a second.
  await expect.poll(open, { timeout: 10_000 }).toBe(0)
})

test.each([
  ['connect', '', 'http://127.0.0.1:1', 'connect'],
  ['a head that does not come', '', '', 'timeout_first_byte'],
  ['a head that does not end', 'HTTP/1.1 200 OK\r\nX: ', '', 'timeout_first_byte'],
  ['a body that does not end', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na', '', 'timeout_body'],
  ['a body that breaks off', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na!', '', 'reset'],
  ['no HTTP', 'SSH-2.0\r\n', '', 'protocol'],
])('%s', async (_name, text, elsewhere, reason) => {
  const limitMs = text.endsWith('!') ? limits : { headTimeoutMs: 100, bodyTimeoutMs: 100 }
  await start((socket) => {
    if (text.endsWith('!')) socket.end(text)
    else socket.write(text)
  }, limitMs)
  if (elsewhere !== '') origin = elsewhere
  expect((await ask().done).reason).toBe(reason)
  await expect.poll(open).toBe(0)
})

test('nothing more is heard after drop, and little that is left does not cost the connection', async () => {
  await start((socket, path) => {
    if (path === '/') socket.write('HTTP/1.1 307 Go\r\nContent-Length: 1000\r\n\r\n')
    else socket.write(sized(path))
  })
  const { result } = ask('/', { onHead: (connection) => setImmediate(() => connection().drop()) })
  await expect.poll(() => result.status).toBe(307)
  // Its connection is still to be read.
  expect((await ask('/other').done).body).toBe('/other')
  expect(open()).toBe(2)
  peers[0]?.socket.write('x'.repeat(1000))
  // Until as many requests at once as there are connections take that one, too.
  const used = async () => {
    await Promise.all(Array.from({ length: open() }, () => ask('/next').done))
    return peers[0]?.asked.length
  }
  await expect.poll(used).toBeGreaterThan(1)
  expect(result).toEqual({ status: 307, body: '', reason: '' })
})

test.each([
  ['much', 'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n'],
  ['nobody knows how much', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
])('drop ends the connection when %s is left', async (_name, text) => {
  await start((socket) => socket.write(text))
  const { result, connection } = ask()
  await expect.poll(() => result.status).toBe(200)
  connection.drop()
  // At once: what is read to its end may take 5 s.
  await expect.poll(open, { timeout: 4000 }).toBe(0)
})

test('a paused answer waits in the sockets, and goes on to the same bytes', async () => {
  const body = Array.from({ length: 2_000_000 }, (_, at) => String.fromCharCode(97 + (at % 26))).join('')
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${8 * body.length}\r\n\r\n`
  await start((socket) => {
    socket.write(head)
    for (let part = 0; part < 8; part++) socket.write(body)
  })
  const { done, result, connection } = ask('/', { onHead: (own) => setImmediate(() => own().pause()) })
  await expect.poll(() => result.status).toBe(200)
  // All that the system holds of it has come by then, and the rest cannot be sent.
  await expect.poll(() => peers[0]?.socket.writableLength ?? 0).toBeGreaterThan(0)
  const before = result.body.length
  await new Promise(setImmediate)
  expect(result.body.length - before).toBeLessThan(128 * 1024)
  connection.resume()
  expect((await done).body === body.repeat(8)).toBe(true)
})

const request = { method: 'GET', path: '/a', headers: ['accept', '*/*'], authorization: 'Bearer x' } as const

test.each([
  ['a request', true, {}],
  ['latin-1', true, { headers: ['x', 'caf\xe9\t!'] }],
  ['a line in a value', false, { headers: ['x', 'a\r\nb: c'] }],
  ['a bare LF in a value', false, { headers: ['x', 'a\nb'] }],
  ['NUL in a value', false, { headers: ['x', '\0'] }],
  ['more than Latin-1', false, { headers: ['x', '\u0100'] }],
  ['a blank in a name', false, { headers: ['x y', 'a'] }],
  ['no name', false, { headers: ['', 'a'] }],
  ['a colon in a name', false, { headers: ['a:b', 'a'] }],
  ['a line in the credentials', false, { authorization: 'Bearer x\r\ny: z' }],
  ['a blank in the target', false, { path: '/a b' }],
  ['a line in the target', false, { path: '/a\r\nx' }],
  ['a target in absolute form', false, { path: 'http://a/b' }],
])('%s can be written: %s', (_name, expected, changes) => {
  expect(requestText('a:1', { ...request, ...changes }) !== null).toBe(expected)
})
