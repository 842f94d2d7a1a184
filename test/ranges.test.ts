/** Parts and conditions: a client gets from the front what it would get from the registry itself. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startFront, type TestFront } from './support/front.ts'
import type { Image } from './support/image.ts'
import { speak } from './support/raw-client.ts'
import { type RedirectingRegistry, startRedirectingRegistry } from './support/redirecting-registry.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'

let registry: Registry
let redirecting: RedirectingRegistry
let relay: TestFront
let stream: TestFront
let image: Image

const accept = 'Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json'

beforeAll(async () => {
  registry = await startRegistry()
  image = await pushImage(registry, 'team/app', '1.0', { layers: 1, layerBytes: 100_000 })
  redirecting = await startRedirectingRegistry(registry.url)
  relay = await startFront({ upstream: registry.url })
  stream = await startFront({ upstream: redirecting.url, blobs: 'stream', redirectHosts: ['localhost'] })
})
afterAll(async () => {
  await relay.stop()
  await stream.stop()
  redirecting.stop()
  await registry.stop()
})

type Answer = { status: number; headers: Record<string, string>; body: string }

const compared = [
  'content-type',
  'content-length',
  'content-range',
  'accept-ranges',
  'etag',
  'docker-content-digest',
  'cache-control',
  'last-modified',
]

async function ask(host: string, method: string, path: string, lines: string[]): Promise<Answer> {
  const port = Number(host.split(':')[1])
  const request = [`${method} ${path} HTTP/1.1`, `Host: ${host}`, 'Connection: close', ...lines, '', ''].join(
    '\r\n',
  )
  const { text } = await speak(port, request)
  const end = text.indexOf('\r\n\r\n')
  const [first = '', ...rest] = text.slice(0, end).split('\r\n')
  const pairs = rest.map(
    (line) =>
      [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()] as const,
  )
  const headers = Object.fromEntries(pairs.filter(([name]) => compared.includes(name)))
  // Parts are divided by a word that is made up for each answer.
  const boundary = /boundary=(\w+)/.exec(headers['content-type'] ?? '')?.[1]
  const hide = (value: string) => (boundary === undefined ? value : value.replaceAll(boundary, 'BOUNDARY'))
  const chunked = pairs.some(([name, value]) => name === 'transfer-encoding' && value === 'chunked')
  const body = text.slice(end + 4)
  return {
    status: Number(first.split(' ')[1]),
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, hide(value)])),
    body: hide(chunked ? unchunk(body) : body),
  }
}

function unchunk(body: string): string {
  let rest = body
  let whole = ''
  for (;;) {
    const end = rest.indexOf('\r\n')
    const size = Number.parseInt(rest.slice(0, end), 16)
    if (!(size > 0)) return whole
    whole += rest.slice(end + 2, end + 2 + size)
    rest = rest.slice(end + 4 + size)
  }
}

const blobPath = (): string => `/v2/team/app/blobs/${image.images[0]?.layers[0]?.digest}`
const blobEtag = (): string => `"${image.images[0]?.layers[0]?.digest}"`

const conditions: [string, (etag: string) => string[]][] = [
  ['nothing', () => []],
  ['the first byte', () => ['Range: bytes=0-0']],
  ['some in the middle', () => ['Range: bytes=1000-1999']],
  ['from some on', () => ['Range: bytes=99000-']],
  ['the last', () => ['Range: bytes=-500']],
  ['more than there are', () => ['Range: bytes=50000-999999999']],
  ['the last, more than there are', () => ['Range: bytes=-999999999']],
  ['beyond the end', () => ['Range: bytes=999999999-']],
  ['the last none', () => ['Range: bytes=-0']],
  ['two parts', () => ['Range: bytes=0-1,10-19']],
  ['two parts that meet', () => ['Range: bytes=0-9,5-14']],
  ['two parts, one beyond the end', () => ['Range: bytes=0-1,999999999-']],
  ['letters', () => ['Range: bytes=a-b']],
  ['the end before the start', () => ['Range: bytes=5-2']],
  ['another unit', () => ['Range: items=0-1']],
  ['no unit', () => ['Range: 0-1']],
  ['what it has', (etag) => [`If-None-Match: ${etag}`]],
  ['what it has, weakly', (etag) => [`If-None-Match: W/${etag}`]],
  ['what it has, among others', (etag) => [`If-None-Match: "x", ${etag}`]],
  ['anything', () => ['If-None-Match: *']],
  ['something else', () => ['If-None-Match: "x"']],
  ['what it has, and a part', (etag) => [`If-None-Match: ${etag}`, 'Range: bytes=0-9']],
  ['a part of what it has', (etag) => [`If-Range: ${etag}`, 'Range: bytes=10-19']],
  ['a part of something else', () => ['If-Range: "x"', 'Range: bytes=10-19']],
  ['a part of what it has, weakly', (etag) => [`If-Range: W/${etag}`, 'Range: bytes=10-19']],
  ['if it is what it has', (etag) => [`If-Match: ${etag}`]],
  ['if it is something else', () => ['If-Match: "x"']],
  ['if newer', () => ['If-Modified-Since: Fri, 01 Jan 2038 00:00:00 GMT']],
]

describe.each(['GET', 'HEAD'])('%s of a blob', (method) => {
  test.each(conditions)('%s: relayed and streamed as the registry answers', async (_name, lines) => {
    const expected = await ask(registry.host, method, blobPath(), lines(blobEtag()))
    expect(expected.status).toBeGreaterThanOrEqual(200)
    const relayed = await ask(`127.0.0.1:${relay.port}`, method, blobPath(), lines(blobEtag()))
    const streamed = await ask(`127.0.0.1:${stream.port}`, method, blobPath(), lines(blobEtag()))
    if (method === 'GET' && expected.status === 412) {
      // docker-registry announces the blob's length with it and ends the connection: an answer that is not whole.
      expect([expected.body, relayed.status, streamed.status]).toEqual(['', 502, 502])
      return
    }
    expect(relayed).toEqual(expected)
    if (method === 'GET') {
      expect(streamed).toEqual(expected)
      return
    }
    // A HEAD of what is stored elsewhere is answered by the front, from a GET of one byte: parts are nothing to it.
    if (expected.status === 412) return
    const conditional = expected.status === 304
    expect([streamed.status, streamed.body]).toEqual([conditional ? expected.status : 200, ''])
    expect(streamed.headers['docker-content-digest']).toBe(image.images[0]?.layers[0]?.digest)
    if (!conditional)
      expect(streamed.headers['content-length']).toBe(String(image.images[0]?.layers[0]?.size))
  })
})

describe.each(['GET', 'HEAD'])('%s of a manifest', (method) => {
  // Of those a registry ignores some, which are asked of the front alone below.
  const beyondRegistry = new Set(['what it has, weakly', 'what it has, among others', 'anything'])
  const table = conditions.filter(([name]) => !beyondRegistry.has(name))
  test.each(table)(
    '%s: by tag and digest, fetched and cached, as the registry answers',
    async (_name, lines) => {
      const etag = `"${image.digest}"`
      for (const reference of ['1.0', image.digest]) {
        const path = `/v2/team/app/manifests/${reference}`
        const expected = await ask(registry.host, method, path, [accept, ...lines(etag)])
        const fresh = await startFront({ upstream: registry.url })
        for (const round of ['fetched', 'cached']) {
          const answer = await ask(`127.0.0.1:${fresh.port}`, method, path, [accept, ...lines(etag)])
          const { headers, ...rest } = answer
          expect([reference, round, rest]).toEqual([
            reference,
            round,
            { status: expected.status, body: expected.body },
          ])
          for (const name of [
            'content-type',
            'content-length',
            'content-range',
            'etag',
            'docker-content-digest',
          ]) {
            // The registry's says nothing at all, not even the ETag that RFC 9110 15.4.5 asks for.
            if (expected.status === 304) continue
            expect([name, headers[name]]).toEqual([name, expected.headers[name]])
          }
          // The second time there is one in the cache, whatever the first was.
          await ask(`127.0.0.1:${fresh.port}`, 'GET', path, [accept])
        }
        await fresh.stop()
      }
    },
  )
  test.each(conditions.filter(([name]) => beyondRegistry.has(name)))(
    '%s: 304, as RFC 9110 has it',
    async (_name, lines) => {
      const etag = `"${image.digest}"`
      for (const reference of ['1.0', image.digest]) {
        const path = `/v2/team/app/manifests/${reference}`
        await ask(`127.0.0.1:${relay.port}`, 'GET', path, [accept])
        const answer = await ask(`127.0.0.1:${relay.port}`, method, path, [accept, ...lines(etag)])
        expect([answer.status, answer.body, answer.headers['etag']]).toEqual([304, '', etag])
      }
    },
  )
})
