/** Pseudonyms over several nodes: one key for all that can open it, and in Redis nothing that opens by itself. */
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readReadiness } from './support/admin.ts'
import { readRequestEvents } from './support/embedded-events.ts'
import { startOneManifest, startWithSettings } from './support/fault-scene.ts'
import type { FaultUpstream } from './support/fault-upstream.ts'
import { send } from './support/http-client.ts'
import { temporaryFolder } from './support/processes.ts'
import { startRecordingWaybill } from './support/pulled-waybill.ts'
import { dumpAll, type RedisServer, startRedis } from './support/redis.ts'
import type { Waybill } from './support/waybill.ts'

const address = '81.2.69.173'
const folder = temporaryFolder('keys')
const keyFile = join(folder, 'pseudonyms')
const wrappingKey = randomBytes(32).toString('hex')
let upstream: FaultUpstream
let redis: RedisServer
beforeAll(async () => {
  ;[upstream, redis] = await Promise.all([startOneManifest(), startRedis()])
  writeFileSync(keyFile, `${wrappingKey}\n`)
})
afterAll(() => Promise.all([upstream.stop(), redis.stop()]))

function start(privacy: string, withRedis = true): Promise<Waybill> {
  return startRecordingWaybill(upstream.url, {
    settings: `trustedProxies: [127.0.0.0/8]
retention: {requests: 1d}
${withRedis ? `redis: {url: "${redis.url}"}` : ''}
privacy: {${privacy}}
`,
  })
}

/** What one request of the address becomes. */
async function ask(waybill: Waybill) {
  const headers = { 'x-forwarded-for': address, 'user-agent': 'skopeo/1.14.0' }
  expect((await send(`${waybill.url}/v2/`, { headers })).status).toBe(401)
  await expect.poll(() => readRequestEvents(waybill.data).length, { timeout: 10_000 }).toBeGreaterThan(0)
  const [event] = readRequestEvents(waybill.data)
  return { id: event?.client.id, endpoint: event?.client.endpoint_id, ...event?.privacy }
}

type Detail = { pseudonym_keys: { epoch: string; scope: string; destroyed_at: string }[] }

test('nodes that share the file have one pseudonym; those without it, and the next epoch, another', async () => {
  const nodes = await Promise.all([
    start(`keyFile: ${keyFile}`),
    start(`keyFile: ${keyFile}`),
    start('rotation: 24h'),
  ])
  const [first, second, alone] = await Promise.all(nodes.map(ask))
  expect(first).toMatchObject({ key_scope: 'shared', key_epoch: new Date().toISOString().slice(0, 10) })
  expect(second).toEqual(first)
  expect(alone).toMatchObject({ key_scope: 'node' })
  expect(new Set([first?.endpoint, alone?.endpoint, first?.id, alone?.id]).size).toBe(4)

  const client = new Redis(redis.url)
  const names = (await client.keys('waybill:pseudonym-key:*')).sort()
  expect(names[0]).toMatch(/^waybill:pseudonym-key:24h:\d{4}-\d\d-\d\d$/)
  const dump = await dumpAll(redis.url)
  expect(dump.includes(wrappingKey) || dump.includes(Buffer.from(wrappingKey, 'hex'))).toBe(false)
  // It goes by itself half an hour after its epoch.
  const detail = (await readReadiness(nodes[0] as Waybill)) as unknown as Detail
  const destroyed = detail.pseudonym_keys.map(({ destroyed_at }) => Date.parse(destroyed_at))
  for (const name of names) expect(destroyed).toContain(await client.pexpiretime(name))
  client.disconnect()
  for (const node of nodes) expect(await node.stop()).toBe(0)
})

test('a restarted node goes on with the key that nodes share, and never with one of its own', async () => {
  const before = await start(`keyFile: ${keyFile}`)
  const known = await ask(before)
  await before.stop()
  const after = await start(`keyFile: ${keyFile}`)
  expect(await ask(after)).toEqual(known)
  await after.stop()
  const own = await start('rotation: 1h', false)
  const first = await ask(own)
  expect(first.key_epoch).toMatch(/^\d{4}-\d\d-\d\dT\d\d$/)
  await own.stop()
  const again = await start('rotation: 1h', false)
  expect((await ask(again)).endpoint).not.toBe(first.endpoint)
  await again.stop()
})

test('a file that holds no keys is refused at the start', async () => {
  const keys = join(folder, 'wrong')
  writeFileSync(keys, 'secret\n')
  const settings = `redis: {url: "${redis.url}"}\nprivacy: {keyFile: ${keys}}\n`
  expect(await startWithSettings(settings)).toEqual({
    code: 2,
    stderr: `waybill: privacy.keyFile: ${keys}: expected lines of 64 hex digits, one at least\n`,
  })
})
