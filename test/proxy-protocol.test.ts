import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { type ConnectOpts, connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { createCertificates } from './support/certificates.ts'
import { type FaultUpstream, startFaultUpstream } from './support/fault-upstream.ts'
import { startFront, type TestFront } from './support/front.ts'

const get = (path = '/v2/') => `GET ${path} HTTP/1.1\r\nHost: cr.example.io\r\n\r\n`
const line = 'PROXY TCP4 192.0.2.7 127.0.0.1 12345 80\r\n'
const stranger = '127.0.0.2'
const trusted = '127.0.0.1'

function binary(address: number[], fields: number[] = []): string {
  const bytes = [0x21, 0x11, 0, 12 + fields.length, ...address, 127, 0, 0, 1, 0x30, 0x39, 0, 80, ...fields]
  return Buffer.concat([Buffer.from('0d0a0d0a000d0a515549540a', 'hex'), Buffer.from(bytes)]).toString(
    'latin1',
  )
}

let upstream: FaultUpstream
let front: TestFront
let plain: TestFront

beforeAll(async () => {
  upstream = await startFaultUpstream()
  front = await startFront({
    upstream: upstream.url,
    auth: 'token',
    trustedProxies: [trusted],
    proxyProtocol: true,
    limits: { connectionsPerClient: 4 },
  })
  plain = await startFront({ upstream: upstream.url, trustedProxies: [trusted] })
})
afterAll(async () => {
  await front.stop()
  await plain.stop()
  await upstream.stop()
})
beforeEach(() => {
  front.records.length = 0
  front.refusals.length = 0
  plain.records.length = 0
})

type Talk = { text: string; closed: boolean; socket: Socket }

/** From `source`, in pieces of one event-loop turn each, until `answers` heads have come or the connection ends. */
function talk(target: { port: number }, source: string, pieces: string[], answers = 1): Promise<Talk> {
  return new Promise((resolve, reject) => {
    const options = { port: target.port, host: '127.0.0.1', localAddress: source } satisfies ConnectOpts
    const socket = connect(options)
    let text = ''
    const timer = setTimeout(() => reject(new Error(`nothing more after ${text}`)), 8000)
    const finish = (closed: boolean): void => {
      clearTimeout(timer)
      resolve({ text, closed, socket })
    }
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      if (text.split('HTTP/1.1 ').length > answers) finish(false)
    })
    socket.on('error', () => undefined)
    socket.on('close', () => finish(true))
    const queue = [...pieces]
    const next = (): void => {
      const piece = queue.shift()
      if (piece !== undefined && !socket.destroyed)
        socket.write(Buffer.from(piece, 'latin1'), () => setImmediate(next))
    }
    socket.on('connect', next)
  })
}

const addresses = (of: TestFront) =>
  of.records.map(({ address }) => Buffer.from(address).toString('hex').slice(24))

test.each([
  ['version 1', line, 'c0000207'],
  ['version 1, nobody named', 'PROXY UNKNOWN\r\n', '7f000001'],
  ['version 2', binary([198, 51, 100, 9]), 'c6336409'],
])('a trusted balancer names the client: %s', async (_name, header, address) => {
  for (const pieces of [[header + get()], [...header, get()], [header, get()]]) {
    const { text, socket } = await talk(front, trusted, pieces)
    socket.destroy()
    expect(text).toMatch(/^HTTP\/1\.1 401 /)
    expect(addresses(front)).toEqual([address])
    front.records.length = 0
  }
  expect(front.refusals).toEqual([])
})

test('the whole connection is that client, whatever it sends later', async () => {
  const { text, socket } = await talk(front, trusted, [line + get(), binary([203, 0, 113, 9]) + get()], 2)
  socket.destroy()
  const forged = addresses(front)
  expect(forged.filter((address) => address !== 'c0000207')).toEqual([])
  expect(text).toMatch(/^HTTP\/1\.1 401 /)
  const forwarded = 'X-Forwarded-For: 203.0.113.9\r\n\r\n'
  const second = await talk(front, trusted, [line + get().replace('\r\n\r\n', `\r\n${forwarded}`)])
  second.socket.destroy()
  expect(addresses(front).at(-1)).toBe('c0000207')
})

test.each([
  ['version 1', line],
  ['version 2', binary([203, 0, 113, 9])],
  ['a broken header', 'PROXY TCP4 x y 1 2\r\n'],
])('a stranger who names a client is closed: %s', async (_name, header) => {
  const { text, closed } = await talk(front, stranger, [header + get()])
  expect([text, closed, front.records, front.refusals]).toEqual(['', true, [], ['proxy_header']])
})

test('a stranger who names nobody is who it is', async () => {
  const { text, socket } = await talk(front, stranger, [get()])
  socket.destroy()
  expect(text).toMatch(/^HTTP\/1\.1 401 /)
  expect(addresses(front)).toEqual(['7f000002'])
})

test('a trusted balancer that names nobody is closed, as no guess is safe', async () => {
  const { text, closed } = await talk(front, trusted, [get()])
  expect([text, closed, front.records, front.refusals]).toEqual(['', true, [], ['proxy_header']])
})

test('what the balancer says of TLS decides the scheme of the challenge', async () => {
  for (const [flag, scheme] of [
    [1, 'https'],
    [0, 'http'],
  ] as const) {
    const header = binary([192, 0, 2, 7], [0x20, 0, 5, flag, 0, 0, 0, 0])
    const { text, socket } = await talk(front, trusted, [header + get()])
    socket.destroy()
    expect(text).toContain(`realm="${scheme}://cr.example.io/token"`)
  }
})

test('one client gets no more connections than it may have, and its places back', async () => {
  const held: Talk[] = []
  for (let number = 0; number < 4; number++) held.push(await talk(front, trusted, [line + get()]))
  expect(await talk(front, trusted, [line + get()])).toMatchObject({ text: '', closed: true })
  expect(front.refusals).toEqual(['client_connections'])
  const other = await talk(front, trusted, [line.replace('192.0.2.7', '192.0.2.8') + get()])
  expect(other.text).toMatch(/^HTTP\/1\.1 401 /)
  for (const { socket } of [...held, other]) socket.destroy()
  await vi.waitFor(async () => {
    const again = await talk(front, trusted, [line + get()])
    again.socket.destroy()
    expect(again.text).toMatch(/^HTTP\/1\.1 401 /)
  })
})

test('before TLS as well', async () => {
  const { cert, key, ca } = await createCertificates()
  const secure = await startFront({
    upstream: upstream.url,
    auth: 'open',
    trustedProxies: [trusted],
    proxyProtocol: true,
    tls: { cert, key },
  })
  const socket = connect(secure.port, '127.0.0.1')
  socket.write(line)
  const text = await new Promise<string>((resolve, reject) => {
    const inner = connectTls({ socket, ca: readFileSync(ca), servername: 'localhost' }, () =>
      inner.write(get()),
    )
    inner.once('data', (chunk) => resolve(chunk.toString()))
    inner.on('error', reject)
  })
  socket.destroy()
  expect(text).toMatch(/^HTTP\/1\.1 200 /)
  expect(addresses(secure)).toEqual(['c0000207'])
  await secure.stop()
})

test('with the setting off no header sets an address, whoever sends it', async () => {
  for (const source of [trusted, stranger]) {
    const two = await talk(plain, source, [binary([203, 0, 113, 9]) + get()])
    two.socket.destroy()
    const one = await talk(plain, source, [line + get()])
    expect(one.text).toMatch(/^(?:HTTP\/1\.1 (?:400|505) |$)/)
    one.socket.destroy()
  }
  expect(new Set(addresses(plain))).toEqual(new Set(['7f000001', '7f000002']))
})

test('another program of this host cannot come in by the way that passages take', async () => {
  const before = front.records.length
  for (const port of ownPorts()) {
    if (port === front.port || port === plain.port || port === Number(upstream.host.split(':')[1])) continue
    const outcome = await talk({ port }, '127.64.0.1', [get()])
    expect([outcome.text, outcome.closed]).toEqual(['', true])
  }
  expect(front.records.length).toBe(before)
  expect(ownPorts().length).toBeGreaterThan(3)
})

/** Where this process listens on 127.0.0.1. */
function ownPorts(): number[] {
  const inodes = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1]
    } catch {
      return undefined
    }
  })
  const rows = readFileSync('/proc/self/net/tcp', 'utf8').trim().split('\n').slice(1)
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === '0A' && inodes.includes(inode))
    .map(([, local = '']) => Number.parseInt(local.split(':')[1] ?? '', 16))
}
