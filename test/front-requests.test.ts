import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type FaultUpstream, startFaultUpstream } from './support/fault-upstream.ts'
import { exchangeRaw, startFront, type TestFront } from './support/front.ts'

const manifest = JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json' })
const digest = `sha256:${createHash('sha256').update(manifest).digest('hex')}`
const blob = `sha256:${'b'.repeat(64)}`

let upstream: FaultUpstream
let open: TestFront
let closed: TestFront

beforeAll(async () => {
  upstream = await startFaultUpstream()
  const headers = {
    'Content-Type': 'application/vnd.oci.image.manifest.v1+json',
    'Docker-Content-Digest': digest,
    ETag: `"${digest}"`,
  }
  upstream.answer('/v2/acme/app/manifests/1.0', { headers, body: manifest })
  upstream.answer(`/v2/acme/app/manifests/${digest}`, { headers, body: manifest })
  upstream.answer(`/v2/acme/app/blobs/${blob}`, { body: 'blob bytes' })
  upstream.answer('/v2/acme/app/tags/list', {
    headers: {
      'Content-Type': 'application/json',
      Link: '</v2/acme/app/tags/list?n=1&last=1.0>; rel="next"',
    },
    body: '{"name": "acme/app", "tags": ["1.0", "name"]}\n',
  })
  const route = { repository: '**', upstreamRepository: 'acme/**' }
  open = await startFront({ upstream: upstream.url, auth: 'open', route, trustedProxies: ['127.0.0.1'] })
  closed = await startFront({ upstream: upstream.url, auth: 'token', route })
})
afterAll(async () => {
  await open.stop()
  await closed.stop()
  await upstream.stop()
})
beforeEach(() => {
  upstream.seen.length = 0
  open.records.length = 0
})

test('token mode: challenge, token, manifest; all on the front itself', async () => {
  const ping = await fetch(`${closed.url}/v2/`)
  expect(ping.status).toBe(401)
  expect(ping.headers.get('docker-distribution-api-version')).toBe('registry/2.0')
  expect(ping.headers.get('www-authenticate')).toBe(`Bearer realm="${closed.url}/token",service="127.0.0.1"`)
  const refused = await fetch(`${closed.url}/v2/app/manifests/1.0`)
  expect(refused.status).toBe(401)
  expect(refused.headers.get('www-authenticate')).toBe(
    `Bearer realm="${closed.url}/token",service="127.0.0.1",scope="repository:app:pull"`,
  )
  expect(await refused.json()).toMatchObject({ errors: [{ code: 'UNAUTHORIZED' }] })
  const issued = await fetch(`${closed.url}/token?service=127.0.0.1&scope=repository%3Aapp%3Apull`)
  const body = (await issued.json()) as Record<string, unknown>
  expect(body).toEqual({ token: body['access_token'], access_token: body['token'], expires_in: 3600 })
  expect(upstream.seen).toEqual([])
  const authorization = `Bearer ${body['token']}`
  expect((await fetch(`${closed.url}/v2/`, { headers: { authorization } })).status).toBe(200)
  const served = await fetch(`${closed.url}/v2/app/manifests/1.0`, { headers: { authorization } })
  expect(served.status).toBe(200)
  expect(await served.text()).toBe(manifest)
  expect(upstream.seen.every((request) => request.headers.authorization === undefined)).toBe(true)
})

test.each([
  ['Basic Og==', 200],
  ['Basic', 200],
  [`Basic ${Buffer.from('user:password').toString('base64')}`, 401],
  ['Bearer abc', 401],
])('token endpoint with %s: %i', async (authorization, status) => {
  expect((await fetch(`${closed.url}/token`, { headers: { authorization } })).status).toBe(status)
})

test('an invalid token is told so, or containerd would repeat it', async () => {
  const answer = await fetch(`${closed.url}/v2/app/manifests/1.0`, {
    headers: { authorization: 'Bearer wb1.x.y.z' },
  })
  expect(answer.status).toBe(401)
  expect(answer.headers.get('www-authenticate')).toMatch(/,error="invalid_token"$/)
})

test.each([
  ['POST', '/token', 405],
  ['POST', '/v2/app/blobs/uploads/', 405],
  ['PUT', '/v2/app/manifests/1.0', 405],
  ['DELETE', `/v2/app/manifests/${digest}`, 405],
  ['OPTIONS', '/v2/', 405],
  ['GET', '/v2/_catalog', 404],
  ['GET', '/v2/App/manifests/1.0', 404],
  ['GET', '/', 404],
  ['GET', '/readyz', 200],
  ['HEAD', '/v2/', 200],
])('%s %s: %i', async (method, path, status) => {
  const answer = await fetch(open.url + path, { method })
  expect(answer.status).toBe(status)
  if (status === 405) expect(answer.headers.get('allow')).toBe('GET, HEAD')
  if (status >= 400) expect(await answer.json()).toHaveProperty('errors.0.code')
  expect(upstream.seen).toEqual([])
})

const smuggled = 'GET /v2/app/manifests/smuggled HTTP/1.1\r\nHost: a\r\n\r\n'

test.each([
  ['a length', 'Content-Length: 4\r\n\r\nabcd'],
  ['an empty length', 'Content-Length:\r\n\r\n'],
  ['two lengths', `Content-Length: 0\r\nContent-Length: ${smuggled.length}\r\n\r\n`],
  ['chunked', 'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['an odd coding', 'Transfer-Encoding: identity\r\n\r\n'],
  ['both', 'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n'],
  ['a negative length', 'Content-Length: -1\r\n\r\n'],
])('a request with %s of body is refused, and nothing after it is read', async (_name, rest) => {
  const { text, closed: ended } = await exchangeRaw(
    open.port,
    `GET /v2/app/manifests/1.0 HTTP/1.1\r\nHost: a\r\n${rest}${smuggled}`,
  )
  expect(ended).toBe(true)
  expect(text === '' || text.startsWith('HTTP/1.1 400 ')).toBe(true)
  expect(upstream.seen).toEqual([])
})

test('a HEAD with a body gets 400 and the end of the connection', async () => {
  const { text, closed: ended } = await exchangeRaw(
    open.port,
    'HEAD /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd',
  )
  expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
  expect(ended).toBe(true)
})

test('a request with a body alone gets 400 and the end of the connection', async () => {
  const { text, closed: ended } = await exchangeRaw(
    open.port,
    'GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd',
  )
  expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
  expect(ended).toBe(true)
})

test.each(['', 'a b', 'user@host', 'host/path', 'a,b', 'hôst', 'a:b'])(
  'Host "%s" is refused',
  async (host) => {
    const { text } = await exchangeRaw(open.port, `GET /v2/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    expect(text.startsWith('HTTP/1.1 400 ')).toBe(true)
  },
)

test('headers: end-to-end ones go up, hop-by-hop, nominated, credentials and addresses do not', async () => {
  await exchangeRaw(
    open.port,
    [
      `GET /v2/app/blobs/${blob}?ns=docker.io&x=1 HTTP/1.1`,
      'Host: cr.example.io',
      'Accept: a/b',
      'Accept: c/d',
      'Connection: X-Secret, keep-alive',
      'X-Secret: 1',
      'TE: trailers',
      'Upgrade: h2c',
      'Proxy-Authorization: Basic eDp5',
      'Authorization: Bearer x',
      'Cookie: a=b',
      'Forwarded: for=192.0.2.1',
      'X-Forwarded-For: 192.0.2.1',
      'X-Forwarded-Proto: https',
      'X-Real-IP: 192.0.2.1',
      'Via: 1.0 older',
      'X-Latin: caf\xe9',
      'Range: bytes=0-4',
      'User-Agent: test/1',
      '',
      '',
    ].join('\r\n'),
    (text) => text.includes('blob bytes'),
  )
  const [request] = upstream.seen
  expect(request?.url).toBe(`/v2/acme/app/blobs/${blob}?x=1`)
  const { rawHeaders = [] } = request ?? {}
  const pairs = rawHeaders.flatMap((name, at) =>
    at % 2 ? [] : [`${name.toLowerCase()}: ${rawHeaders[at + 1]}`],
  )
  expect(pairs.filter((pair) => !/^(host|connection): /.test(pair)).sort()).toEqual([
    'accept: a/b',
    'accept: c/d',
    'range: bytes=0-4',
    'user-agent: test/1',
    'via: 1.0 older, 1.1 waybill',
    expect.stringMatching(/^x-latin: caf/),
  ])
  expect(request?.headers.host).toBe(upstream.host)
})

test.each(['Host', 'Authorization', 'Range'])('a Connection that nominates %s is refused', async (name) => {
  const { text } = await exchangeRaw(
    open.port,
    `GET /v2/app/blobs/${blob} HTTP/1.1\r\nHost: a\r\nConnection: ${name}\r\n\r\n`,
  )
  expect(text).toMatch(/^HTTP\/1\.1 400 /)
  expect(upstream.seen).toEqual([])
})

test('a loop is refused', async () => {
  const answer = await fetch(`${open.url}/v2/app/manifests/1.0`, { headers: { via: '1.1 a, 1.1 waybill' } })
  expect(answer.status).toBe(508)
  expect(upstream.seen).toEqual([])
})

test('HEAD says type, digest and length, and the connection goes on', async () => {
  const head = `HEAD /v2/app/manifests/1.0 HTTP/1.1\r\nHost: a\r\n\r\n`
  const { text } = await exchangeRaw(open.port, [head, ''], (answer) => answer.endsWith('\r\n\r\n'))
  expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  expect(text).toContain(`\r\nContent-Length: ${manifest.length}\r\n`)
  expect(text).toContain(`\r\nDocker-Content-Digest: ${digest}\r\n`)
  expect(text).toContain('\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\n')
  expect(text.match(/\r\nDate: /g)).toHaveLength(1)
  const twice = await exchangeRaw(open.port, head, (answer) => answer.endsWith('\r\n\r\n'))
  expect(twice.text).toMatch(/200 OK/)
})

test('keep-alive: HEAD, GET, error and HEAD on one connection', async () => {
  const requests = [
    'HEAD /v2/app/manifests/1.0',
    'GET /v2/app/manifests/1.0',
    'GET /v2/_catalog',
    'HEAD /v2/app/manifests/1.0',
  ]
  let sent = 0
  const answers = await new Promise<number>((resolve, reject) => {
    import('node:net').then(({ connect }) => {
      const socket = connect(open.port, '127.0.0.1')
      const next = (): void => {
        const request = requests[sent++]
        if (request === undefined) {
          socket.destroy()
          resolve(sent - 1)
        } else {
          socket.write(`${request} HTTP/1.1\r\nHost: a\r\n\r\n`)
        }
      }
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk
        const isHead = requests[sent - 1]?.startsWith('HEAD')
        const length = Number(/content-length: (\d+)/i.exec(text)?.[1])
        const end = text.indexOf('\r\n\r\n')
        if (end < 0 || text.length < end + 4 + (isHead ? 0 : length)) return
        text = ''
        next()
      })
      socket.on('close', () => reject(new Error(`closed after ${sent}`)))
      socket.on('connect', next)
    }, reject)
  })
  expect(answers).toBe(requests.length)
})

test('If-None-Match: 304 without a body', async () => {
  for (const reference of ['1.0', digest]) {
    const answer = await fetch(`${open.url}/v2/app/manifests/${reference}`, {
      headers: { 'if-none-match': `"${digest}"` },
    })
    expect([reference, answer.status, await answer.text()]).toEqual([reference, 304, ''])
  }
})

test('a list of tags has the public name and a link on the front', async () => {
  const answer = await fetch(`${open.url}/v2/app/tags/list?n=1`)
  expect(await answer.text()).toBe('{"name": "app", "tags": ["1.0", "name"]}\n')
  expect(answer.headers.get('link')).toBe('</v2/app/tags/list?n=1&last=1.0>; rel="next"')
  expect(upstream.seen[0]?.url).toBe('/v2/acme/app/tags/list?n=1')
})

test('the record says what was asked and sent, by whom', async () => {
  await (
    await fetch(`${open.url}/v2/app/manifests/1.0`, {
      headers: { 'x-forwarded-for': '198.51.100.7, 203.0.113.5', 'user-agent': 'skopeo/1.9.3' },
    })
  ).text()
  expect(open.records).toHaveLength(1)
  expect(open.records[0]).toMatchObject({
    method: 'GET',
    class: 'manifest',
    status: 200,
    upstream: 0,
    host: '127.0.0.1',
    repository: 'app',
    upstreamRepository: 'acme/app',
    reference: '1.0',
    digest,
    bytesSent: manifest.length,
    size: manifest.length,
    offset: 0,
    userAgent: 'skopeo/1.9.3',
    aborted: false,
    hasNonce: false,
  })
  const address = Buffer.from(open.records[0]?.address ?? []).toString('hex')
  expect(address).toBe('00000000000000000000ffffcb007105')
  expect(open.records[0]?.durationMs).toBeGreaterThan(0)
})

test('a forwarding header from an undeclared private peer is not believed, but counted', async () => {
  const before = closed.untrustedForwarded()
  closed.records.length = 0
  await (await fetch(`${closed.url}/v2/`, { headers: { 'x-forwarded-for': '198.51.100.7' } })).text()
  expect(closed.untrustedForwarded()).toBe(before + 1)
  expect(Buffer.from(closed.records[0]?.address ?? []).toString('hex')).toBe(
    '00000000000000000000ffff7f000001',
  )
})

test('the realm is the public URL, or what a trusted proxy says of it', async () => {
  const behind = await startFront({ upstream: upstream.url, auth: 'token', trustedProxies: ['127.0.0.0/8'] })
  const named = await startFront({
    upstream: upstream.url,
    auth: 'token',
    publicUrl: 'https://cr.example.io',
  })
  const proto = await fetch(`${behind.url}/v2/`, { headers: { 'x-forwarded-proto': 'https' } })
  expect(proto.headers.get('www-authenticate')).toContain(`realm="https://127.0.0.1:${behind.port}/token"`)
  const publicly = await fetch(`${named.url}/v2/`, { headers: { 'x-forwarded-proto': 'http' } })
  expect(publicly.headers.get('www-authenticate')).toContain('realm="https://cr.example.io/token"')
  await behind.stop()
  await named.stop()
})
