/** When the key of an epoch is destroyed, no copy of it is left in the process, whoever used it and idles since. */
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { unwrapKey } from '../src/workers/key-share.ts'
import { readReadiness } from './support/admin.ts'
import { readRequestEvents } from './support/embedded-events.ts'
import { startOneManifest } from './support/fault-scene.ts'
import type { FaultUpstream } from './support/fault-upstream.ts'
import { send } from './support/http-client.ts'
import { preloadMovedClock } from './support/moved-clock.ts'
import { findInMemory } from './support/process-memory.ts'
import { temporaryFolder } from './support/processes.ts'
import { startRecordingWaybill } from './support/pulled-waybill.ts'
import { type RedisServer, startRedis } from './support/redis.ts'

const dayMs = 86_400_000
let upstream: FaultUpstream
let redis: RedisServer
beforeAll(async () => {
  ;[upstream, redis] = await Promise.all([startOneManifest(), startRedis()])
})
afterAll(() => Promise.all([upstream.stop(), redis.stop()]))

const xor = (bytes: Uint8Array, pad: number) => bytes.map((byte) => byte ^ pad)

/** The key, halves of it, and as HMAC pads it (RFC 2104). */
function formsOf(key: Uint8Array): Uint8Array[] {
  const halves = [key.subarray(0, 16), key.subarray(16)]
  return [0, 0x36, 0x5c].flatMap((pad) => halves.map((half) => xor(half, pad)))
}

test('the key of an epoch that is over', { timeout: 120_000 }, async () => {
  const folder = temporaryFolder('clock')
  const clock = join(folder, 'ahead')
  writeFileSync(clock, '0')
  const keyFile = join(folder, 'keys')
  const wrappingKey = randomBytes(32)
  writeFileSync(keyFile, `${wrappingKey.toString('hex')}\n`)
  const waybill = await startRecordingWaybill(upstream.url, {
    settings: `trustedProxies: [127.0.0.0/8]
retention: {requests: 1d}
redis: {url: "${redis.url}"}
privacy: {keyFile: ${keyFile}, rotation: 1h}
`,
    env: preloadMovedClock(clock),
  })
  const ask = async (count: number) => {
    const before = readRequestEvents(waybill.data).length
    for (let i = 0; i < count; i++) {
      const headers = { 'x-forwarded-for': `81.2.69.${160 + (i % 16)}`, 'user-agent': 'skopeo/1.14.0' }
      await send(`${waybill.url}/v2/`, { headers })
    }
    await expect.poll(() => readRequestEvents(waybill.data).length, { timeout: 20_000 }).toBe(before + count)
  }
  await ask(100)

  const client = new Redis(redis.url)
  const names = await client.keys('waybill:pseudonym-key:1h:*')
  const keys = await Promise.all(
    names.map(async (name) => unwrapKey((await client.get(name)) ?? '', wrappingKey, name)),
  )
  client.disconnect()
  const forms = keys.flatMap((key) => formsOf(key ?? Buffer.alloc(0)))
  expect(forms.length).toBeGreaterThanOrEqual(6)
  // The search finds what is there.
  expect(findInMemory(waybill.pid, forms).length).toBeGreaterThan(0)

  const epochs = async () => {
    const { pseudonym_keys } = (await readReadiness(waybill)) as unknown as {
      pseudonym_keys: { epoch: string }[]
    }
    return pseudonym_keys.map(({ epoch }) => epoch)
  }
  const known = await epochs()
  writeFileSync(clock, String(3 * dayMs))
  await expect
    .poll(async () => (await epochs()).filter((epoch) => known.includes(epoch)), { timeout: 20_000 })
    .toEqual([])
  // Nobody asks for anything: idle workers forget by themselves.
  await expect.poll(() => findInMemory(waybill.pid, forms), { timeout: 30_000, interval: 500 }).toEqual([])
  await ask(20)
  expect(findInMemory(waybill.pid, forms)).toEqual([])
  expect(await waybill.stop()).toBe(0)
})
