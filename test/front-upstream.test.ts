import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createGate, type FaultUpstream, startFaultUpstream } from './support/fault-upstream.ts'
import { type FrontOptions, startFront, type TestFront } from './support/front.ts'
import { digestOf } from './support/push.ts'

const mediaType = 'application/vnd.oci.image.manifest.v1+json'
const manifest = JSON.stringify({ schemaVersion: 2, mediaType })
const digest = digestOf(manifest)
const blobBytes = randomBytes(300_000)
const blob = digestOf(blobBytes)
const manifestHeaders = { 'Content-Type': mediaType, 'Docker-Content-Digest': digest }

let upstream: FaultUpstream
let front: TestFront

async function start(options: Partial<FrontOptions> = {}): Promise<void> {
  await front?.stop()
  front = await startFront({ upstream: upstream.url, ...options })
}

beforeEach(async () => {
  upstream = await startFaultUpstream()
  upstream.answer('/v2/app/manifests/1.0', { headers: manifestHeaders, body: manifest })
  upstream.answer(`/v2/app/manifests/${digest}`, { headers: manifestHeaders, body: manifest })
  upstream.answer(`/v2/app/blobs/${blob}`, { body: blobBytes })
  front = await startFront({ upstream: upstream.url })
})
afterEach(async () => {
  await front.stop()
  await upstream.stop()
})

const asked = () => upstream.seen.map(({ method, url }) => `${method} ${url}`)

test('a tag is resolved by HEAD each time, its manifest fetched once', async () => {
  for (let round = 0; round < 3; round++) {
    const answer = await fetch(`${front.url}/v2/app/manifests/1.0`)
    expect(await answer.text()).toBe(manifest)
    expect(answer.headers.get('content-type')).toBe(mediaType)
    expect(answer.headers.get('docker-content-digest')).toBe(digest)
  }
  expect(asked()).toEqual([
    'HEAD /v2/app/manifests/1.0',
    `GET /v2/app/manifests/${digest}`,
    'HEAD /v2/app/manifests/1.0',
    'HEAD /v2/app/manifests/1.0',
  ])
  expect(front.manifests.map((notice) => notice.digest)).toEqual([digest])
})

test('what is left of the rate limit is told', async () => {
  upstream.answer('/v2/app/manifests/1.0', {
    headers: { ...manifestHeaders, 'RateLimit-Remaining': '76;w=21600' },
    body: manifest,
  })
  const answer = await fetch(`${front.url}/v2/app/manifests/1.0`, { method: 'HEAD' })
  expect(answer.headers.get('ratelimit-remaining')).toBe('76;w=21600')
  expect(front.rateLimits).toEqual([76])
})

test('concurrent misses share one request, which outlives its first client', async () => {
  const gate = createGate()
  upstream.answer(`/v2/app/manifests/${digest}`, {
    headers: manifestHeaders,
    body: manifest,
    headAfter: gate.opened,
  })
  const first = new AbortController()
  const url = `${front.url}/v2/app/manifests/${digest}`
  const gone = fetch(url, { signal: first.signal }).catch(() => 'gone')
  await expect.poll(() => upstream.seen).toHaveLength(1)
  const waiting = Array.from({ length: 50 }, async () => (await fetch(url)).text())
  await expect.poll(() => front.proxy.active()).toBe(51)
  first.abort()
  expect(await gone).toBe('gone')
  await expect.poll(() => front.proxy.active()).toBe(50)
  gate.release()
  expect(new Set(await Promise.all(waiting))).toEqual(new Set([manifest]))
  expect(asked()).toEqual([`GET /v2/app/manifests/${digest}`])
  expect(front.records.filter((record) => record.aborted)).toHaveLength(1)
})

test('bytes that are not those of the digest reach nobody', async () => {
  upstream.answer(`/v2/app/manifests/${digest}`, { headers: manifestHeaders, body: `${manifest} ` })
  expect((await fetch(`${front.url}/v2/app/manifests/${digest}`)).status).toBe(502)
  expect(front.upstreamErrors).toContain('digest_mismatch')
})

test('a manifest larger than may be held is relayed', async () => {
  await start({ limits: { manifestBytes: 10 } })
  const answer = await fetch(`${front.url}/v2/app/manifests/${digest}`)
  expect(await answer.text()).toBe(manifest)
  expect(front.records.at(-1)?.outcome).toBe('relay')
})

test('an upstream that does not say digest or length: the front does', async () => {
  upstream.answer('/v2/app/manifests/1.0', { headers: { 'Content-Length': null }, body: manifest })
  for (const method of ['HEAD', 'GET']) {
    const answer = await fetch(`${front.url}/v2/app/manifests/1.0`, { method })
    expect(answer.headers.get('docker-content-digest')).toBe(digest)
    expect(answer.headers.get('content-length')).toBe(String(manifest.length))
    expect(answer.headers.get('content-type')).not.toBeNull()
  }
})

test.each([
  [401, 404, 'NAME_UNKNOWN'],
  [403, 404, 'NAME_UNKNOWN'],
  [404, 404, 'MANIFEST_UNKNOWN'],
  [429, 429, 'TOOMANYREQUESTS'],
])('an upstream %i on a manifest is %i %s here, never a challenge', async (theirs, ours, code) => {
  upstream.answer('/v2/app/manifests/1.0', {
    status: theirs,
    headers: { 'WWW-Authenticate': 'Basic realm="x"', 'Retry-After': '7' },
  })
  const answer = await fetch(`${front.url}/v2/app/manifests/1.0`)
  expect(answer.status).toBe(ours)
  expect(answer.headers.get('www-authenticate')).toBeNull()
  expect(await answer.json()).toMatchObject({ errors: [{ code }] })
  if (ours === 429) expect(answer.headers.get('retry-after')).toBe('7')
})

test.each([401, 403])('an upstream %i on a blob is 404 here', async (status) => {
  upstream.answer(`/v2/app/blobs/${blob}`, { status, headers: { 'WWW-Authenticate': 'Basic realm="x"' } })
  const answer = await fetch(`${front.url}/v2/app/blobs/${blob}`)
  expect(answer.status).toBe(404)
  expect(answer.headers.get('www-authenticate')).toBeNull()
})

test('a token is fetched from the upstream realm, once, kept, and never shown', async () => {
  let issued = 0
  const guarded = (request: { headers: { authorization?: string | undefined } }) =>
    request.headers.authorization === 'Bearer sesame'
      ? { headers: manifestHeaders, body: manifest }
      : {
          status: 401,
          headers: {
            'WWW-Authenticate': `Bearer realm="${upstream.url}/auth?x=1",service="the service",scope="repository:user/image:pull"`,
          },
          body: '{}',
        }
  upstream.answer('/auth', (request) => {
    issued++
    expect(new URL(request.url, upstream.url).searchParams.getAll('scope')).toEqual(['repository:app:pull'])
    expect(new URL(request.url, upstream.url).searchParams.get('service')).toBe('the service')
    return { body: '{"token":"sesame","expires_in":300}' }
  })
  upstream.answer('/v2/app/manifests/1.0', guarded)
  upstream.answer(`/v2/app/manifests/${digest}`, guarded)
  for (let round = 0; round < 3; round++) {
    expect((await fetch(`${front.url}/v2/app/manifests/1.0`)).status).toBe(200)
  }
  expect(issued).toBe(1)
  expect(upstream.seen.filter((request) => request.headers.authorization === undefined)).toHaveLength(2)
})

test('a realm on another plain host is not asked', async () => {
  const other = await startFaultUpstream()
  upstream.answer('/v2/app/manifests/1.0', {
    status: 401,
    headers: { 'WWW-Authenticate': `Bearer realm="http://localhost:${other.host.split(':')[1]}/auth"` },
  })
  expect((await fetch(`${front.url}/v2/app/manifests/1.0`)).status).toBe(404)
  expect(other.seen).toEqual([])
  await other.stop()
})

test('ranges pass through', async () => {
  upstream.answer(`/v2/app/blobs/${blob}`, (request) => {
    expect(request.headers.range).toBe('bytes=100-199')
    return {
      status: 206,
      headers: { 'Content-Range': `bytes 100-199/${blobBytes.length}` },
      body: blobBytes.subarray(100, 200),
    }
  })
  const answer = await fetch(`${front.url}/v2/app/blobs/${blob}`, { headers: { range: 'bytes=100-199' } })
  expect(answer.status).toBe(206)
  expect(Buffer.from(await answer.arrayBuffer())).toEqual(blobBytes.subarray(100, 200))
  expect(front.records.at(-1)).toMatchObject({ offset: 100, size: blobBytes.length, bytesSent: 100 })
})

test('redirect mode hands the redirect on; stream mode follows it', async () => {
  const storage = await startFaultUpstream()
  storage.answer('/signed', { body: blobBytes })
  const location = `http://localhost:${storage.host.split(':')[1]}/signed?sig=1`
  upstream.answer(`/v2/app/blobs/${blob}`, {
    status: 307,
    headers: { Location: location },
    body: 'see there',
  })
  const handed = await fetch(`${front.url}/v2/app/blobs/${blob}`, { redirect: 'manual' })
  expect(handed.status).toBe(307)
  expect(handed.headers.get('location')).toBe(location)
  expect(storage.seen).toEqual([])
  expect(front.records.at(-1)).toMatchObject({
    outcome: 'redirect',
    redirectHost: new URL(location).host,
    bytesSent: 0,
  })
  await start({ blobs: 'stream', redirectHosts: ['localhost'] })
  const streamed = await fetch(`${front.url}/v2/app/blobs/${blob}`, { redirect: 'manual' })
  expect(streamed.status).toBe(200)
  expect(Buffer.from(await streamed.arrayBuffer())).toEqual(blobBytes)
  expect(storage.seen[0]?.url).toBe('/signed?sig=1')
  expect(storage.seen[0]?.headers.authorization).toBeUndefined()
  await storage.stop()
})

test('a HEAD of a redirected blob is answered here, by asking for one byte', async () => {
  const storage = await startFaultUpstream()
  storage.answer('/signed', (request) => {
    expect([request.method, request.headers.range]).toEqual(['GET', 'bytes=0-0'])
    return { status: 206, headers: { 'Content-Range': `bytes 0-0/${blobBytes.length}` }, body: 'x' }
  })
  const location = `http://localhost:${storage.host.split(':')[1]}/signed`
  upstream.answer(`/v2/app/blobs/${blob}`, { status: 307, headers: { Location: location } })
  await start({ redirectHosts: ['localhost'] })
  const answer = await fetch(`${front.url}/v2/app/blobs/${blob}`, { method: 'HEAD', redirect: 'manual' })
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-length')).toBe(String(blobBytes.length))
  expect(answer.headers.get('docker-content-digest')).toBe(blob)
  await storage.stop()
})

test('a redirect to a host that is not listed goes nowhere', async () => {
  await start({ redirectHosts: ['cdn.example.io', '*.example.org'] })
  upstream.answer(`/v2/app/blobs/${blob}`, {
    status: 307,
    headers: { Location: 'https://evil.example/blob' },
  })
  expect((await fetch(`${front.url}/v2/app/blobs/${blob}`, { redirect: 'manual' })).status).toBe(502)
  upstream.answer(`/v2/app/blobs/${blob}`, {
    status: 307,
    headers: { Location: 'https://a.example.org/blob' },
  })
  expect((await fetch(`${front.url}/v2/app/blobs/${blob}`, { redirect: 'manual' })).status).toBe(307)
})

test('a stale connection is tried again once, with nobody the wiser', async () => {
  await (await fetch(`${front.url}/v2/app/manifests/1.0`)).text()
  upstream.answer('/v2/app/manifests/1.0', [
    { breakAt: { bytes: -1, how: 'reset' } },
    { headers: manifestHeaders, body: manifest },
  ])
  expect((await fetch(`${front.url}/v2/app/manifests/1.0`)).status).toBe(200)
  upstream.answer('/v2/app/manifests/1.0', { breakAt: { bytes: -1, how: 'reset' } })
  expect((await fetch(`${front.url}/v2/app/manifests/1.0`)).status).toBe(502)
})

test.each(['close', 'reset'] as const)(
  'a body that breaks off (%s) is never a complete answer',
  async (how) => {
    for (const bytes of [0, 1, 150_000, blobBytes.length - 1]) {
      upstream.answer(`/v2/app/blobs/${blob}`, { body: blobBytes, breakAt: { bytes, how } })
      front.records.length = 0
      const outcome = await fetch(`${front.url}/v2/app/blobs/${blob}`)
        .then(async (answer) => (answer.ok ? (await answer.arrayBuffer()).byteLength : answer.status))
        .catch(() => 'broken')
      expect([502, 'broken']).toContain(outcome)
      await expect.poll(() => front.records).toHaveLength(1)
      expect(front.records[0]?.bytesSent).toBeLessThan(blobBytes.length)
      if (outcome === 'broken') expect(front.records[0]?.aborted).toBe(true)
    }
  },
)

test('a chunked body without its last chunk is never a complete answer', async () => {
  upstream.answer(`/v2/app/blobs/${blob}`, {
    headers: { 'Content-Length': null },
    body: blobBytes,
    breakAt: { bytes: 100_000, how: 'close' },
  })
  const read = fetch(`${front.url}/v2/app/blobs/${blob}`).then((answer) => answer.arrayBuffer())
  await expect(read).rejects.toThrow()
})

test('a body that only the end of the connection ends is whole, or never complete', async () => {
  const head = Buffer.from('HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n')
  upstream.answer(`/v2/app/blobs/${blob}`, { raw: Buffer.concat([head, blobBytes]) })
  const whole = await fetch(`${front.url}/v2/app/blobs/${blob}`)
  expect(Buffer.from(await whole.arrayBuffer()).equals(blobBytes)).toBe(true)
  for (const bytes of [1, 150_000, blobBytes.length - 1]) {
    upstream.answer(`/v2/app/blobs/${blob}`, { raw: Buffer.concat([head, blobBytes.subarray(0, bytes)]) })
    const outcome = await fetch(`${front.url}/v2/app/blobs/${blob}`)
      .then(async (answer) => (answer.ok ? (await answer.arrayBuffer()).byteLength : answer.status))
      .catch(() => 'broken')
    expect([502, 'broken']).toContain(outcome)
  }
})

test.each([
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
  ['no HTTP', 'garbage\r\n\r\n'],
  ['a folded header', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 1\r\n\r\na'],
])('an answer with %s is 502', async (_name, raw) => {
  upstream.answer(`/v2/app/blobs/${blob}`, { raw })
  expect((await fetch(`${front.url}/v2/app/blobs/${blob}`)).status).toBe(502)
})

test('answer headers: hop-by-hop, nominated, cookies and policies stay here', async () => {
  upstream.answer(`/v2/app/blobs/${blob}`, {
    raw: [
      'HTTP/1.1 200 OK',
      'Content-Length: 2',
      'Connection: X-Up',
      'X-Up: 1',
      'Keep-Alive: timeout=5',
      'Set-Cookie: a=b',
      'Strict-Transport-Security: max-age=1',
      'Date: Thu, 01 Jan 1970 00:00:00 GMT',
      'Server: theirs',
      'X-Twice: 1',
      'X-Twice: 2',
      'Warning: 299 - "old"',
      '',
      'ok',
    ].join('\r\n'),
  })
  const answer = await fetch(`${front.url}/v2/app/blobs/${blob}`)
  expect(await answer.text()).toBe('ok')
  const names = [...answer.headers.keys()].filter((name) => !['connection', 'keep-alive'].includes(name))
  expect(names.sort()).toEqual(['content-length', 'date', 'server', 'via', 'warning', 'x-twice'])
  expect(answer.headers.get('date')).not.toContain('1970')
  expect(answer.headers.get('x-twice')).toBe('1, 2')
})

test('early hints are passed over', async () => {
  upstream.answer(`/v2/app/blobs/${blob}`, {
    raw: 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
  })
  const answer = await fetch(`${front.url}/v2/app/blobs/${blob}`)
  expect([answer.status, await answer.text()]).toEqual([200, 'ok'])
})

test('an upstream that does not answer is 504, one that is not there 502', async () => {
  await start({ limits: { firstByteTimeoutMs: 1000 } })
  const gate = createGate()
  upstream.answer(`/v2/app/blobs/${blob}`, { headAfter: gate.opened })
  expect((await fetch(`${front.url}/v2/app/blobs/${blob}`)).status).toBe(504)
  gate.release()
  await upstream.stop()
  expect((await fetch(`${front.url}/v2/app/blobs/${blob}`)).status).toBe(502)
  upstream = await startFaultUpstream()
})

test('more requests than the upstream shall bear are told to come back', async () => {
  await start({ limits: { upstreamRequests: 2 } })
  const gate = createGate()
  upstream.answer(`/v2/app/blobs/${blob}`, { headAfter: gate.opened, body: 'x' })
  const url = `${front.url}/v2/app/blobs/${blob}`
  const held = [fetch(url), fetch(url)]
  await expect.poll(() => upstream.seen).toHaveLength(2)
  const refused = await fetch(url)
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
  gate.release()
  for (const answer of await Promise.all(held)) expect(answer.status).toBe(200)
  expect((await fetch(url)).status).toBe(200)
})

test('a client that goes away frees the upstream at once', async () => {
  const gate = createGate()
  upstream.answer(`/v2/app/blobs/${blob}`, { body: blobBytes, bytesFirst: 1000, bodyAfter: gate.opened })
  const leave = new AbortController()
  const answer = await fetch(`${front.url}/v2/app/blobs/${blob}`, { signal: leave.signal })
  expect(answer.status).toBe(200)
  leave.abort()
  await expect.poll(() => upstream.seen[0]?.aborted).toBe(true)
  await expect.poll(() => front.records[0]?.aborted).toBe(true)
  expect(front.records[0]).toMatchObject({ status: 200, bytesSent: 1000, size: blobBytes.length })
  gate.release()
})

test('a slow reader slows the upstream down, and gets every byte', async () => {
  const large = randomBytes(24 * 1024 * 1024)
  const name = digestOf(large)
  upstream.answer(`/v2/app/blobs/${name}`, { body: large })
  const received = await new Promise<Buffer>((resolve, reject) => {
    const socket = connect(front.port, '127.0.0.1')
    const chunks: Buffer[] = []
    let length = 0
    socket.on('error', reject)
    socket.write(`GET /v2/app/blobs/${name} HTTP/1.1\r\nHost: a\r\n\r\n`)
    socket.once('data', (first) => {
      chunks.push(first)
      socket.pause()
      // Not read until the front has stopped taking from the upstream.
      let last = -1
      const timer = setInterval(() => {
        const sent = front.proxy.active() === 1 ? process.memoryUsage().arrayBuffers : 0
        if (sent !== last) {
          last = sent
          return
        }
        clearInterval(timer)
        socket.resume()
      }, 100)
    })
    socket.on('data', (chunk) => {
      if (chunk !== chunks[0]) chunks.push(chunk)
      length += chunk.length
      const whole = length > large.length ? Buffer.concat(chunks) : null
      const start = whole ? whole.indexOf('\r\n\r\n') + 4 : 0
      if (whole && whole.length - start >= large.length) {
        socket.destroy()
        resolve(whole.subarray(start))
      }
    })
  })
  expect(digestOf(received)).toBe(name)
  await vi.waitFor(() =>
    expect(front.records.at(-1)).toMatchObject({ bytesSent: large.length, aborted: false }),
  )
})

test.each([
  ['sized', undefined],
  ['chunked', null],
])('many large %s bodies at once arrive whole', async (_name, length) => {
  const bodies = Array.from({ length: 8 }, () => randomBytes(3_000_000))
  for (const body of bodies) {
    upstream.answer(`/v2/app/blobs/${digestOf(body)}`, {
      body,
      ...(length === null && { headers: { 'Content-Length': null } }),
    })
  }
  const received = await Promise.all(
    bodies.map(async (body) => {
      const answer = await fetch(`${front.url}/v2/app/blobs/${digestOf(body)}`)
      return digestOf(new Uint8Array(await answer.arrayBuffer())) === digestOf(body)
    }),
  )
  expect(received).toEqual(bodies.map(() => true))
})

test('a long transfer leaves heartbeats under the id of its end', async () => {
  await start({ idleMs: 600 })
  const gate = createGate()
  upstream.answer(`/v2/app/blobs/${blob}`, { body: blobBytes, bytesFirst: 1000, bodyAfter: gate.opened })
  const answer = await fetch(`${front.url}/v2/app/blobs/${blob}`)
  await expect.poll(() => front.heartbeats.length).toBeGreaterThanOrEqual(2)
  gate.release()
  await answer.arrayBuffer()
  await expect.poll(() => front.records).toHaveLength(1)
  expect(front.records[0]?.bytesSent).toBe(blobBytes.length)
  expect(front.heartbeats[0]).toMatchObject({ status: 200, bytesSent: 1000 })
  const sequences = [...front.heartbeats, ...front.records].map(({ sequence }) => sequence)
  expect(new Set(sequences).size).toBe(1)
})
