import { createHash, randomBytes } from 'node:crypto'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Answer, createGate, type FaultUpstream, startFaultUpstream } from './support/fault-upstream.ts'
import { type FrontOptions, startFront, type TestFront } from './support/front.ts'
import { digestOf } from './support/push.ts'

const mediaType = 'application/vnd.oci.image.manifest.v1+json'
const manifest = JSON.stringify({ schemaVersion: 2, mediaType })
const digest = digestOf(manifest)
const blobBytes = randomBytes(300_000)
const blob = digestOf(blobBytes)
const manifestHeaders = { 'Content-Type': mediaType, 'Docker-Content-Digest': digest }
const tagPath = '/v2/app/manifests/1.0'
const digestPath = `/v2/app/manifests/${digest}`
const blobPath = `/v2/app/blobs/${blob}`

let first: FaultUpstream
let second: FaultUpstream
let front: TestFront

function fill(upstream: FaultUpstream): void {
  upstream.answer(tagPath, { headers: manifestHeaders, body: manifest })
  upstream.answer(digestPath, { headers: manifestHeaders, body: manifest })
  upstream.answer(blobPath, { body: blobBytes })
}

function fail(upstream: FaultUpstream, answer: Answer): void {
  for (const path of [tagPath, digestPath, blobPath]) upstream.answer(path, answer)
}

async function start(options: Partial<FrontOptions> = {}): Promise<void> {
  await front?.stop()
  front = await startFront({ upstream: first.url, fallback: second.url, ...options })
}

beforeEach(async () => {
  first = await startFaultUpstream()
  second = await startFaultUpstream()
  fill(first)
  fill(second)
  front = await startFront({ upstream: first.url, fallback: second.url })
})
afterEach(async () => {
  await front.stop()
  await first.stop()
  await second.stop()
})

const get = (path: string, init: RequestInit = {}) => fetch(`${front.url}${path}`, init)
const bytesOf = async (answer: Response) => Buffer.from(await answer.arrayBuffer())

const failures: [string, Answer][] = [
  ['503', { status: 503 }],
  ['500 with a body', { status: 500, body: 'x'.repeat(10_000) }],
  ['429', { status: 429, headers: { 'Retry-After': '30' } }],
  ['a reset', { breakAt: { bytes: -1, how: 'reset' } }],
  ['no HTTP', { raw: 'garbage\r\n\r\n' }],
]

test.each(failures)('%s of the first: everything comes from the fallback', async (_name, answer) => {
  fail(first, answer)
  const byTag = await get(tagPath)
  expect([byTag.status, await byTag.text()]).toEqual([200, manifest])
  expect((await get(digestPath, { method: 'HEAD' })).headers.get('docker-content-digest')).toBe(digest)
  const layer = await get(blobPath)
  expect([layer.status, (await bytesOf(layer)).equals(blobBytes)]).toEqual([200, true])
  expect(front.records.at(-1)).toMatchObject({
    upstream: 1,
    upstreamStatus: 200,
    status: 200,
    aborted: false,
  })
  expect(front.upstreamAnswers.some(([index]) => index === 1)).toBe(true)
})

test('a first that is not there, and one that is silent: the fallback, and soon at once', async () => {
  await first.stop()
  for (let round = 0; round < 3; round++) expect((await get(tagPath)).status).toBe(200)
  expect(front.upstreamErrors).toContain('connect')
  first = await startFaultUpstream()
  const gate = createGate()
  first.answer(blobPath, { headAfter: gate.opened, body: blobBytes })
  await start({ limits: { firstByteTimeoutMs: 1000 } })
  for (let round = 0; round < 5; round++) await bytesOf(await get(blobPath))
  // Three timeouts, then a probe at most once a second.
  expect(first.seen.length).toBeLessThan(5)
  expect(front.upstreamErrors).toContain('timeout_first_byte')
  gate.release()
})

test('requests that the first answers with 500 leave the others to it', async () => {
  first.answer('/v2/app/manifests/sha256:short', { status: 500 })
  for (let round = 0; round < 5; round++) await get('/v2/app/manifests/sha256:short')
  const asked = first.seen.length
  expect((await get(tagPath)).status).toBe(200)
  expect(first.seen.length).toBeGreaterThan(asked)
  expect(front.records.at(-1)).toMatchObject({ upstream: 0 })
})

test('the first is probed, and used again when it is back', async () => {
  fail(first, { status: 502 })
  for (let round = 0; round < 6; round++) expect((await get(tagPath, { method: 'HEAD' })).status).toBe(200)
  expect(first.seen).toHaveLength(3)
  fill(first)
  await expect
    .poll(
      async () => {
        const before = second.seen.length
        await get(tagPath, { method: 'HEAD' })
        return second.seen.length === before
      },
      { timeout: 5000, interval: 100 },
    )
    .toBe(true)
})

test('404 of the first is an answer', async () => {
  fail(first, { status: 404 })
  expect((await get(tagPath)).status).toBe(404)
  expect((await get(blobPath)).status).toBe(404)
  expect(second.seen).toEqual([])
})

test.each([401, 403, 404, 500])('a fallback that says %i says nothing of the first', async (status) => {
  fail(first, { status: 503 })
  fail(second, { status })
  expect((await get(tagPath)).status).toBe(502)
  expect((await get(blobPath)).status).toBe(502)
})

test('the limit of the first is told when the fallback has nothing', async () => {
  fail(first, { status: 429, headers: { 'Retry-After': '17' } })
  fail(second, { status: 404 })
  for (const path of [tagPath, blobPath]) {
    const answer = await get(path)
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '17'])
    expect(await answer.json()).toMatchObject({ errors: [{ code: 'TOOMANYREQUESTS' }] })
  }
})

test('other bytes of the first are not served, those of the fallback are', async () => {
  first.answer(digestPath, { headers: manifestHeaders, body: `${manifest} ` })
  expect(await (await get(digestPath)).text()).toBe(manifest)
  expect(front.upstreamErrors).toContain('digest_mismatch')
})

test('a manifest that breaks off at the first comes whole from the fallback', async () => {
  first.answer(digestPath, { headers: manifestHeaders, body: manifest, breakAt: { bytes: 5, how: 'reset' } })
  expect(await (await get(digestPath)).text()).toBe(manifest)
})

test('other bytes of the fallback reach nobody whole', async () => {
  fail(first, { status: 503 })
  second.answer(digestPath, { headers: manifestHeaders, body: `${manifest} ` })
  expect((await get(digestPath)).status).toBe(502)
  const forged = Buffer.from(blobBytes)
  forged[10] = (forged[10] as number) ^ 1
  second.answer(blobPath, { body: forged })
  front.records.length = 0
  await expect(get(blobPath).then(bytesOf)).rejects.toThrow()
  await expect.poll(() => front.records).toHaveLength(1)
  expect(front.records[0]?.bytesSent).toBeLessThan(blobBytes.length)
  second.answer(blobPath, { headers: { 'Content-Length': null }, body: forged })
  await expect(get(blobPath).then(bytesOf)).rejects.toThrow()
  const small = Buffer.from('small')
  first.answer(`/v2/app/blobs/${digestOf(small)}`, { status: 503 })
  second.answer(`/v2/app/blobs/${digestOf(small)}`, { body: 'other' })
  expect((await get(`/v2/app/blobs/${digestOf(small)}`)).status).toBe(502)
  expect(front.upstreamErrors.filter((reason) => reason === 'digest_mismatch')).toHaveLength(4)
})

test('a slow reader gets a checked blob whole', async () => {
  const large = randomBytes(20_000_000)
  first.answer(`/v2/app/blobs/${digestOf(large)}`, { status: 503 })
  second.answer(`/v2/app/blobs/${digestOf(large)}`, { body: large })
  const reader = (await get(`/v2/app/blobs/${digestOf(large)}`)).body?.getReader()
  const hash = createHash('sha256')
  let pauses = 0
  for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) {
    hash.update(read.value)
    if (++pauses % 50 === 0) await new Promise((next) => setTimeout(next, 20))
  }
  expect(`sha256:${hash.digest('hex')}`).toBe(digestOf(large))
})

test('a part of a blob comes from the fallback as it is', async () => {
  first.answer(blobPath, { status: 503 })
  second.answer(blobPath, {
    status: 206,
    headers: { 'Content-Range': `bytes 100-199/${blobBytes.length}` },
    body: blobBytes.subarray(100, 200),
  })
  const answer = await get(blobPath, { headers: { range: 'bytes=100-199' } })
  expect([answer.status, await bytesOf(answer)]).toEqual([206, blobBytes.subarray(100, 200)])
})

test('storage of the first that fails: a streamed blob comes from the fallback', async () => {
  await start({ blobs: 'stream' })
  first.answer(blobPath, { status: 307, headers: { Location: `${first.url}/storage` } })
  first.answer('/storage', { status: 500 })
  expect((await bytesOf(await get(blobPath))).equals(blobBytes)).toBe(true)
  const head = await get(blobPath, { method: 'HEAD' })
  expect([head.status, head.headers.get('content-length')]).toEqual([200, String(blobBytes.length)])
})

test('a tag that nobody can resolve is what it was last, and says so', async () => {
  expect((await get(tagPath)).headers.get('warning')).toBeNull()
  fail(first, { status: 503 })
  fail(second, { status: 404 })
  for (const method of ['GET', 'HEAD']) {
    const answer = await get(tagPath, { method })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('docker-content-digest')).toBe(digest)
    expect(answer.headers.get('warning')).toBe('110 waybill "Response is Stale"')
    expect(await answer.text()).toBe(method === 'GET' ? manifest : '')
  }
  expect((await get('/v2/app/manifests/2.0')).status).toBe(404)
})

test('what a tag was is said for a day', async () => {
  let laterMs = 0
  const now = performance.now.bind(performance)
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + laterMs)
  try {
    await get(tagPath)
    fail(first, { status: 503 })
    fail(second, { status: 503 })
    laterMs = 23.9 * 3_600_000
    expect((await get(tagPath)).status).toBe(200)
    laterMs = 24.1 * 3_600_000
    expect((await get(tagPath)).status).toBe(502)
  } finally {
    clock.mockRestore()
  }
})

test('what a tag was last comes from the fallback by digest, too', async () => {
  expect((await get(tagPath, { method: 'HEAD' })).status).toBe(200)
  fail(first, { status: 503 })
  second.answer(tagPath, { status: 404 })
  const answer = await get(tagPath)
  expect([answer.status, await answer.text()]).toEqual([200, manifest])
  expect(answer.headers.get('warning')).toBe('110 waybill "Response is Stale"')
  expect(second.seen.map(({ method, url }) => `${method} ${url}`)).toContain(`GET ${digestPath}`)
})

test('without a fallback nothing is said of yesterday', async () => {
  await front.stop()
  front = await startFront({ upstream: first.url })
  expect((await get(tagPath)).status).toBe(200)
  await first.stop()
  expect((await get(tagPath)).status).toBe(502)
  expect((await get(digestPath)).status).toBe(200)
  first = await startFaultUpstream()
})

test('lists come from the fallback under the same name', async () => {
  await start({ route: { repository: 'public/**', upstreamRepository: 'own/**' } })
  second.answer('/v2/own/app/tags/list', {
    headers: { Link: '</v2/own/app/tags/list?n=1&last=a>; rel="next"' },
    body: '{"name":"own/app","tags":["a"]}',
  })
  first.answer('/v2/own/app/tags/list', { status: 502 })
  const answer = await get('/v2/public/app/tags/list?n=1')
  expect(await answer.json()).toEqual({ name: 'public/app', tags: ['a'] })
  expect(answer.headers.get('link')).toBe('</v2/public/app/tags/list?n=1&last=a>; rel="next"')
})

test('in passthrough mode there is no fallback: credentials are for the first alone', async () => {
  await start({ auth: 'passthrough' })
  fail(first, { status: 503 })
  expect((await get(tagPath)).status).toBe(503)
  expect((await get(blobPath)).status).toBe(503)
  expect(second.seen).toEqual([])
})
