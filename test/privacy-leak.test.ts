/** The search for addresses is worth something: with a leak built in, of whatever form, it fails. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createAddressScan, readFolder } from './support/address-scan.ts'
import { leakForms, preloadLeak } from './support/deliberate-leak.ts'
import { startOneManifest } from './support/fault-scene.ts'
import type { FaultUpstream } from './support/fault-upstream.ts'
import { send } from './support/http-client.ts'
import { startRecordingWaybill } from './support/pulled-waybill.ts'

const addresses = ['81.2.69.173', '89.160.20.117', '198.51.100.141']
let upstream: FaultUpstream
beforeAll(async () => {
  upstream = await startOneManifest()
})
afterAll(() => upstream.stop())

test.each([null, ...leakForms])('a leak as %s', async (form) => {
  const waybill = await startRecordingWaybill(upstream.url, {
    settings: 'trustedProxies: [127.0.0.0/8]\nretention: {requests: 1d}\n',
    ...(form === null ? {} : { env: preloadLeak(form) }),
  })
  for (const address of addresses) {
    const { status } = await send(`${waybill.url}/v2/`, { headers: { 'x-forwarded-for': address } })
    expect(status).toBe(401)
  }
  expect(await waybill.stop()).toBe(0)
  const scan = createAddressScan(addresses)
  const hits = [
    ...scan.find('stderr', waybill.stderr()),
    ...[...readFolder(waybill.data)].flatMap(([where, bytes]) => scan.find(where, bytes)),
  ]
  const found = [...new Set(hits.map(({ address }) => address))].sort()
  expect(found).toEqual(form === null ? [] : [...addresses].sort())
})
