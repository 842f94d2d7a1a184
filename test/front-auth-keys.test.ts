import { appendFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTokenKeys, type KeyStore, tokenKeyName } from '../src/proxy/token-keys.ts'
import { startFront, type TestFront } from './support/front.ts'
import { fetchToken, pullByHand, send } from './support/http-client.ts'
import { temporaryFolder } from './support/processes.ts'
import { type RedisServer, startRedis } from './support/redis.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { startWaybill } from './support/waybill.ts'

let registry: Registry
let redis: RedisServer

beforeAll(async () => {
  registry = await startRegistry()
  redis = await startRedis()
  await pushImage(registry, 'app', '1.0', { layerBytes: 1000 })
})
afterAll(async () => {
  await registry?.stop()
  await redis?.stop()
})

const nonces = (front: TestFront) => front.records.filter(({ repository }) => repository === 'app')

test('keys that rotate many times under pulls, on two nodes that share them: no pull fails, none loses its session', async () => {
  const client = new Redis(redis.url)
  const key = `test:${tokenKeyName}`
  const store: KeyStore = {
    read: () => client.get(key),
    async replace(expected, value) {
      const now = await client.get(key)
      if (now === expected) await client.set(key, value)
      return (await client.get(key)) ?? value
    },
  }
  // A token lives for an hour; here keys sign for half a second, and are accepted for as long as a pull may take.
  const times = { rotateMs: 500, leadMs: 200, acceptMs: 10_000, refreshMs: 20 }
  const fronts: TestFront[] = []
  const sources = []
  const signing = new Set<string>()
  for (let node = 0; node < 2; node++) {
    const front = await startFront({ upstream: registry.url, auth: 'token' })
    fronts.push(front)
    const onKeys = (keys: readonly string[]): void => {
      signing.add(keys[0] as string)
      front.proxy.setTokenKeys(keys)
    }
    const dataFolder = temporaryFolder('keys')
    const fail = (error: unknown): void => expect.unreachable(String(error))
    sources.push(
      await createTokenKeys({ readConfigured: null, dataFolder, store, onKeys, warn: fail, times }),
    )
  }
  let pulls = 0
  while (signing.size < 6) {
    // The token of one node, the pull at the other: a balancer between them.
    const [from, to] = pulls % 2 === 0 ? fronts : fronts.toReversed()
    const authorization = `Bearer ${await fetchToken((from as TestFront).url)}`
    for (const place of ['manifests/1.0', 'tags/list']) {
      const headers = { authorization, accept: 'application/vnd.oci.image.index.v1+json' }
      const answer = await send(`${to?.url}/v2/app/${place}`, { headers })
      expect([pulls, place, answer.status]).toEqual([pulls, place, 200])
    }
    expect((await pullByHand(from?.url ?? '', 'app', '1.0')).statuses.slice(1)).not.toContain(401)
    pulls++
  }
  for (const front of fronts) expect(nonces(front).every(({ hasNonce }) => hasNonce)).toBe(true)
  for (const source of sources) source.close()
  for (const front of fronts) await front.stop()
  client.disconnect()
})

test('two Waybills on one Redis accept each other’s tokens, also after a restart without it', async () => {
  const args = ['--upstream', registry.url, '--redis', redis.url, '--session-idle', '2s']
  const nodes = [await startWaybill({ args }), await startWaybill({ args })]
  const [first, second] = nodes as [Awaited<ReturnType<typeof startWaybill>>, (typeof nodes)[number]]
  const token = await fetchToken(first.url)
  const headers = { authorization: `Bearer ${token}` }
  const end = token.at(-2) === 'A' ? 'B' : 'A'
  const forged = { authorization: `Bearer ${token.slice(0, -2)}${end}${token.at(-1)}` }
  for (const { url } of nodes) {
    expect((await send(`${url}/v2/`, { headers })).status).toBe(200)
    // Its key is known, so what does not fit is seen.
    const answer = await send(`${url}/v2/`, { headers: forged })
    expect(answer.status).toBe(401)
    expect(answer.headers['www-authenticate']).toMatch(/error="invalid_token"$/)
  }
  await second.stop()
  const away = await startWaybill({ args: ['--upstream', registry.url], data: second.data })
  expect((await send(`${away.url}/v2/`, { headers: forged })).status).toBe(401)
  expect((await send(`${away.url}/v2/`, { headers })).status).toBe(200)
  await Promise.all([away.stop(), first.stop()])
  for (const node of [first, second, away]) expect(node.stderr()).not.toContain(token)
})

test('a file of keys that is replaced takes effect, in every thread', async () => {
  const folder = temporaryFolder('keys')
  const file = join(folder, 'keys')
  const config = join(folder, 'waybill.yaml')
  const [a, b] = ['ab'.repeat(32), 'cd'.repeat(32)]
  writeFileSync(file, `${a}\n`)
  writeFileSync(config, `upstream: ${registry.url}\ntokenKeys: {file: keys}\n`)
  const waybill = await startWaybill({ args: ['--config', config] })
  const keyId = async () => (await fetchToken(waybill.url)).split('.')[1]
  const before = await fetchToken(waybill.url)
  appendFileSync(`${file}.new`, `${b}\n${a}\n`)
  renameSync(`${file}.new`, file)
  // Each connection may come to another thread.
  await expect
    .poll(async () => new Set(await Promise.all(Array.from({ length: 20 }, keyId))), { timeout: 30_000 })
    .not.toContain(before.split('.')[1])
  expect((await send(`${waybill.url}/v2/`, { headers: { authorization: `Bearer ${before}` } })).status).toBe(
    200,
  )
  await waybill.stop()
})
