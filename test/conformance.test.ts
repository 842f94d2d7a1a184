/**
 * What the OCI distribution specification 1.1 asks of the pull and content discovery parts, each of it through the
 * front: as the specification says, and with the answer that the registry itself gives. The specification's own
 * suite is a Go program that is not to be had everywhere (`make conformance` runs it); these are its requirements on
 * what only reads.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FaultUpstream, startFaultUpstream } from './support/fault-upstream.ts'
import { exchangeRaw } from './support/front.ts'
import { type Answer, fetchToken, send } from './support/http-client.ts'
import { digestOf, type Pushed, pushBlob, pushManifest } from './support/push.ts'
import { type Registry, startRegistry } from './support/registry.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

const repository = 'conformance/app'
const types = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
  empty: 'application/vnd.oci.empty.v1+json',
} as const
const manifestTypes = [
  types.index,
  types.manifest,
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ')
const missing = digestOf(Buffer.from('nobody pushed this'))
const tags = ['1.0', '1.1', '2.0', 'index', 'large', 'no-layers', 'artifact', 'nested']

let registry: Registry
const blobs: Record<string, Pushed> = {}
const manifests: Record<string, Pushed & { mediaType: string }> = {}

beforeAll(async () => {
  registry = await startRegistry()
  const put = async (name: string, bytes: Buffer) => {
    const blob = await pushBlob(registry.url, repository, bytes)
    blobs[name] = blob
    return blob
  }
  const config = await put(
    'config',
    Buffer.from('{"architecture":"amd64","os":"linux","rootfs":{"diff_ids":[]}}'),
  )
  // Bytes that tell their place, so that a wrong range shows.
  const layer = await put('layer', Buffer.from(Array.from({ length: 4000 }, (_, index) => index % 251)))
  const empty = await put('empty', Buffer.alloc(0))
  const nothing = await put('nothing', Buffer.from('{}'))
  const describeBlob = (blob: Pushed, mediaType: string) => ({
    mediaType,
    digest: blob.digest,
    size: blob.size,
  })
  const putManifest = async (
    tag: string,
    body: Record<string, unknown>,
    mediaType: string = types.manifest,
  ) => {
    const pushed = await pushManifest(registry.url, repository, tag, { schemaVersion: 2, mediaType, ...body })
    manifests[tag] = { ...pushed, mediaType }
    return { mediaType, digest: pushed.digest, size: pushed.size }
  }
  const image = (annotations: Record<string, string>) => ({
    config: describeBlob(config, types.config),
    layers: [describeBlob(layer, types.layer), describeBlob(empty, types.layer)],
    annotations,
  })
  const first = await putManifest('1.0', image({ version: '1.0' }))
  const second = await putManifest('1.1', image({ version: '1.1' }))
  await putManifest('2.0', { ...image({}), 'org.example.custom': { nested: ['kept', 'ö', 1.5] } })
  const platform = { os: 'linux', architecture: 'amd64' }
  const index = await putManifest('index', { manifests: [{ ...first, platform }, second] }, types.index)
  await putManifest('nested', { manifests: [index] }, types.index)
  // Near the largest that registries take, which is 4 MiB.
  const notes = Array.from({ length: 390 }, (_, each) => [`org.example.${each}`, 'x'.repeat(10_000)] as const)
  await putManifest('large', image(Object.fromEntries(notes)))
  await putManifest('no-layers', { config: describeBlob(config, types.config), layers: [] })
  await putManifest('artifact', {
    artifactType: 'application/vnd.example.sbom',
    config: { ...describeBlob(nothing, types.empty), data: 'e30=' },
    layers: [describeBlob(layer, 'application/vnd.example.sbom')],
    subject: first,
  })
})
afterAll(() => registry.stop())

for (const auth of ['token', 'open'] as const)
  describe(`${auth} mode`, () => {
    let waybill: Waybill
    let authorization: Record<string, string> = {}
    beforeAll(async () => {
      waybill = await startWaybill({ args: ['--upstream', registry.url, '--auth', auth] })
      if (auth === 'token') authorization = { authorization: `Bearer ${await fetchToken(waybill.url)}` }
    })
    afterAll(() => waybill.stop())

    type Ask = { method?: 'GET' | 'HEAD'; headers?: Record<string, string>; name?: string }

    /** The front's answer, which must be that of the registry: status, body and what describes the body. */
    async function ask(
      path: string,
      { method = 'GET', headers = {}, name = repository }: Ask = {},
    ): Promise<Answer> {
      const [ours, theirs] = await Promise.all([
        send(`${waybill.url}/v2/${name}/${path}`, { method, headers: { ...headers, ...authorization } }),
        send(`${registry.url}/v2/${name}/${path}`, { method, headers }),
      ])
      const described = [
        'content-type',
        'content-length',
        'content-range',
        'docker-content-digest',
        'accept-ranges',
      ]
      const ofBody = (answer: Answer) => described.map((header) => `${header}: ${answer.headers[header]}`)
      expect(ours.status).toBe(theirs.status)
      if (ours.status < 300) {
        expect(ofBody(ours)).toEqual(ofBody(theirs))
        expect(ours.body.equals(theirs.body)).toBe(true)
      }
      expect(ours.headers['content-encoding']).toBeUndefined()
      return ours
    }

    function expectError(answer: Answer, status: number, codes: string[]): void {
      expect(answer.status).toBe(status)
      expect(answer.headers['content-type']).toMatch(/^application\/json/)
      const { errors } = JSON.parse(answer.body.toString()) as { errors: { code: string }[] }
      expect(codes).toContain(errors[0]?.code)
    }

    test('the endpoint: 200, or 401 with a challenge that can be answered', async () => {
      const { status, headers } = await send(`${waybill.url}/v2/`)
      expect(headers['docker-distribution-api-version']).toBe('registry/2.0')
      expect(status).toBe(auth === 'token' ? 401 : 200)
      if (auth === 'open') return
      expect(headers['www-authenticate']).toMatch(/^Bearer realm="http:[^"]+\/token",service="[^"]+"/)
      // The conformance suite sends credentials that are empty.
      const answer = await send(`${waybill.url}/token?scope=repository:${repository}:pull`, {
        headers: { authorization: 'Basic Og==' },
      })
      const { token } = JSON.parse(answer.body.toString()) as { token: string }
      const again = await send(`${waybill.url}/v2/`, { headers: { authorization: `Bearer ${token}` } })
      expect(again.status).toBe(200)
    })

    test.each(['config', 'layer', 'empty', 'nothing'])('blob %s by GET and HEAD', async (name) => {
      const { digest, bytes } = blobs[name]!
      const got = await ask(`blobs/${digest}`)
      expect(got.status).toBe(200)
      expect(got.body.equals(bytes)).toBe(true)
      for (const answer of [got, await ask(`blobs/${digest}`, { method: 'HEAD' })]) {
        expect(answer.status).toBe(200)
        expect(answer.headers['content-length']).toBe(String(bytes.length))
        expect(answer.headers['docker-content-digest']).toBe(digest)
      }
    })

    test.each([
      ['500-1499', 206, 500, 1500],
      ['500-', 206, 500, 4000],
      ['-500', 206, 3500, 4000],
      ['0-0', 206, 0, 1],
      ['2000-5000', 206, 2000, 4000],
    ])('a range of a blob: bytes=%s gives %i', async (range, status, from, to) => {
      const { digest, bytes } = blobs['layer']!
      const answer = await ask(`blobs/${digest}`, { headers: { range: `bytes=${range}` } })
      expect(answer.status).toBe(status)
      expect(answer.body.equals(bytes.subarray(from, to))).toBe(true)
      expect(answer.headers['content-length']).toBe(String(to - from))
      expect(answer.headers['content-range']).toBe(`bytes ${from}-${to - 1}/${bytes.length}`)
    })

    test.each(['500-0', '5000-10000'])('a range that no blob has: bytes=%s gives 416', async (range) => {
      const head = [
        `GET /v2/${repository}/blobs/${blobs['layer']!.digest} HTTP/1.1`,
        ...[`Host: ${waybill.host}`, `Range: bytes=${range}`, 'Connection: close'],
        ...Object.values(authorization).map((value) => `Authorization: ${value}`),
      ]
      // This registry claims a longer body than it sends, so no client reads it to its end.
      for (const host of [registry.host, waybill.host]) {
        const { text } = await exchangeRaw(Number(host.split(':')[1]), `${head.join('\r\n')}\r\n\r\n`)
        expect(text).toMatch(/^HTTP\/1\.1 416 /)
        if (range !== '500-0') expect(text).toContain('Content-Range: bytes */4000')
      }
    })

    test.each(tags)('manifest %s by tag and digest, by GET and HEAD, twice', async (tag) => {
      const { digest, bytes, mediaType } = manifests[tag]!
      // From the registry, then from memory.
      for (const reference of [tag, digest, tag, digest]) {
        for (const method of ['HEAD', 'GET'] as const) {
          const answer = await ask(`manifests/${reference}`, { method, headers: { accept: manifestTypes } })
          expect(answer.status).toBe(200)
          expect(answer.headers['content-type']).toBe(mediaType)
          expect(answer.headers['content-length']).toBe(String(bytes.length))
          expect(answer.headers['docker-content-digest']).toBe(digest)
          if (method === 'GET') expect(answer.body.equals(bytes)).toBe(true)
        }
      }
    })

    test('what is not there: 404 and an error that says what', async () => {
      expectError(await ask(`blobs/${missing}`), 404, ['BLOB_UNKNOWN'])
      expectError(await ask('manifests/none'), 404, ['MANIFEST_UNKNOWN'])
      expectError(await ask(`manifests/${missing}`), 404, ['MANIFEST_UNKNOWN'])
      expectError(await ask('tags/list', { name: 'conformance/none' }), 404, ['NAME_UNKNOWN'])
      for (const path of [`blobs/${missing}`, 'manifests/none', `manifests/${missing}`]) {
        const { status, body } = await ask(path, { method: 'HEAD' })
        expect([status, body.length]).toEqual([404, 0])
      }
    })

    test.each(['blobs/sha256:baddigeststring', 'manifests/sha256:baddigeststring', 'manifests/.bad'])(
      'what cannot be is refused as the registry does: %s',
      async (path) => {
        // 400 or 404; of a manifest distribution 2.8 says 500.
        expect((await ask(path)).status).toBeGreaterThanOrEqual(400)
      },
    )

    test('tags, all of them in order', async () => {
      const { body } = await ask('tags/list')
      expect(JSON.parse(body.toString())).toEqual({ name: repository, tags: tags.toSorted() })
    })

    test('referrers of a registry that has no such list: 404, so that clients ask for the tag', async () => {
      const subject = manifests['1.0']!.digest
      expect((await ask(`referrers/${subject}`)).status).toBe(404)
      expectError(await ask(`manifests/${subject.replace(':', '-')}`), 404, ['MANIFEST_UNKNOWN'])
    })
  })

describe('what distribution 2.8 has not', () => {
  let upstream: FaultUpstream
  let waybill: Waybill
  beforeAll(async () => {
    upstream = await startFaultUpstream()
    waybill = await startWaybill({ args: ['--upstream', upstream.url, '--auth', 'open'] })
  })
  afterAll(async () => {
    await waybill.stop()
    await upstream.stop()
  })

  test('tags by pages: n and last go to the registry, and links lead on through the front', async () => {
    const path = `/v2/${repository}/tags/list`
    const sorted = tags.toSorted()
    upstream.answer(path, ({ url }) => {
      const { searchParams } = new URL(url, upstream.url)
      const count = Number(searchParams.get('n') ?? sorted.length)
      const from = sorted.indexOf(searchParams.get('last') ?? '') + 1
      const page = sorted.slice(from, from + count)
      const more = count > 0 && from + count < sorted.length
      return {
        headers: {
          'Content-Type': 'application/json',
          ...(more && { Link: `<${upstream.url}${path}?n=${count}&last=${page.at(-1)}>; rel="next"` }),
        },
        body: JSON.stringify({ name: repository, tags: page }),
      }
    })
    const list = async (url: string) => {
      const { status, body, headers } = await send(url)
      expect(status).toBe(200)
      const next = /^<([^>]+)>; ?rel="?next"?$/.exec(headers['link'] ?? '')?.[1]
      return { tags: (JSON.parse(body.toString()) as { tags: string[] }).tags, next }
    }
    expect((await list(`${waybill.url}${path}?n=0`)).tags).toEqual([])
    expect((await list(`${waybill.url}${path}?last=${sorted.at(-2)}`)).tags).toEqual(sorted.slice(-1))
    const seen: string[] = []
    let url: string | null = `${waybill.url}${path}?n=3`
    for (let page = 0; page < 10 && url !== null; page++) {
      const { tags: some, next } = await list(url)
      expect(some.length).toBeLessThanOrEqual(3)
      seen.push(...some)
      url = next === undefined ? null : new URL(next, waybill.url).href
      if (url) expect(new URL(url).host).toBe(waybill.host)
    }
    expect(seen).toEqual(sorted)
  })

  test('referrers, and what they were filtered by', async () => {
    const path = `/v2/${repository}/referrers/${missing}`
    const body = JSON.stringify({ schemaVersion: 2, mediaType: types.index, manifests: [] })
    const headers = { 'Content-Type': types.index, 'OCI-Filters-Applied': 'artifactType' }
    upstream.answer(path, { headers, body })
    const asked = `${path}?artifactType=application%2Fvnd.example.sbom`
    const answer = await send(`${waybill.url}${asked}`)
    expect(answer.status).toBe(200)
    expect(answer.body.toString()).toBe(body)
    expect(answer.headers).toMatchObject({
      'content-type': types.index,
      'oci-filters-applied': 'artifactType',
    })
    expect(upstream.seen.map(({ url }) => url)).toContain(asked)
  })
})
