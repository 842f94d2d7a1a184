/** No address of a client is kept anywhere, whatever happens to its requests: the node with nothing beside it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AddressHit, createAddressScan, readFolder, readRows } from './support/address-scan.ts'
import {
  addressList,
  clientAddresses,
  downloadSlowly,
  pullAll,
  readPages,
  repository,
  sendFailing,
  sendMalformed,
  sendRefused,
  tag,
} from './support/address-traffic.ts'
import { readLog, readMetric } from './support/admin.ts'
import { type Balancer, startBalancer } from './support/balancer.ts'
import { readRequestEvents } from './support/embedded-events.ts'
import { send } from './support/http-client.ts'
import type { Blob, Image } from './support/image.ts'
import { preloadPoison } from './support/poisoned-records.ts'
import { temporaryFolder } from './support/processes.ts'
import { eventSource, marker, platformOf, sessionIdle, settle } from './support/pulls.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { sharedData } from './support/shared-data.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

const scan = createAddressScan(addressList)
const [anAddress = ''] = addressList
const hits: AddressHit[] = []
let registry: Registry
/** Between Waybill and the registry: it can go away, and it sees what Waybill sends. */
let link: Balancer
let waybill: Waybill
let large: Image

function search(evidence: Iterable<readonly [string, Uint8Array | string]>): void {
  for (const [where, bytes] of evidence) hits.push(...scan.find(where, bytes))
}

beforeAll(async () => {
  registry = await startRegistry()
  await pushImage(registry, marker.repository, marker.tag, { layers: 1 })
  await pushImage(registry, repository, tag, { layerBytes: 4096 })
  large = await pushImage(registry, 'team/large', tag, { layers: 1, layerBytes: 16 * 1024 * 1024 })
  link = await startBalancer([registry.host])
  const database = (name: string) => sharedData(`maxmind/GeoLite2-${name}-Test.mmdb`)
  const file = join(temporaryFolder('config'), 'waybill.yaml')
  writeFileSync(
    file,
    `trustedProxies: [127.0.0.0/8]
geo: {city: "${database('City')}", asn: "${database('ASN')}", detail: city}
retention: {requests: 1d}
limits: {firstByteTimeout: 1s}
logLevel: debug
`,
  )
  waybill = await startWaybill({
    args: ['--config', file, '--upstream', link.url, ...sessionIdle],
    env: preloadPoison(anAddress),
  })
})
afterAll(async () => {
  await waybill.stop()
  link.stop()
  await registry.stop()
})

test('the address tells country and network before it goes', async () => {
  await pullAll(waybill.url)
  const events = (await settle(eventSource(waybill))).filter((event) => event.repository === repository)
  const expected = Object.values(clientAddresses).map(({ country, asn }) => `${country} ${asn}`)
  expect(events.map(({ geo, network }) => `${geo.country} ${network.asn}`).sort()).toEqual(expected.sort())
  expect(new Set(events.map(({ client }) => client.id)).size).toBe(addressList.length)
})

test('refused and malformed requests', async () => {
  for (const address of addressList) {
    await sendRefused(waybill.url, address)
    await sendMalformed(waybill.url, address)
  }
})

test('records that harm the workers that read them', async () => {
  for (const poison of ['poison-throw', 'poison-exit', 'poison-later']) {
    for (const address of addressList.slice(0, 2)) {
      const headers = { 'x-forwarded-for': address, 'user-agent': `${poison}/1.0` }
      expect((await send(`${waybill.url}/v2/`, { headers })).status).toBe(401)
    }
  }
  await expect
    .poll(() => readMetric(waybill, 'waybill_dead_letters_total'), { timeout: 20_000 })
    .toBeGreaterThanOrEqual(4)
  await pullAll(waybill.url, 'after-poison')
})

const largeBlob = (): Blob => platformOf(large).layers[0] as Blob

test('a download that is under way, one that is broken off, and an upstream that hangs or is away', async () => {
  const path = `/v2/team/large/blobs/${largeBlob().digest}`
  const download = await downloadSlowly(waybill, path, anAddress)
  search(await readPages(waybill))
  download.abort()
  registry.pause()
  await sendFailing(waybill.url, '/v2/team/other/manifests/1', 504)
  registry.resume()
  link.cut()
  await sendFailing(waybill.url, '/v2/team/other/manifests/2', 502)
  link.mend()
})

test('everything that is left by then, and by SIGTERM with a download under way', async () => {
  const path = `/v2/team/large/blobs/${largeBlob().digest}`
  const events = await settle(eventSource(waybill))
  expect(events.length).toBeGreaterThan(2 * addressList.length)
  search(await readPages(waybill))
  search(readFolder(waybill.data))

  const download = await downloadSlowly(waybill, path, anAddress)
  const stopped = waybill.stop()
  await expect.poll(() => waybill.stderr(), { timeout: 5000 }).toContain('SIGTERM')
  expect(await download.finish()).toBe(largeBlob().size)
  expect(await stopped).toBe(0)

  const requests = readRequestEvents(waybill.data)
  expect(new Set(requests.map(({ status }) => status))).toEqual(new Set([200, 400, 401, 404, 405, 502, 504]))
  const reasons = readLog(waybill).map(({ reason }) => reason)
  for (const reason of ['enrichment', 'worker_exit']) expect(reasons).toContain(reason)
  const files = readFolder(waybill.data)
  const names = [...files.keys()]
  for (const name of [/^log\//, /^dead-letters/, /^waybill\.db$/])
    expect(names.join('\n')).toMatch(new RegExp(name, 'm'))
  search(files)
  search([
    ['stdout', waybill.stdout()],
    ['rows of the database', readRows(join(waybill.data, 'waybill.db'))],
    ['stderr', waybill.stderr()],
    ['what the upstream was sent', link.requests.map(({ head }) => head).join('\n')],
    ['what the upstream logged', registry.output()],
  ])
  expect(hits).toEqual([])
})
