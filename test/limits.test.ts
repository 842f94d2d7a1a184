/** How much one client, and all of them, may have at once. */
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createGate, type FaultUpstream, startFaultUpstream } from './support/fault-upstream.ts'
import { type FrontOptions, startFront, type TestFront } from './support/front.ts'
import { answered, speak } from './support/raw-client.ts'

const blob = `/v2/app/blobs/sha256:${'b'.repeat(64)}`
let upstream: FaultUpstream
let front: TestFront
let sockets: Socket[]

beforeEach(async () => {
  upstream = await startFaultUpstream()
  sockets = []
})
afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  await front.stop()
  await upstream.stop()
})

async function start(options: Partial<FrontOptions>): Promise<void> {
  front = await startFront({ upstream: upstream.url, ...options })
}

const get = (path: string, client?: string) =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\n${client ? `X-Forwarded-For: ${client}\r\n` : ''}\r\n`
const ask = (path: string, client?: string) => speak(front.port, get(path, client), { enough: answered(1) })

test('behind a trusted proxy each client has its own share of requests, and gets it back', async () => {
  await start({ trustedProxies: ['127.0.0.1'], limits: { connectionsPerClient: 3 } })
  const gate = createGate()
  upstream.answer(blob, { headAfter: gate.opened, body: 'x' })
  const held = [1, 2, 3].map(() => ask(blob, '192.0.2.7'))
  await expect.poll(() => upstream.seen).toHaveLength(3)
  const refused = await ask(blob, '192.0.2.7')
  expect(refused.statuses).toEqual([429])
  expect(refused.text).toContain('\r\nRetry-After: 5\r\n')
  expect(refused.text).toContain('"TOOMANYREQUESTS"')
  expect(front.refusals).toEqual(['client_requests'])
  // What is answered here does not count, and others lose nothing.
  expect((await ask('/v2/', '192.0.2.7')).statuses).toEqual([200])
  const other = ask(blob, '192.0.2.8')
  await expect.poll(() => upstream.seen).toHaveLength(4)
  gate.release()
  for (const { statuses } of await Promise.all([...held, other])) expect(statuses).toEqual([200])
  for (let round = 0; round < 10; round++) expect((await ask(blob, '192.0.2.7')).statuses).toEqual([200])
})

test('places come back from requests that fail and from clients that leave', async () => {
  await start({ limits: { connectionsPerClient: 2, firstByteTimeoutMs: 500 } })
  for (let round = 0; round < 6; round++) {
    upstream.answer(blob, { breakAt: { bytes: -1, how: 'reset' } })
    expect((await ask(blob)).statuses).toEqual([502])
    const gate = createGate()
    upstream.answer(blob, { headAfter: gate.opened })
    const socket = connect(front.port, '127.0.0.1', () => socket.write(get(blob)))
    await expect.poll(() => front.proxy.active()).toBe(1)
    socket.destroy()
    await expect.poll(() => front.proxy.active()).toBe(0)
    gate.release()
  }
  upstream.answer(blob, { body: 'x' })
  expect((await ask(blob)).statuses).toEqual([200])
  expect(front.refusals).toEqual([])
})

test('a client that leaves keeps its place while what it asked for goes on for others', async () => {
  await start({ limits: { connectionsPerClient: 2 } })
  const gate = createGate()
  const tags = ['a', 'b', 'c'].map((tag) => `/v2/app/manifests/${tag}`)
  for (const path of tags) upstream.answer(path, { status: 404, headAfter: gate.opened })
  for (const path of tags.slice(0, 2)) {
    const socket = connect(front.port, '127.0.0.1', () => socket.write(get(path)))
    await expect.poll(() => front.proxy.active()).toBe(1)
    socket.destroy()
    await expect.poll(() => front.proxy.active()).toBe(0)
  }
  expect((await ask(tags[2] as string)).statuses).toEqual([429])
  gate.release()
  await expect.poll(async () => (await ask(tags[2] as string)).statuses).toEqual([404])
  for (let round = 0; round < 10; round++)
    expect((await ask(`/v2/app/manifests/d${round}`)).statuses).toEqual([404])
})

function open(source: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port: front.port, host: '127.0.0.1', localAddress: source }, () =>
      socket.write(get('/v2/')),
    )
    sockets.push(socket)
    socket.once('data', () => resolve(true))
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(false))
  })
}

test('one connection more than there may be is closed', async () => {
  await start({ limits: { connections: 20 } })
  for (let number = 0; number < 20; number++) expect(await open(`127.0.0.${2 + number}`)).toBe(true)
  expect(await open('127.0.0.90')).toBe(false)
  expect(front.refusals).toEqual(['connections'])
  sockets.shift()?.destroy()
  await expect.poll(() => open('127.0.0.91')).toBe(true)
})

test('where connections run short one client gets no more than its share, and leaves room for others', async () => {
  await start({ limits: { connections: 20, connectionsPerClient: 5 } })
  // As long as there is room nobody is judged.
  for (let number = 0; number < 10; number++) expect(await open('127.0.0.2')).toBe(true)
  expect(await open('127.0.0.2')).toBe(false)
  expect(front.refusals).toEqual(['client_connections'])
  for (let number = 0; number < 5; number++) expect(await open('127.0.0.3')).toBe(true)
  expect(await open('127.0.0.3')).toBe(false)
})

test('a balancer that nobody declared is told of once, without its address', async () => {
  await start({})
  for (let round = 0; round < 3; round++) await ask('/v2/', '192.0.2.7')
  expect(front.untrustedForwarded()).toBe(3)
  expect(front.warnings).toEqual([
    'X-Forwarded-For from a private address that is not in trustedProxies is ignored',
  ])
})
