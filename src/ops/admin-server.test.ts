import { connect } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type AdminServer, createAdminServer, type Readiness, type ServingState } from './admin-server.ts'

let server: AdminServer
let url: string
let state: ServingState
let renderMetrics: () => Promise<string>
const errors: unknown[] = []

beforeEach(async () => {
  state = 'serving'
  renderMetrics = async () => 'up 1\n'
  errors.length = 0
  server = await createAdminServer({
    host: '127.0.0.1',
    port: 0,
    metrics: () => renderMetrics(),
    metricsType: 'text/plain; version=0.0.4; charset=utf-8',
    readiness: (): Readiness => ({
      state,
      since: '2026-01-01T00:00:00.000Z',
      dependencies: { redis: { state: 'down', since: '2026-01-01T00:00:00.000Z', why: 'connect' } },
      sections: { geo: { database: 'city' } },
    }),
    log: { error: (fields) => void errors.push(fields) },
  })
  url = `http://127.0.0.1:${server.port}`
})
afterEach(() => server.close())

test.each([
  ['/', 200, 'text/html; charset=utf-8', /href="\/metrics".*href="\/healthz".*href="\/readyz"/],
  ['/metrics', 200, 'text/plain; version=0.0.4; charset=utf-8', /^up 1\n$/],
  ['/metrics?x=1', 200, 'text/plain; version=0.0.4; charset=utf-8', /^up 1\n$/],
  ['/healthz', 200, 'text/plain; charset=utf-8', /^ok\n$/],
  ['/v2/', 404, 'text/plain; charset=utf-8', /not found/],
  ['/metrics/', 404, 'text/plain; charset=utf-8', /not found/],
] as const)('GET %s gives %d, and HEAD the same without a body', async (path, status, type, body) => {
  const got = await fetch(`${url}${path}`)
  expect([got.status, got.headers.get('content-type')]).toEqual([status, type])
  expect(await got.text()).toMatch(body)
  const head = await fetch(`${url}${path}`, { method: 'HEAD' })
  expect([head.status, head.headers.get('content-length')]).toEqual([
    status,
    got.headers.get('content-length'),
  ])
  expect(await head.text()).toBe('')
})

test.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])(
  '%s is not allowed, and its body not read',
  async (method) => {
    const got = await fetch(`${url}/metrics`, { method, body: 'x'.repeat(1e5) })
    expect([got.status, got.headers.get('allow'), got.headers.get('connection')]).toEqual([
      405,
      'GET, HEAD',
      'close',
    ])
  },
)

test('a dead dependency does not make it unready while traffic is served', async () => {
  const got = await fetch(`${url}/readyz`)
  expect(got.status).toBe(200)
  expect(await got.json()).toEqual({
    status: 'serving',
    since: '2026-01-01T00:00:00.000Z',
    dependencies: { redis: { state: 'down', since: '2026-01-01T00:00:00.000Z', why: 'connect' } },
    geo: { database: 'city' },
  })
})

test.each(['starting', 'stopping', 'no_listener'] as const)('%s: not ready, but alive', async (now) => {
  state = now
  const ready = await fetch(`${url}/readyz`)
  expect([ready.status, ((await ready.json()) as { status: string }).status]).toEqual([503, now])
  expect((await fetch(`${url}/healthz`)).status).toBe(200)
})

test('scrapes at the same time share one rendering', async () => {
  let renderings = 0
  let finish: () => void = () => undefined
  renderMetrics = () =>
    new Promise((resolve) => {
      renderings += 1
      finish = () => resolve('up 1\n')
    })
  const both = Promise.all([fetch(`${url}/metrics`), fetch(`${url}/metrics`), fetch(`${url}/healthz`)])
  await fetch(`${url}/healthz`)
  await expect.poll(() => renderings).toBe(1)
  finish()
  expect((await both).map((got) => got.status)).toEqual([200, 200, 200])
})

test('metrics that fail are a 500 that says nothing, and a log line without addresses', async () => {
  renderMetrics = async () => {
    throw new Error('cannot reach 192.0.2.7')
  }
  const got = await fetch(`${url}/metrics`)
  expect([got.status, await got.text()]).toEqual([500, 'internal error\n'])
  expect(errors).toEqual([{ path: '/metrics', err: 'Error: cannot reach [address]' }])
})

test('heads that are too large are refused', async () => {
  const got = await fetch(`${url}/healthz`, { headers: { 'x-large': 'x'.repeat(20_000) } })
  expect(got.status).toBe(431)
})

test('an occupied port is said by its code', async () => {
  await expect(
    createAdminServer({
      host: '127.0.0.1',
      port: server.port,
      metrics: async () => '',
      metricsType: 'text/plain',
      readiness: () => ({ state, since: '', dependencies: {} }),
      log: { error: () => undefined },
    }),
  ).rejects.toMatchObject({ code: 'EADDRINUSE' })
})

test('close ends even while a client holds its connection open', async () => {
  const socket = connect(server.port, '127.0.0.1')
  await new Promise((resolve) => socket.once('connect', resolve))
  socket.write('GET /healthz HTTP/1.1\r\n')
  const gone = new Promise((resolve) => socket.once('close', resolve))
  await server.close()
  await gone
})
