import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type FaultUpstream, startFaultUpstream } from './support/fault-upstream.ts'
import { startFront, type TestFront } from './support/front.ts'
import { send } from './support/http-client.ts'
import type { Image } from './support/image.ts'
import { temporaryFolder } from './support/processes.ts'
import { type Realm, startRealm } from './support/realm.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { skopeoCopy } from './support/skopeo.ts'

/** A real registry that wants tokens: `acme/app` is everybody's, `acme/secret` is robot's. */
const password = 'pass word'
const basic = `Basic ${Buffer.from(`robot:${password}`).toString('base64')}`
const mayPull = (user: string, repository: string) => repository !== 'acme/secret' || user !== ''

let realm: Realm
let registry: Registry
let secret: Image
let front: TestFront
let other: FaultUpstream
const fronts: TestFront[] = []

async function start(options: Partial<Parameters<typeof startFront>[0]> = {}): Promise<TestFront> {
  const route = { repository: '**', upstreamRepository: 'acme/**' }
  const started = await startFront({ upstream: registry.url, auth: 'passthrough', route, ...options })
  fronts.push(started)
  return started
}

beforeAll(async () => {
  realm = await startRealm({ users: { robot: password }, mayPull })
  registry = await startRegistry({ auth: realm.auth })
  const target = { host: registry.host, credentials: `robot:${password}` }
  await pushImage(target, 'acme/app', '1.0')
  secret = await pushImage(target, 'acme/secret', '1.0')
})
afterAll(async () => {
  await registry?.stop()
  await realm?.stop()
})
beforeEach(async () => {
  realm.asked = []
  realm.fault = null
  other = await startFaultUpstream()
  front = await start()
})
afterEach(async () => {
  for (const started of fronts.splice(0)) await started.stop()
  await other.stop()
})

const challengeOf = (answer: { headers: Record<string, string> }) => answer.headers['www-authenticate']
const tokenFor = async (scope: string, authorization = basic) => {
  const answer = await send(`${front.url}/token?scope=${scope}`, { headers: { authorization } })
  expect(answer.status).toBe(200)
  return (JSON.parse(answer.body.toString()) as { token: string }).token
}

test('skopeo with credentials of the registry', async () => {
  const folder = temporaryFolder('copy')
  const source = `127.0.0.1:${front.port}/secret:1.0`
  expect(await skopeoCopy(source, folder, { credentials: `robot:${password}` })).toMatchObject({ code: 0 })
  expect(readdirSync(join(folder, 'blobs', 'sha256')).length).toBeGreaterThan(3)
  expect(realm.asked.map(({ scopes, authorization }) => [scopes, authorization])).toEqual([
    [['repository:acme/secret:pull'], basic],
  ])
  const pulled = front.records.filter(({ repository }) => repository === 'secret')
  expect(pulled.length).toBeGreaterThan(3)
  expect(pulled.some(({ hasNonce }) => hasNonce)).toBe(false)
  // The graph of the image is known all the same.
  expect(front.manifests.map(({ digest }) => digest)).toContain(secret.digest)
})

test.each([
  ['without credentials', undefined],
  ['with wrong ones', 'robot:sesame'],
])('skopeo %s gets nothing private', async (_name, credentials) => {
  const copied = await skopeoCopy(`127.0.0.1:${front.port}/secret:1.0`, temporaryFolder('copy'), {
    ...(credentials !== undefined && { credentials }),
  })
  expect(copied.code).not.toBe(0)
  expect(copied.stderr).toMatch(/unauthorized|authentication required|denied/i)
})

test('skopeo without credentials gets what is public', async () => {
  expect(await skopeoCopy(`127.0.0.1:${front.port}/app:1.0`, temporaryFolder('copy'))).toMatchObject({
    code: 0,
  })
})

test('challenges speak of the front and of public names', async () => {
  const ping = await send(`${front.url}/v2/`)
  expect(ping.status).toBe(401)
  expect(challengeOf(ping)).toBe(`Bearer realm="${front.url}/token",service="127.0.0.1"`)
  const manifest = await send(`${front.url}/v2/secret/manifests/1.0`)
  expect(manifest.status).toBe(401)
  expect(challengeOf(manifest)).toBe(
    `Bearer realm="${front.url}/token",service="127.0.0.1",scope="repository:secret:pull"`,
  )
  expect(manifest.body.toString()).toContain('UNAUTHORIZED')
  // The wrong repository's token: the registry says why, and so does the front.
  const headers = { authorization: `Bearer ${await tokenFor('repository:app:pull')}` }
  const answer = await send(`${front.url}/v2/secret/manifests/1.0`, { headers })
  expect(challengeOf(answer)).toMatch(/scope="repository:secret:pull",error="insufficient_scope"$/)
  for (const { headers: sent, body } of [ping, manifest, answer]) {
    expect(`${JSON.stringify(sent)}${body}`).not.toMatch(/acme|test registry/)
  }
})

test('the token comes back as it is, for all scopes, of which only pull is asked for', async () => {
  const query = 'service=127.0.0.1&account=robot&client_id=docker&offline_token=true'
  const scopes = 'scope=repository:app:pull,push&scope=repository:secret:pull+registry:catalog:*'
  const answer = await send(`${front.url}/token?${query}&${scopes}`, { headers: { authorization: basic } })
  expect(answer.status).toBe(200)
  expect(answer.headers['cache-control']).toBe('no-store')
  const body = JSON.parse(answer.body.toString()) as Record<string, unknown>
  expect(body).toMatchObject({ token: body['access_token'], expires_in: 300, x_seen: expect.any(String) })
  expect(realm.asked).toEqual([
    {
      scopes: ['repository:acme/app:pull', 'repository:acme/secret:pull'],
      user: 'robot',
      account: 'robot',
      authorization: basic,
    },
  ])
  const headers = { authorization: `Bearer ${body['token']}` }
  expect((await send(`${front.url}/v2/`, { headers })).status).toBe(200)
})

test('nothing is shared between clients', async () => {
  const headers = { authorization: `Bearer ${await tokenFor('repository:secret:pull')}` }
  const url = `${front.url}/v2/secret/blobs/${secret.images[0]?.config.digest}`
  for (let round = 0; round < 2; round++) expect((await send(url, { headers })).status).toBe(200)
  expect(front.records.filter(({ outcome }) => outcome === 'cache')).toEqual([])
  for (const authorization of ['', `Bearer ${await tokenFor('repository:app:pull')}`, 'Bearer x']) {
    const mine = authorization === '' ? {} : { authorization }
    const both = await Promise.all([send(url, { headers: mine }), send(url, { headers })])
    expect(both.map(({ status }) => status)).toEqual([401, 200])
  }
  await tokenFor('repository:secret:pull')
  expect(realm.asked.filter(({ scopes }) => scopes[0] === 'repository:acme/secret:pull')).toHaveLength(2)
})

test.each([
  ['no credentials', 'Basic Og==', 200],
  ['wrong credentials', `Basic ${Buffer.from('robot:x').toString('base64')}`, 401],
  ['a bearer token', 'Bearer abc', 401],
])('signing in with %s: %i', async (_name, authorization, status) => {
  const answer = await send(`${front.url}/token`, { headers: { authorization } })
  expect(answer.status).toBe(status)
  expect(realm.asked.map((each) => each.authorization)).not.toContain('Basic Og==')
})

test.each([
  [403, 403, 'DENIED'],
  [429, 429, 'TOOMANYREQUESTS'],
  [500, 502, 'UNSUPPORTED'],
  [302, 502, 'UNSUPPORTED'],
])('a token service that says %i: %i %s', async (theirs, ours, code) => {
  realm.fault = { status: theirs, headers: { 'Retry-After': '7', Location: 'http://127.0.0.1:1/' } }
  const answer = await send(`${front.url}/token?scope=repository:app:pull`, {
    headers: { authorization: basic },
  })
  expect([answer.status, answer.body.toString().includes(code)]).toEqual([ours, true])
  expect(answer.headers['retry-after']).toBe(theirs === 429 ? '7' : undefined)
  expect(realm.asked).toHaveLength(1)
})

test('a 403 of the registry is one here, without a challenge', async () => {
  other.answer('/v2/x/manifests/1', { status: 403, headers: { 'WWW-Authenticate': 'Basic realm="x"' } })
  const { url } = await start({ upstream: other.url, route: { repository: '**', upstreamRepository: '**' } })
  const answer = await send(`${url}/v2/x/manifests/1`, { headers: { authorization: 'Bearer abc' } })
  expect([answer.status, challengeOf(answer)]).toEqual([403, undefined])
  expect(answer.body.toString()).toContain('DENIED')
  expect(other.seen.map(({ headers }) => headers.authorization)).toEqual(['Bearer abc'])
})

test('a refusal is read to its end, so that its connection is used again', async () => {
  const challenge = { 'WWW-Authenticate': 'Bearer realm="https://auth.example/token"' }
  other.answer('/v2/acme/x/manifests/1', { status: 401, headers: challenge, body: '{"errors":[]}' })
  const { url } = await start({ upstream: other.url })
  for (let round = 0; round < 3; round++) expect((await send(`${url}/v2/x/manifests/1`)).status).toBe(401)
  expect(other.seen.map(({ connection }) => connection)).toEqual([0, 0, 0])
})

test('no fallback is shown what a client shows the first registry', async () => {
  const fallback = await startFaultUpstream()
  other.answer('/v2/acme/x/manifests/1', { status: 500 })
  const { url } = await start({ upstream: other.url, fallback: fallback.url })
  const answer = await send(`${url}/v2/x/manifests/1`, { headers: { authorization: basic } })
  expect(answer.status).toBe(500)
  expect(fallback.seen).toEqual([])
  await fallback.stop()
})

test('a token service in a private network gets no credentials', async () => {
  const trap = await startFaultUpstream()
  const port = trap.host.split(':')[1]
  other.answer('/v2/', {
    status: 401,
    headers: { 'WWW-Authenticate': `Bearer realm="http://localhost:${port}/steal",service="x"` },
  })
  const hostile = await start({ upstream: other.url })
  const answer = await send(`${hostile.url}/token`, { headers: { authorization: basic } })
  expect(answer.status).toBe(502)
  expect(trap.seen).toEqual([])
  expect(hostile.warned).toEqual([{ upstream: other.host, reason: 'realm_refused' }])
  await trap.stop()
})

test('a registry that takes credentials with each request', async () => {
  const ask = { status: 401, headers: { 'WWW-Authenticate': 'Basic realm="their words", error="x"' } }
  const guarded = (request: { headers: { authorization?: string | undefined } }) =>
    request.headers.authorization === basic ? { body: '{"name":"acme/app","tags":[]}' } : ask
  other.answer('/v2/', guarded)
  other.answer('/v2/acme/app/tags/list', guarded)
  const { url } = await start({ upstream: other.url })
  for (const path of ['', 'app/tags/list']) {
    const refused = await send(`${url}/v2/${path}`)
    expect(refused.status).toBe(401)
    expect(challengeOf(refused)).toMatch(/^Basic realm="127\.0\.0\.1"/)
    expect((await send(`${url}/v2/${path}`, { headers: { authorization: basic } })).status).toBe(200)
  }
  expect((await send(`${url}/token`, { headers: { authorization: basic } })).status).toBe(404)
})

test('credentials never follow a redirect to another host', async () => {
  const storage = await startFaultUpstream()
  const digest = `sha256:${'ab'.repeat(32)}`
  const location = `http://localhost:${storage.host.split(':')[1]}/object`
  other.answer(`/v2/acme/app/blobs/${digest}`, { status: 307, headers: { Location: location } })
  storage.answer('/object', { body: 'bytes' })
  const { url } = await start({ upstream: other.url, blobs: 'stream' })
  const answer = await send(`${url}/v2/app/blobs/${digest}`, { headers: { authorization: basic } })
  expect(answer.body.toString()).toBe('bytes')
  expect(other.seen.map(({ headers }) => headers.authorization)).toEqual([basic])
  expect(storage.seen.map(({ headers }) => headers.authorization)).toEqual([undefined])
  await storage.stop()
})

test('several registries: a token service for each, and no token for two', async () => {
  other.answer('/v2/', {
    status: 401,
    headers: { 'WWW-Authenticate': `Bearer realm="${other.url}/their-token",service="theirs"` },
  })
  other.answer('/their-token', { body: '{"token":"theirs","expires_in":60}' })
  const before = [{ upstream: other.url, repository: 'tools/**', upstreamRepository: 'x/**' }]
  const { url } = await start({ before })
  const ask = (query: string) => send(`${url}/token?${query}`, { headers: { authorization: basic } })
  expect((await ask('scope=repository:tools/a:pull')).body.toString()).toBe(
    '{"token":"theirs","expires_in":60}',
  )
  expect(other.seen.at(-1)?.url).toBe('/their-token?service=theirs&scope=repository%3Ax%2Fa%3Apull')
  expect((await ask('scope=repository:app:pull')).status).toBe(200)
  const mixed = await ask('scope=repository:tools/a:pull&scope=repository:app:pull')
  expect(mixed.status).toBe(400)
  expect(mixed.body.toString()).toContain('several registries')
})

test('a registry that is open asks nobody; one that is away is 502', async () => {
  other.answer('/v2/', { body: '{}' })
  const open = await start({ upstream: other.url })
  expect((await send(`${open.url}/v2/`)).status).toBe(200)
  const away = await start({ upstream: 'http://127.0.0.1:1' })
  expect((await send(`${away.url}/v2/`)).status).toBe(502)
  expect((await send(`${away.url}/token`)).status).toBe(502)
  expect((await send(`${away.url}/v2/x/tags/list`)).status).toBe(502)
})

test('a registry that asks to slow down is heard by its clients, before and behind its challenge', async () => {
  const limited = await start({ upstream: other.url })
  other.answer('/v2/', { status: 429, headers: { 'Retry-After': '17' } })
  for (const [path, headers] of [
    ['/v2/', {}],
    ['/v2/', { authorization: 'Bearer x' }],
    ['/token?scope=repository:app:pull', {}],
  ] as const) {
    const answer = await send(`${limited.url}${path}`, { headers })
    expect([path, answer.status, answer.headers['retry-after']]).toEqual([path, 429, '17'])
  }
})
