import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type AuthProblem, createUpstreamAuth, type UpstreamAuth } from './upstream-auth.ts'

let nowMs = 1_000_000
let asked: { scope: string | null; authorization: string | undefined }[] = []
let answer: (response: ServerResponse, count: number) => void
let origin = ''
let auth: UpstreamAuth
let problems: AuthProblem[] = []

const server = createServer((request: IncomingMessage, response) => {
  const url = new URL(request.url ?? '', 'http://x')
  asked.push({ scope: url.searchParams.get('scope'), authorization: request.headers.authorization })
  answer(response, asked.length)
})

const tokenAnswer = (response: ServerResponse, count: number): void => {
  response.end(JSON.stringify({ token: `t${count}`, expires_in: 300 }))
}
const create = (credentials: { username: string; password: string } | null = null): UpstreamAuth =>
  createUpstreamAuth({
    ...{ origin, ca: null, credentials },
    timeoutMs: 5000,
    now: () => nowMs,
    onProblem: (problem) => problems.push(problem),
  })
const refused = (authorization = '') => ({
  challenge: `Bearer realm="${origin}/token",service="s",scope="repository:user/image:pull"`,
  authorization,
})

beforeEach(async () => {
  asked = []
  problems = []
  nowMs = 1_000_000
  answer = tokenAnswer
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  auth = create()
})
afterEach(async () => {
  await auth.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

test('one token for all that are challenged at once, by the repository, not by the placeholder', async () => {
  const all = await Promise.all(Array.from({ length: 20 }, () => auth.obtain('a/b', refused())))
  expect(new Set(all.map(({ kind }) => kind))).toEqual(new Set(['ready']))
  expect(asked).toEqual([{ scope: 'repository:a/b:pull', authorization: undefined }])
  expect(auth.authorization('a/b', nowMs)).toBe('Bearer t1')
  expect(auth.authorization('other', nowMs)).toBe('')
  expect(auth.wants('other', nowMs)).toBe(true)
})

test('renewed early, while the old one serves', async () => {
  await auth.obtain('a', refused())
  nowMs += 239_000
  expect(auth.wants('a', nowMs)).toBe(false)
  nowMs += 2000
  expect([auth.wants('a', nowMs), auth.wants('a', nowMs)]).toEqual([false, false])
  expect(auth.authorization('a', nowMs)).toBe('Bearer t1')
  await expect.poll(() => auth.authorization('a', nowMs)).toBe('Bearer t2')
  expect(asked).toHaveLength(2)
})

test('a refused token is fetched anew once, whoever was refused', async () => {
  await auth.obtain('a', refused())
  const old = auth.authorization('a', nowMs)
  expect(await auth.obtain('a', refused(old))).toEqual({ kind: 'ready' })
  // Another request was sent with the old one, and hears of it later.
  expect(await auth.obtain('a', refused(old))).toEqual({ kind: 'ready' })
  expect(asked).toHaveLength(2)
  auth.rejected('a')
  expect(await auth.obtain('a', refused(auth.authorization('a', nowMs)))).toEqual({ kind: 'denied' })
  nowMs += 10_001
  expect(await auth.obtain('a', refused(auth.authorization('a', nowMs)))).toEqual({ kind: 'ready' })
  expect(asked).toHaveLength(3)
})

test.each([401, 403, 404])(
  'a realm that says %i is not asked again for that repository at once',
  async (status) => {
    answer = (response) => response.writeHead(status).end()
    expect(await auth.obtain('a', refused())).toEqual({ kind: 'denied' })
    expect(await auth.obtain('a', refused())).toEqual({ kind: 'denied' })
    expect(asked).toHaveLength(1)
    expect(auth.wants('a', nowMs)).toBe(false)
    expect(problems).toEqual([])
  },
)

test.each([
  ['500', (response: ServerResponse) => response.writeHead(500).end()],
  ['a redirect', (response: ServerResponse) => response.writeHead(302, { Location: '/token2' }).end()],
  ['no JSON', (response: ServerResponse) => response.end('<html>')],
  ['no token', (response: ServerResponse) => response.end('{"token":""}')],
  ['a token with a line break', (response: ServerResponse) => response.end('{"token":"a\\r\\nX: y"}')],
  ['the end of the connection', (response: ServerResponse) => response.destroy()],
])('%s is a failure, of which the operator hears; a token that holds serves on', async (_name, bad) => {
  await auth.obtain('held', refused())
  answer = bad
  expect(await auth.obtain('a', refused())).toEqual({ kind: 'failed' })
  expect(await auth.obtain('b', refused())).toEqual({ kind: 'failed' })
  expect(asked).toHaveLength(2)
  expect(problems).toEqual(['realm_failed'])
  nowMs += 290_000
  expect(auth.wants('held', nowMs)).toBe(false)
  expect(auth.authorization('held', nowMs)).toBe('Bearer t1')
  answer = tokenAnswer
  expect(await auth.obtain('a', refused())).toEqual({ kind: 'ready' })
})

test('a realm that asks to slow down is left alone for that long', async () => {
  answer = (response) => response.writeHead(429, { 'Retry-After': '7' }).end()
  expect(await auth.obtain('a', refused())).toEqual({ kind: 'limited', retryAfter: '7' })
  nowMs += 2000
  expect(await auth.obtain('b', refused())).toEqual({ kind: 'limited', retryAfter: '5' })
  expect(asked).toHaveLength(1)
  expect(problems).toEqual(['realm_limited'])
})

test('configured credentials go to the realm, or to a registry that wants just those', async () => {
  await auth.close()
  auth = create({ username: 'me', password: 'pä:ss' })
  const basic = `Basic ${Buffer.from('me:pä:ss').toString('base64')}`
  expect(auth.authorization('a', nowMs)).toBe('')
  await auth.obtain('a', refused())
  expect(asked).toEqual([{ scope: 'repository:a:pull', authorization: basic }])
  const challenge = 'Basic realm="registry"'
  expect(await auth.obtain('a', { challenge, authorization: '' })).toEqual({ kind: 'ready' })
  expect(auth.authorization('b', nowMs)).toBe(basic)
  expect(await auth.obtain('a', { challenge, authorization: basic })).toEqual({ kind: 'denied' })
  expect(problems).toEqual(['credentials_refused'])
})

test('nothing to show to a registry that wants credentials', async () => {
  expect(await auth.obtain('a', { challenge: 'Basic realm="r"', authorization: '' })).toEqual({
    kind: 'denied',
  })
  expect(await auth.obtain('a', { challenge: '', authorization: '' })).toEqual({ kind: 'denied' })
})

test('a realm in a private network is not asked, and told of', async () => {
  const challenge = 'Bearer realm="http://169.254.169.254/latest"'
  expect(await auth.obtain('a', { challenge, authorization: '' })).toEqual({ kind: 'denied' })
  expect(problems).toEqual(['realm_refused'])
})
