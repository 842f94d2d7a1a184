/**
 * What a registry with all of the OCI distribution specification 1.1 serves beyond Debian's: referrers, pages of tags
 * and of referrers, and SHA-512, through the front under another name. It is built with Go; without Go it is skipped.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ConfiguredWaybill, startConfigured } from './support/domains.ts'
import { findGo, goMissing } from './support/go.ts'
import { type Answer, fetchToken, send } from './support/http-client.ts'
import { type Olareg, startOlareg } from './support/olareg.ts'
import { digestOf, type Pushed, pushBlob, pushManifest } from './support/push.ts'

const inner = 'inner/app'
const outer = 'public/app'
const types = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  empty: 'application/vnd.oci.empty.v1+json',
  sbom: 'application/vnd.example.sbom',
  signature: 'application/vnd.example.signature',
} as const
const tags = Array.from({ length: 11 }, (_, number) => `1.${number}`)
const accept = `${types.index}, ${types.manifest}`

let registry: Olareg
let waybill: ConfiguredWaybill
let authorization: Record<string, string>
let subject: Pushed
let strong: Pushed
let strongManifest: { digest: string; bytes: Buffer }
const referrers: Record<'sbom' | 'signature', string[]> = { sbom: [], signature: [] }

type Ask = { method?: 'GET' | 'HEAD'; headers?: Record<string, string> }
const ask = (path: string, { method = 'GET', headers = {} }: Ask = {}): Promise<Answer> =>
  send(`${waybill.url}/v2/${outer}/${path}`, { method, headers: { accept, ...headers, ...authorization } })

/** All pages from this one on, each through the front, as the links lead. */
async function readPages<Body>(path: string): Promise<Body[]> {
  const pages: Body[] = []
  for (let next: string | undefined = `/v2/${outer}/${path}`; next !== undefined && pages.length < 20; ) {
    const { status, body, headers } = await send(new URL(next, waybill.url).href, { headers: authorization })
    expect(status).toBe(200)
    pages.push(JSON.parse(body.toString()) as Body)
    next = /^<([^>]+)>; ?rel="?next"?$/.exec(headers['link'] ?? '')?.[1]
    // Neither the name there nor its host: a client would leave the front.
    if (next !== undefined) expect(next.startsWith(`/v2/${outer}/`)).toBe(true)
  }
  return pages
}

const go = findGo()
// The reason stands where the report names what was not run.
const name = go === null ? `not run, as ${goMissing}` : 'olareg behind a renamed route, with tokens'

describe.skipIf(go === null)(name, () => {
  beforeAll(async () => {
    registry = await startOlareg()
    const empty = await pushBlob(registry.url, inner, Buffer.from('{}'))
    const config = { mediaType: types.empty, digest: empty.digest, size: empty.size }
    const put = (tag: string | null, body: Record<string, unknown>) =>
      pushManifest(registry.url, inner, tag, {
        schemaVersion: 2,
        mediaType: types.manifest,
        config,
        layers: [],
        ...body,
      })
    subject = await put(tags[0]!, {})
    for (const tag of tags.slice(1)) await put(tag, { annotations: { tag } })
    const of = { mediaType: types.manifest, digest: subject.digest, size: subject.size }
    // Descriptors of referrers carry annotations, so that three of these are more than a page of 4 MiB.
    const notes = Object.fromEntries(
      Array.from({ length: 180 }, (_, each) => [`n${each}`, 'x'.repeat(10_000)]),
    )
    for (const number of [1, 2, 3, 4]) {
      const kind = number % 2 ? 'sbom' : 'signature'
      const pushed = await put(null, {
        artifactType: types[kind],
        subject: of,
        annotations: { ...notes, number: String(number) },
      })
      referrers[kind].push(pushed.digest)
    }
    const bytes = Buffer.from(Array.from({ length: 3000 }, (_, index) => index % 251))
    strong = await pushBlob(registry.url, inner, bytes, 'sha512')
    const layers = [{ mediaType: types.sbom, digest: strong.digest, size: strong.size }]
    const manifest = Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType: types.manifest, config, layers }),
    )
    strongManifest = { digest: digestOf(manifest, 'sha512'), bytes: manifest }
    const { status } = await fetch(`${registry.url}/v2/${inner}/manifests/${strongManifest.digest}`, {
      method: 'PUT',
      headers: { 'Content-Type': types.manifest },
      body: new Uint8Array(manifest),
    })
    expect(status).toBe(201)
    const route = { repository: 'public/**', upstream: registry.url, upstreamRepository: 'inner/**' }
    waybill = await startConfigured({ domains: [{ host: '127.0.0.1', routes: [route] }] })
    authorization = { authorization: `Bearer ${await fetchToken(waybill.url)}` }
  })
  afterAll(async () => {
    await waybill?.stop()
    await registry?.stop()
  })

  test('referrers: all of them page by page, by what they are filtered, and none', async () => {
    type List = { mediaType: string; manifests: { digest: string; artifactType: string }[] }
    const path = `referrers/${subject.digest}`
    const pages = await readPages<List>(path)
    expect(pages.length).toBeGreaterThan(1)
    expect(new Set(pages.map(({ mediaType }) => mediaType))).toEqual(new Set([types.index]))
    const found = pages.flatMap(({ manifests }) => manifests.map(({ digest }) => digest))
    expect(found.toSorted()).toEqual(Object.values(referrers).flat().toSorted())

    const filtered = await ask(`${path}?artifactType=${encodeURIComponent(types.sbom)}`)
    expect(filtered.headers).toMatchObject({
      'content-type': types.index,
      'oci-filters-applied': 'artifactType',
    })
    const only = JSON.parse(filtered.body.toString()) as List
    expect(only.manifests.map(({ digest }) => digest).toSorted()).toEqual(referrers.sbom.toSorted())

    // The registry's own word for none, which clients tell from 404: this one then says null for the list.
    const none = `referrers/${digestOf(Buffer.from('nobody pushed this'))}`
    const [ours, theirs] = await Promise.all([ask(none), send(`${registry.url}/v2/${inner}/${none}`)])
    expect([ours.status, ours.body.toString()]).toEqual([200, theirs.body.toString()])
  })

  test('tags: pages of n under the public name, from where the client left off', async () => {
    type List = { name: string; tags: string[] }
    const pages = await readPages<List>('tags/list?n=4')
    expect(pages.map((page) => page.tags.length)).toEqual([4, 4, 3])
    expect(pages.flatMap((page) => page.tags)).toEqual(tags.toSorted())
    expect(new Set(pages.map(({ name }) => name))).toEqual(new Set([outer]))
    const [rest] = await readPages<List>(`tags/list?last=${tags.toSorted().at(-3)}`)
    expect(rest).toEqual({ name: outer, tags: tags.toSorted().slice(-2) })
  })

  test('SHA-512: a blob, a part of it, and a manifest, from the registry and from memory', async () => {
    for (const method of ['GET', 'HEAD'] as const) {
      const answer = await ask(`blobs/${strong.digest}`, { method })
      expect([answer.status, answer.headers['content-length']]).toEqual([200, String(strong.size)])
      if (method === 'GET') expect(answer.body.equals(strong.bytes)).toBe(true)
    }
    const part = await ask(`blobs/${strong.digest}`, { headers: { range: 'bytes=1000-1999' } })
    expect(part.status).toBe(206)
    expect(part.body.equals(strong.bytes.subarray(1000, 2000))).toBe(true)
    for (let round = 0; round < 2; round++) {
      const answer = await ask(`manifests/${strongManifest.digest}`)
      expect(answer.status).toBe(200)
      expect(answer.headers['docker-content-digest']).toBe(strongManifest.digest)
      expect(answer.body.equals(strongManifest.bytes)).toBe(true)
    }
  })

  test('a tag that is looked for, pushed, pulled and deleted in turn is what the registry says, at once', async () => {
    const body = { schemaVersion: 2, mediaType: types.manifest, layers: [], config: {} }
    for (let round = 0; round < 3; round++) {
      for (const method of ['HEAD', 'GET'] as const)
        expect((await ask('manifests/new', { method })).status).toBe(404)
      const { bytes } = await pushManifest(registry.url, inner, 'new', {
        ...body,
        config: { mediaType: types.empty, digest: digestOf(Buffer.from('{}')), size: 2 },
        annotations: { round: String(round) },
      })
      expect((await ask('manifests/new')).body.equals(bytes)).toBe(true)
      await fetch(`${registry.url}/v2/${inner}/manifests/new`, { method: 'DELETE' })
    }
  })
})
