import { createHash } from 'node:crypto'
import { Agent, get as httpGet } from 'node:http'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createGate, type FaultUpstream, startFaultUpstream } from './support/fault-upstream.ts'
import { type FrontOptions, startFront, type TestFront } from './support/front.ts'

const mediaType = 'application/vnd.oci.image.manifest.v1+json'
const manifest = JSON.stringify({ schemaVersion: 2, mediaType })
const digest = `sha256:${createHash('sha256').update(manifest).digest('hex')}`
const manifestHeaders = { 'Content-Type': mediaType, 'Docker-Content-Digest': digest }
const tagPath = '/v2/app/manifests/1.0'
const digestPath = `/v2/app/manifests/${digest}`

let upstream: FaultUpstream
let front: TestFront
let agent: Agent

async function start(options: Partial<FrontOptions> = {}): Promise<void> {
  await front?.stop()
  front = await startFront({ upstream: upstream.url, ...options })
}

beforeEach(async () => {
  agent = new Agent({ keepAlive: true, maxSockets: 2000 })
  upstream = await startFaultUpstream()
  upstream.answer(tagPath, { headers: manifestHeaders, body: manifest })
  upstream.answer(digestPath, { headers: manifestHeaders, body: manifest })
  // All of them come from one address.
  front = await startFront({ upstream: upstream.url, limits: { connectionsPerClient: 5000 } })
})
afterEach(async () => {
  agent.destroy()
  await front.stop()
  await upstream.stop()
})

/** Status and body; much lighter than fetch, for thousands at a time. */
function pull(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = httpGet(`${front.url}${path}`, { agent }, (response) => {
      let body = ''
      response.setEncoding('latin1')
      response.on('data', (text: string) => {
        body += text
      })
      response.on('end', () => resolve(`${response.statusCode} ${body}`))
      response.on('error', reject)
    })
    request.on('error', reject)
  })
}

const asked = (method: string, path: string): number =>
  upstream.seen.filter((request) => request.method === method && request.url === path).length

test('1,000 clients that miss one cold manifest at once are one request upstream', async () => {
  const gate = createGate()
  upstream.answer(digestPath, { headers: manifestHeaders, body: manifest, headAfter: gate.opened })
  const pulls = Array.from({ length: 1000 }, () => pull(digestPath))
  await expect.poll(() => front.proxy.active(), { timeout: 30_000 }).toBe(1000)
  gate.release()
  expect(new Set(await Promise.all(pulls))).toEqual(new Set([`200 ${manifest}`]))
  expect(upstream.seen).toHaveLength(1)
})

test('1,000 clients that resolve one tag at once are one HEAD and one GET upstream', async () => {
  const gate = createGate()
  upstream.answer(tagPath, { headers: manifestHeaders, body: manifest, headAfter: gate.opened })
  const pulls = Array.from({ length: 1000 }, () => pull(tagPath))
  await expect.poll(() => front.proxy.active(), { timeout: 30_000 }).toBe(1000)
  gate.release()
  expect(new Set(await Promise.all(pulls))).toEqual(new Set([`200 ${manifest}`]))
  expect([asked('HEAD', tagPath), asked('GET', digestPath), asked('GET', tagPath)]).toEqual([1, 1, 0])
})

test('what a client writes behind a manifest decides nothing for the others', async () => {
  // A firewall before a registry answers what looks like an attack with 403, and one HEAD or GET is for all who wait.
  expect(await pull(`${digestPath}?a=../../etc/passwd`)).toBe(`200 ${manifest}`)
  expect(await pull(`${tagPath}?a=../../etc/passwd`)).toBe(`200 ${manifest}`)
  expect(upstream.seen).not.toEqual([])
  expect(upstream.seen.filter(({ url }) => url.includes('?'))).toEqual([])
})

test('10,000 pulls of one tag are one GET upstream, and at most a HEAD each', async () => {
  const seen = new Set<string>()
  const client = async (): Promise<void> => {
    for (let round = 0; round < 50; round++) seen.add(await pull(tagPath))
  }
  await Promise.all(Array.from({ length: 200 }, client))
  expect(seen).toEqual(new Set([`200 ${manifest}`]))
  expect([asked('GET', digestPath), asked('GET', tagPath)]).toEqual([1, 0])
  // Each of 200 clients waits for HEADs that are on their way already, more often than not.
  expect(asked('HEAD', tagPath)).toBeLessThan(10_000)
})

test('an upstream that tells no digests is asked for the bytes, and those are kept by digest', async () => {
  upstream.answer(tagPath, { headers: { 'Content-Type': mediaType }, body: manifest })
  expect(await pull(tagPath)).toBe(`200 ${manifest}`)
  expect(await pull(digestPath)).toBe(`200 ${manifest}`)
  expect(asked('GET', digestPath)).toBe(0)
})

test('in passthrough mode nothing is shared, kept, or held back', async () => {
  await start({ auth: 'passthrough' })
  const gate = createGate()
  upstream.answer(digestPath, { headers: manifestHeaders, body: manifest, headAfter: gate.opened })
  const pulls = Array.from({ length: 5 }, () => pull(digestPath))
  await expect.poll(() => upstream.seen).toHaveLength(5)
  gate.release()
  expect(new Set(await Promise.all(pulls))).toEqual(new Set([`200 ${manifest}`]))
  await pull(digestPath)
  await pull(tagPath)
  expect(asked('GET', digestPath)).toBe(6)
  expect([asked('HEAD', tagPath), asked('GET', tagPath)]).toEqual([0, 1])
  // The graph is told, once.
  expect(front.manifests.map((notice) => notice.digest)).toEqual([digest])
  expect(Buffer.from(front.manifests[0]?.bytes ?? []).toString()).toBe(manifest)
  upstream.answer('/v2/app/manifests/none', { status: 404 })
  await pull('/v2/app/manifests/none')
  await pull('/v2/app/manifests/none')
  expect(asked('GET', '/v2/app/manifests/none')).toBe(2)
  upstream.answer(tagPath, { status: 429, headers: { 'Retry-After': '30' } })
  expect((await pull(tagPath)).slice(0, 3)).toBe('429')
  upstream.answer(tagPath, { headers: manifestHeaders, body: manifest })
  expect(await pull(tagPath)).toBe(`200 ${manifest}`)
})

test('while a Retry-After runs: tags are resolved, what is cached is served, nothing is pulled', async () => {
  const other = '{"schemaVersion":2}'
  const otherDigest = `sha256:${createHash('sha256').update(other).digest('hex')}`
  expect(await pull(tagPath)).toBe(`200 ${manifest}`)
  upstream.answer(`/v2/app/manifests/${otherDigest}`, { status: 429, headers: { 'Retry-After': '25' } })
  const answers = await Promise.all(
    [1, 2, 3].map(async () => fetch(`${front.url}/v2/app/manifests/${otherDigest}`)),
  )
  for (const answer of answers) {
    expect(answer.status).toBe(429)
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(24)
    expect(await answer.json()).toMatchObject({ errors: [{ code: 'TOOMANYREQUESTS' }] })
  }
  expect(await pull(`/v2/app/manifests/${otherDigest}`)).toMatch(/^429/)
  expect(asked('GET', `/v2/app/manifests/${otherDigest}`)).toBe(1)
  const heads = asked('HEAD', tagPath)
  expect(await pull(tagPath)).toBe(`200 ${manifest}`)
  expect(await pull(digestPath)).toBe(`200 ${manifest}`)
  expect(asked('HEAD', tagPath)).toBe(heads + 1)
})

test('after its Retry-After a name is asked for again: a 429 is not remembered as unknown', async () => {
  upstream.answer(digestPath, [
    { status: 429, headers: { 'Retry-After': '1' } },
    { headers: manifestHeaders, body: manifest },
  ])
  expect(await pull(digestPath)).toMatch(/^429/)
  await expect.poll(() => pull(digestPath), { timeout: 5000, interval: 100 }).toBe(`200 ${manifest}`)
  expect(asked('GET', digestPath)).toBe(2)
})

test.each([
  [404, 'MANIFEST_UNKNOWN'],
  [401, 'NAME_UNKNOWN'],
])(
  'a name that was %i again and again is not asked for for a while, and is there soon after its push',
  async (status, code) => {
    for (const path of [tagPath, digestPath]) upstream.answer(path, { status })
    for (let round = 0; round < 8; round++) {
      expect(await pull(tagPath)).toMatch(new RegExp(`^404 .*${code}`))
      expect(await pull(digestPath)).toMatch(new RegExp(`^404 .*${code}`))
    }
    expect(upstream.seen).toHaveLength(2 * 4)
    expect(front.records.at(-1)).toMatchObject({ status: 404, outcome: 'cache', upstreamStatus: 0 })
    for (const path of [tagPath, digestPath])
      upstream.answer(path, { headers: manifestHeaders, body: manifest })
    await expect.poll(() => pull(tagPath), { timeout: 5000, interval: 200 }).toBe(`200 ${manifest}`)
  },
)

test('a name that is looked up, pushed, pulled and taken away in turn is there each time', async () => {
  for (let round = 0; round < 4; round++) {
    const gate = createGate()
    upstream.answer(tagPath, { status: 404, headAfter: gate.opened })
    const before = upstream.seen.length
    const asking = Array.from({ length: 20 }, () => pull(tagPath))
    await vi.waitFor(() => expect(front.proxy.active()).toBe(20))
    gate.release()
    for (const answer of await Promise.all(asking)) expect(answer).toMatch(/^404 /)
    expect(await pull(tagPath)).toMatch(/^404 /)
    expect(upstream.seen.length).toBe(before + 2)
    upstream.answer(tagPath, { headers: manifestHeaders, body: manifest })
    expect(await pull(tagPath)).toBe(`200 ${manifest}`)
  }
})

test('each upstream has its own limit of requests under way', async () => {
  await start({ limits: { upstreamRequests: 2 } })
  const gate = createGate()
  upstream.answer('/v2/app/blobs/sha256:00', { headAfter: gate.opened, body: 'x' })
  const held = [1, 2].map(() => pull('/v2/app/blobs/sha256:00'))
  await expect.poll(() => upstream.seen).toHaveLength(2)
  const other = await startFaultUpstream()
  other.answer('/v2/app/blobs/sha256:00', { body: 'y' })
  const refused = await fetch(`${front.url}/v2/app/blobs/sha256:00`)
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
  gate.release()
  expect(await Promise.all(held)).toEqual(['200 x', '200 x'])
  // With a fallback what the first cannot take goes there.
  await start({ limits: { upstreamRequests: 1 }, fallback: other.url })
  const again = createGate()
  upstream.answer('/v2/app/blobs/sha256:00', { headAfter: again.opened, body: 'x' })
  upstream.seen.length = 0
  const first = pull('/v2/app/blobs/sha256:00')
  await expect.poll(() => upstream.seen).toHaveLength(1)
  other.answer('/v2/app/blobs/latest', { body: 'y' })
  expect(await pull('/v2/app/blobs/latest')).toBe('200 y')
  again.release()
  expect(await first).toBe('200 x')
  await other.stop()
})

test('what is cached is asked after once a day, and gone when the upstream has taken it back', async () => {
  let laterMs = 0
  const now = performance.now.bind(performance)
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + laterMs)
  try {
    await pull(digestPath)
    laterMs = 23.9 * 3_600_000
    await pull(digestPath)
    expect(asked('HEAD', digestPath)).toBe(0)
    laterMs = 24.1 * 3_600_000
    expect(new Set(await Promise.all([1, 2, 3].map(() => pull(digestPath))))).toEqual(
      new Set([`200 ${manifest}`]),
    )
    expect([asked('HEAD', digestPath), asked('GET', digestPath)]).toEqual([1, 1])
    laterMs = 48.3 * 3_600_000
    upstream.answer(digestPath, { status: 503 })
    expect(await pull(digestPath)).toBe(`200 ${manifest}`)
    upstream.answer(digestPath, { status: 404 })
    expect(await pull(digestPath)).toMatch(/^404/)
  } finally {
    clock.mockRestore()
  }
})
