/** Databases of IPinfo, then of DB-IP under the same names while Waybill serves: events and `/readyz` say which. */
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readReadiness } from './support/admin.ts'
import { readRequestEvents } from './support/embedded-events.ts'
import { startOneManifest } from './support/fault-scene.ts'
import type { FaultUpstream } from './support/fault-upstream.ts'
import { send } from './support/http-client.ts'
import { createMmdb } from './support/mmdb.ts'
import { temporaryFolder } from './support/processes.ts'
import { providerDatabases } from './support/provider-databases.ts'
import { startRecordingWaybill } from './support/pulled-waybill.ts'

const dayMs = 86_400_000
const folder = temporaryFolder('providers')
const pathOf = (role: string) => join(folder, `${role}.mmdb`)
let upstream: FaultUpstream
beforeAll(async () => {
  upstream = await startOneManifest()
})
afterAll(() => upstream.stop())

/** As an updater does it: beside the file, then over it. */
function put(role: string, bytes: Uint8Array): void {
  writeFileSync(`${pathOf(role)}.new`, bytes)
  renameSync(`${pathOf(role)}.new`, pathOf(role))
}

function putAll(provider: 'ipinfo' | 'dbip', buildEpochMs: number): void {
  for (const [role, database] of Object.entries(providerDatabases[provider])) {
    put(role, createMmdb({ ...database, buildEpochMs }))
  }
}

test('databases of one provider, and then of another', { timeout: 90_000 }, async () => {
  const now = Math.floor(Date.now() / 1000) * 1000
  // Old enough for a warning.
  putAll('ipinfo', now - 60 * dayMs)
  const waybill = await startRecordingWaybill(upstream.url, {
    settings: `trustedProxies: [127.0.0.0/8]
retention: {requests: 1d}
geo: {city: "${pathOf('city')}", asn: "${pathOf('asn')}", company: "${pathOf('company')}", detail: city}
`,
  })
  const seen = () => readRequestEvents(waybill.data)
  const ask = async (address: string) => {
    const before = seen().length
    await send(`${waybill.url}/v2/`, { headers: { 'x-forwarded-for': address } })
    await expect.poll(() => seen().length, { timeout: 15_000 }).toBe(before + 1)
    return seen().at(-1)
  }
  const geo = async () => {
    const readiness = (await readReadiness(waybill)) as unknown as {
      geo: Record<string, { state: string; why: string | null; type: string; file: string; built_at: string }>
    }
    return readiness.geo
  }

  expect(await ask('81.2.69.161')).toMatchObject({
    geo: { country: 'GB', region: 'England', city: 'London' },
    network: { asn: 64_500, organization: 'Example Telecom', type: 'business' },
    company: { name: 'Example Steel', domain: 'steel.example', confidence: 'high', source: 'database' },
    data: { city_built_at: new Date(now - 60 * dayMs).toISOString() },
  })
  expect((await geo())['company']).toMatchObject({
    state: 'ok',
    why: null,
    type: 'ipinfo standard_company_mmdb_v4.mmdb',
    file: pathOf('company'),
  })
  expect(
    waybill
      .stderr()
      .split('\n')
      .filter((line) => line.includes('older than 45 days')),
  ).toHaveLength(3)

  putAll('dbip', now - dayMs)
  await expect
    .poll(async () => Object.values(await geo()).map(({ type }) => type), { timeout: 15_000 })
    .toEqual(Object.values(providerDatabases.dbip).map(({ databaseType }) => databaseType))
  // Remembered of the databases before is nothing.
  expect(await ask('81.2.69.161')).toMatchObject({
    company: { name: 'Example Steel', domain: null, confidence: 'high' },
    data: { city_built_at: new Date(now - dayMs).toISOString() },
  })
  expect(await ask('2001:218::7')).toMatchObject({
    geo: { country: 'JP', region: 'Tokyo', city: 'Chiyoda City' },
    network: { asn: 64_502, type: 'isp' },
    company: null,
  })

  put('asn', createMmdb(providerDatabases.dbip.asn).subarray(0, 700))
  await expect.poll(async () => (await geo())['asn']?.state, { timeout: 15_000 }).toBe('kept')
  expect((await geo())['asn']?.why).toContain('not a sound MaxMind DB file')
  expect((await ask('89.160.20.113'))?.network).toMatchObject({ asn: 64_501, type: 'hosting' })
  expect(await waybill.stop()).toBe(0)
})
