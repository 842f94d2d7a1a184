/** No address of a client is kept anywhere, with companies, ranges of the operator, shared keys and reloads. */
import { randomBytes } from 'node:crypto'
import { copyFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AddressHit, createAddressScan, readFolder, readRows } from './support/address-scan.ts'
import { addressList, pullAll, readPages, repository, sendRefused, tag } from './support/address-traffic.ts'
import { readLog } from './support/admin.ts'
import { readRequestEvents } from './support/embedded-events.ts'
import { temporaryFolder } from './support/processes.ts'
import { eventSource, marker, settle } from './support/pulls.ts'
import { dumpAll, type RedisServer, startRedis } from './support/redis.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { sharedData } from './support/shared-data.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

const scan = createAddressScan(addressList)
const hits: AddressHit[] = []
const commands: string[] = []
const folder = temporaryFolder('companies')
const inFolder = (name: string) => join(folder, name)
let registry: Registry
let redis: RedisServer
let monitor: Redis
let waybill: Waybill

function search(evidence: Iterable<readonly [string, Uint8Array | string]>): void {
  for (const [where, bytes] of evidence) hits.push(...scan.find(where, bytes))
}

/** As files are replaced that are in use: whole, by a rename. */
function replace(name: string, write: (path: string) => void): void {
  write(inFolder('new'))
  renameSync(inFolder('new'), inFolder(name))
}
const database = (name: string) => sharedData(`maxmind/${name}-Test.mmdb`)
const copyDatabase = (name: string, from: string) =>
  replace(name, (path) => copyFileSync(database(from), path))
const writeOverrides = (company: string) =>
  replace('overrides.csv', (path) => writeFileSync(path, `range,company\n192.0.2.0/24,${company}\n`))

beforeAll(async () => {
  ;[registry, redis] = await Promise.all([startRegistry(), startRedis()])
  await pushImage(registry, marker.repository, marker.tag, { layers: 1 })
  await pushImage(registry, repository, tag, { layerBytes: 4096 })
  monitor = await new Redis(redis.url).monitor()
  monitor.on('monitor', (_time: string, args: string[]) => commands.push(args.join('\n')))
  copyDatabase('city.mmdb', 'GeoLite2-City')
  copyDatabase('asn.mmdb', 'GeoLite2-ASN')
  copyDatabase('company.mmdb', 'GeoIP2-ISP')
  writeOverrides('First Example')
  writeFileSync(inFolder('keys'), `${randomBytes(32).toString('hex')}\n`)
  writeFileSync(
    inFolder('waybill.yaml'),
    `trustedProxies: [127.0.0.0/8]
upstream: ${registry.url}
geo: {city: ${inFolder('city.mmdb')}, asn: ${inFolder('asn.mmdb')}, company: ${inFolder('company.mmdb')}, overrides: ${inFolder('overrides.csv')}, detail: city}
redis: {url: "${redis.url}"}
privacy: {keyFile: ${inFolder('keys')}, rotation: 1h}
retention: {requests: 1d}
logLevel: debug
`,
  )
  waybill = await startWaybill({ args: ['--config', inFolder('waybill.yaml'), '--session-idle', '2s'] })
})
afterAll(async () => {
  monitor.disconnect()
  await waybill.stop()
  await Promise.all([registry.stop(), redis.stop()])
})

const companies = () =>
  new Set(readRequestEvents(waybill.data).flatMap(({ company }) => (company ? [company.name] : [])))
const lines = (message: string) =>
  readLog(waybill).filter((line) => String((line as { msg?: unknown }).msg).includes(message)).length

test('companies of a database and of the operator, under keys that are shared', async () => {
  await pullAll(waybill.url)
  for (const address of addressList) await sendRefused(waybill.url, address)
  await expect.poll(companies, { timeout: 10_000 }).toEqual(new Set(['First Example', 'Bevtec']))
  search([['Redis with sessions open', await dumpAll(redis.url)]])
  const scopes = new Set(readRequestEvents(waybill.data).map(({ privacy }) => privacy.key_scope))
  expect(scopes).toEqual(new Set(['shared']))
})

test('databases that are replaced, one of them by a broken one, and a reload', async () => {
  const before = lines('a geo database is in use')
  writeOverrides('Second Example')
  copyDatabase('asn.mmdb', 'GeoIP2-ISP')
  replace('company.mmdb', (path) => writeFileSync(path, 'broken'))
  await expect.poll(() => lines('a geo database is in use'), { timeout: 20_000 }).toBe(before + 2)
  await expect.poll(() => lines('the one before stays in use'), { timeout: 20_000 }).toBe(1)
  process.kill(waybill.pid, 'SIGHUP')
  await pullAll(waybill.url, 'after-reload')
  await expect.poll(companies, { timeout: 10_000 }).toContain('Second Example')
  search(await readPages(waybill))
})

test('what is left of it all', async () => {
  await settle(eventSource(waybill))
  search([['Redis', await dumpAll(redis.url)]])
  expect(await waybill.stop()).toBe(0)
  expect(commands.length).toBeGreaterThan(100)
  search(readFolder(waybill.data))
  search([
    ['rows of the database', readRows(join(waybill.data, 'waybill.db'))],
    ['stderr', waybill.stderr()],
    ['stdout', waybill.stdout()],
    ['commands to Redis', commands.join('\n')],
    ['what the upstream logged', registry.output()],
  ])
  expect(hits).toEqual([])
})
