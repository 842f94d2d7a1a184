import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { startFront, type TestFront } from './support/front.ts'
import { pullByHand, send } from './support/http-client.ts'
import type { Image } from './support/image.ts'
import { temporaryFolder } from './support/processes.ts'
import { type Realm, startRealm } from './support/realm.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { skopeoCopy } from './support/skopeo.ts'

/** A real registry that wants tokens: `acme/app` is everybody's, `acme/secret` is robot's. */
const robot = { username: 'robot', password: 'pass word' }
const mayPull = (user: string, repository: string) => repository !== 'acme/secret' || user !== ''

let realm: Realm
let registry: Registry
let app: Image
const fronts: TestFront[] = []

async function front(options: Partial<Parameters<typeof startFront>[0]> = {}): Promise<TestFront> {
  const route = { repository: '**', upstreamRepository: 'acme/**' }
  const started = await startFront({ upstream: registry.url, auth: 'token', route, ...options })
  fronts.push(started)
  return started
}

beforeAll(async () => {
  realm = await startRealm({ users: { [robot.username]: robot.password }, mayPull })
  registry = await startRegistry({ auth: realm.auth })
  const target = { host: registry.host, credentials: `${robot.username}:${robot.password}` }
  app = await pushImage(target, 'acme/app', '1.0')
  await pushImage(target, 'acme/secret', '1.0')
})
afterAll(async () => {
  await registry?.stop()
  await realm?.stop()
})
beforeEach(() => {
  realm.asked = []
  realm.fault = null
  realm.realSeconds = 300
})
afterEach(async () => {
  for (const started of fronts.splice(0)) await started.stop()
})

const authorized = async (started: TestFront) => ({ authorization: `Bearer ${await started.token()}` })
const askedScopes = () => realm.asked.map(({ scopes, user }) => `${user} ${scopes.join(' ')}`)

test('token mode: skopeo without credentials; the front gets one token for the repository', async () => {
  const { port, records } = await front()
  const folder = temporaryFolder('copy')
  const copied = await skopeoCopy(`127.0.0.1:${port}/app:1.0`, folder)
  expect(copied).toMatchObject({ code: 0 })
  expect(readdirSync(join(folder, 'blobs', 'sha256')).length).toBeGreaterThan(3)
  expect(askedScopes()).toEqual([' repository:acme/app:pull'])
  const pulled = records.filter(({ repository, status }) => repository === 'app' && status === 200)
  expect(new Set(pulled.map(({ nonce }) => Buffer.from(nonce).toString('hex'))).size).toBe(1)
  expect(pulled.every(({ hasNonce }) => hasNonce)).toBe(true)
})

test.each(['empty', 403] as const)(
  'what is private does not exist, without a challenge: %s',
  async (denial) => {
    // As ghcr has it; Docker Hub, quay and distribution give out a token that grants nothing.
    if (denial === 403) realm.fault = { status: 403 }
    const started = await front()
    for (const path of ['manifests/1.0', 'tags/list', `blobs/${app.digest}`]) {
      const answer = await send(`${started.url}/v2/secret/${path}`, { headers: await authorized(started) })
      expect([path, answer.status, answer.headers['www-authenticate']]).toEqual([path, 404, undefined])
      expect(answer.body.toString()).toContain('NAME_UNKNOWN')
    }
    // Denied once, and not asked again for each request of each client.
    expect(realm.asked.length).toBeLessThanOrEqual(2)
  },
)

test('configured credentials serve what they may read', async () => {
  const started = await front({ credentials: robot })
  const pulled = await pullByHand(started.url, 'secret', '1.0')
  expect(new Set(pulled.statuses.slice(1))).toEqual(new Set([200]))
  expect(askedScopes()).toEqual(['robot repository:acme/secret:pull'])
})

test('wrong credentials: 404 for clients, a warning for the operator', async () => {
  const started = await front({ credentials: { ...robot, password: 'sesame' } })
  const answer = await send(`${started.url}/v2/secret/manifests/1.0`, { headers: await authorized(started) })
  expect(answer.status).toBe(404)
  expect(started.upstreamErrors).toContain('auth')
  expect(started.warned).toEqual([{ upstream: registry.host, reason: 'credentials_refused' }])
  expect(JSON.stringify(started.warned)).not.toContain('sesame')
})

test('a token that ends in the middle of a pull is fetched anew, once for all that wait', async () => {
  realm.realSeconds = 1
  const started = await front()
  const headers = await authorized(started)
  const manifest = await send(`${started.url}/v2/app/manifests/1.0`, { headers })
  expect(manifest.status).toBe(200)
  expect(realm.asked).toHaveLength(1)
  const token = await fetch(`${realm.url}?service=test+registry&scope=repository:acme/app:pull`)
  const direct = { authorization: `Bearer ${((await token.json()) as { token: string }).token}` }
  await expect
    .poll(async () => (await send(`${registry.url}/v2/acme/app/tags/list`, { headers: direct })).status, {
      timeout: 10_000,
    })
    .toBe(401)
  realm.asked = []
  realm.realSeconds = 300
  const digests = app.images.flatMap(({ config, layers }) => [config, ...layers])
  const blobs = digests.map(({ digest }) => `${started.url}/v2/app/blobs/${digest}`)
  const answers = await Promise.all([...blobs, ...blobs].map((url) => send(url, { headers })))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  expect(askedScopes()).toEqual([' repository:acme/app:pull'])
})

test('a token service that is down: 502, but what has a token is served; 429 is told', async () => {
  const started = await front()
  const headers = await authorized(started)
  const get = (path: string) => send(`${started.url}/v2/${path}`, { headers })
  expect((await get('app/tags/list')).status).toBe(200)
  realm.fault = { status: 503 }
  expect((await get('another/tags/list')).status).toBe(502)
  expect((await get('another/manifests/1.0')).status).toBe(502)
  expect((await get('app/tags/list')).status).toBe(200)
  expect(started.upstreamErrors).toContain('auth')
  realm.fault = { status: 429, headers: { 'Retry-After': '7' } }
  const limited = front()
  const { url } = await limited
  const answer = await send(`${url}/v2/app/manifests/1.0`, { headers: await authorized(await limited) })
  expect([answer.status, answer.headers['retry-after']]).toEqual([429, '7'])
})
