import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createCertificates } from './support/certificates.ts'
import { type FaultUpstream, startFaultUpstream } from './support/fault-upstream.ts'
import { type FrontOptions, startFront, type TestFront } from './support/front.ts'

const blobBytes = randomBytes(100_000)
const blob = `sha256:${createHash('sha256').update(blobBytes).digest('hex')}`
const blobPath = `/v2/app/blobs/${blob}`

let upstream: FaultUpstream
let storage: FaultUpstream
let storageHost: string
let front: TestFront

async function start(options: Partial<FrontOptions> = {}): Promise<void> {
  await front?.stop()
  front = await startFront({ upstream: upstream.url, ...options })
}

beforeEach(async () => {
  upstream = await startFaultUpstream()
  storage = await startFaultUpstream()
  storage.answer('/signed', { body: blobBytes })
  // Not 127.0.0.1, which is the front itself.
  storageHost = `localhost:${storage.host.split(':')[1]}`
  redirectTo(`http://${storageHost}/signed?sig=1`)
  front = await startFront({ upstream: upstream.url })
})
afterEach(async () => {
  await front.stop()
  await upstream.stop()
  await storage.stop()
})

function redirectTo(location: string): void {
  upstream.answer(blobPath, { status: 307, headers: { Location: location } })
}

const get = (init: RequestInit = {}) => fetch(`${front.url}${blobPath}`, { redirect: 'manual', ...init })

test('clients in streamRanges get the bytes, all others the redirect', async () => {
  await start({ streamRanges: ['192.0.2.0/24', '2001:db8::/32'], trustedProxies: ['127.0.0.1/32'] })
  const statuses = []
  for (const client of ['192.0.2.7', '198.51.100.7', '2001:db8::7', '2001:db9::7']) {
    const answer = await get({ headers: { 'x-forwarded-for': client } })
    statuses.push(answer.status)
    if (answer.status === 200) expect(Buffer.from(await answer.arrayBuffer()).equals(blobBytes)).toBe(true)
  }
  expect(statuses).toEqual([200, 307, 200, 307])
})

test('hosts that an upstream leads to are told of, handed on or followed', async () => {
  await get()
  await get()
  expect(front.redirectHosts).toEqual([[0, storageHost]])
  await start({ blobs: 'stream' })
  await get()
  expect(front.redirectHosts).toEqual([[0, storageHost]])
  // Its own other path is no other host.
  upstream.answer('/here', { body: blobBytes })
  redirectTo('/here')
  await start()
  expect((await get()).status).toBe(200)
  expect(front.redirectHosts).toEqual([])
})

const ownHosts = ['cr.example.io', '*.example.net']
test.each([
  ['https://cr.example.io/x', false],
  ['https://blobs.cr.example.io/x', false],
  ['https://a.example.net/x', false],
  ['https://example.net/x', true],
  ['https://evilcr.example.io.example.org/x', true],
  ['https://notcr.example.io/x', true],
  ['https://public.example.com/x', false],
  ['https://cdn.public.example.com/x', false],
])('a redirect to %s, with several names of its own: handed on %s', async (location, isHandedOn) => {
  await start({ ownHosts, publicUrl: 'https://public.example.com' })
  redirectTo(location)
  const answer = await get()
  // Followed inside instead, those names lead nowhere from here.
  expect([answer.status, answer.headers.get('location')]).toEqual(isHandedOn ? [307, location] : [502, null])
})

test('the upstream may always lead to its own host', async () => {
  await start({ blobs: 'stream', redirectHosts: ['cdn.example.org'] })
  redirectTo(`${storage.url}/signed`)
  const answer = await get()
  // Another port of 127.0.0.1.
  expect(answer.status).toBe(200)
  expect(Buffer.from(await answer.arrayBuffer()).equals(blobBytes)).toBe(true)
  redirectTo(`http://${storageHost}/signed`)
  expect((await get()).status).toBe(502)
})

test.each([
  [
    'a storage that serves a part',
    { status: 206, headers: { 'Content-Range': 'bytes 0-0/100000' }, body: 'x' },
  ],
  ['one that ignores Range', { body: blobBytes }],
])('HEAD of a redirected blob, by way of %s', async (_name, answer) => {
  storage.answer('/signed', answer)
  const head = await get({ method: 'HEAD' })
  expect(head.status).toBe(200)
  expect(head.headers.get('content-length')).toBe('100000')
  expect(head.headers.get('docker-content-digest')).toBe(blob)
})

test('an upstream with an authority of its own, and one that nobody vouches for', async () => {
  const certificates = await createCertificates()
  const secure = await startFaultUpstream({ tls: certificates })
  const location = `${secure.url}/here`
  secure.answer(blobPath, (request) =>
    request.headers.authorization === 'Bearer sesame'
      ? { status: 307, headers: { Location: location } }
      : { status: 401, headers: { 'WWW-Authenticate': `Bearer realm="${secure.url}/token",service="s"` } },
  )
  secure.answer('/token', { body: '{"token":"sesame"}' })
  secure.answer('/here', { body: blobBytes })
  await start({ upstream: secure.url })
  expect((await get()).status).toBe(502)
  expect(front.upstreamErrors).toContain('connect')
  await start({ upstream: secure.url, ca: readFileSync(certificates.ca, 'utf8') })
  const answer = await get()
  expect(answer.status).toBe(200)
  expect(Buffer.from(await answer.arrayBuffer()).equals(blobBytes)).toBe(true)
  await secure.stop()
})

test('referrers that a registry does not have are 404 here too', async () => {
  upstream.answer(`/v2/app/referrers/${blob}`, { status: 404, body: '{"errors":[{"code":"NOT_FOUND"}]}' })
  const answer = await fetch(`${front.url}/v2/app/referrers/${blob}`)
  expect([answer.status, await answer.text()]).toEqual([404, '{"errors":[{"code":"NOT_FOUND"}]}'])
})

test.each([
  ['its own name, whole URL', 'https://up.example/v2/own/app/tags/list?n=2&last=b>; rel="next"'],
  ['its own name', '/v2/own/app/tags/list?n=2&last=b>; rel="next"'],
  ['a path of its own', '/api/docker/v2/own/app/tags/list?n=2&last=b>; rel=next'],
])('the next page of a renamed list, by %s, is on this front', async (_name, link) => {
  await start({ route: { repository: 'public/**', upstreamRepository: 'own/**' } })
  upstream.answer('/v2/own/app/tags/list', {
    headers: { Link: `<${link}` },
    body: '{"tags":["name","b"],"name":"own/app"}',
  })
  const answer = await fetch(`${front.url}/v2/public/app/tags/list`)
  expect(answer.headers.get('link')).toBe('</v2/public/app/tags/list?n=2&last=b>; rel="next"')
  expect(await answer.json()).toEqual({ tags: ['name', 'b'], name: 'public/app' })
})
