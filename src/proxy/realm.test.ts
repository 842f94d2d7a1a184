import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createRealmClient, isSameSite, type RealmQuestion } from './realm.ts'

test.each([
  ['auth.docker.io', 'registry-1.docker.io', true],
  ['gitlab.com', 'registry.gitlab.com', true],
  ['quay.io', 'quay.io', true],
  ['auth.example.co.uk', 'registry.example.co.uk', true],
  ['evil.co.uk', 'registry.example.co.uk', false],
  ['evil.example.com', 'registry.example.org', false],
  ['evil-docker.io', 'registry-1.docker.io', false],
  ['192.0.2.1', '198.51.100.1', false],
  ['localhost', 'registry', false],
])('credentials between %s and %s: %s', (a, b, expected) => {
  expect(isSameSite(a, b)).toBe(expected)
})

let asked: string[] = []
const server = createServer((request, response) => {
  asked.push(request.url ?? '')
  if (request.url?.startsWith('/redirect')) response.writeHead(302, { Location: '/token' }).end()
  else if (request.url?.startsWith('/long')) response.end('x'.repeat(70_000))
  else if (!request.url?.startsWith('/hang')) response.end('{}')
})
let port = 0
beforeEach(async () => {
  asked = []
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port = (server.address() as AddressInfo).port
})
afterEach(() => {
  server.closeAllConnections()
  server.close()
})

const ask = async (origin: string, realm: string, more: Partial<RealmQuestion> = {}, timeoutMs = 5000) => {
  const client = createRealmClient({ origin, ca: null, timeoutMs })
  const answer = await client.ask({ realm, service: '', scopes: [], authorization: '', account: '', ...more })
  await client.close()
  return answer
}

test('on the own host of a plain upstream another port is asked, with every scope', async () => {
  const realm = `http://127.0.0.1:${port}/token?x=1`
  const scopes = ['repository:a:pull', 'repository:b/c:pull']
  const answer = await ask('http://127.0.0.1:1', realm, { service: 'the service', scopes, account: 'me' })
  expect(answer).toMatchObject({ kind: 'answer', status: 200, body: '{}' })
  expect(asked).toEqual([
    '/token?x=1&service=the+service&scope=repository%3Aa%3Apull&scope=repository%3Ab%2Fc%3Apull&account=me',
  ])
})

test.each([
  ['plain http for an https upstream', 'https://127.0.0.1:1', 'http://127.0.0.1:PORT/token'],
  ['a private address', 'https://registry.example', 'https://127.0.0.1:PORT/token'],
  ['a private address, written otherwise', 'https://registry.example', 'https://0x7f000001:PORT/token'],
  ['a private IPv6 address', 'http://registry.example', 'http://[::1]:PORT/token'],
  ['a mapped address', 'http://registry.example', 'http://[::ffff:127.0.0.1]:PORT/token'],
  ['link-local, where clouds keep credentials', 'http://registry.example', 'http://169.254.169.254/token'],
  ['a name that resolves to a private address', 'http://registry.example', 'http://localhost:PORT/token'],
  ['user and password in it', 'http://127.0.0.1:1', 'http://u:p@127.0.0.1:PORT/token'],
  ['another scheme', 'http://127.0.0.1:1', 'file:///etc/passwd'],
])('never asked: %s', async (_name, origin, realm) => {
  expect(await ask(origin, realm.replace('PORT', String(port)))).toEqual({ kind: 'refused' })
  expect(asked).toEqual([])
})

test('credentials go to no other site', async () => {
  const authorization = 'Basic eDp5'
  expect(await ask('https://registry.example.com', 'https://auth.example.net/', { authorization })).toEqual({
    kind: 'refused',
  })
})

test('a redirect is not followed, a long answer not read, a silent service not waited for', async () => {
  const origin = `http://127.0.0.1:${port}`
  expect(await ask(origin, `${origin}/redirect`)).toMatchObject({ kind: 'answer', status: 302 })
  expect(await ask(origin, `${origin}/long`)).toEqual({ kind: 'failed', timedOut: false })
  expect(await ask(origin, `${origin}/hang`, {}, 50)).toEqual({ kind: 'failed', timedOut: true })
  expect(asked).toEqual(['/redirect', '/long', '/hang'])
})
