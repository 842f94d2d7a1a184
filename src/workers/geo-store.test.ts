import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { GeoDatabases } from './geo-database.ts'
import { createGeoStore, type GeoSource } from './geo-store.ts'

const folder = mkdtempSync(join(tmpdir(), 'waybill-geo-store-'))
afterAll(() => rmSync(folder, { recursive: true }))
const pathOf = (name: string) =>
  new URL(`../../../shared/data/maxmind/${name}.mmdb`, import.meta.url).pathname

function createLog() {
  const lines: string[] = []
  const write = (level: string) => (_fields: object, message: string) => lines.push(`${level}: ${message}`)
  return { lines, log: { info: write('info'), warn: write('warn'), error: write('error') } }
}

async function start(sources: GeoSource[], more: { now?: () => number } = {}) {
  const { lines, log } = createLog()
  const changes: GeoDatabases[] = []
  const results: [string, boolean][] = []
  const store = await createGeoStore({
    sources,
    onChange: (databases) => changes.push(databases),
    onResult: (role, isSound) => results.push([role, isSound]),
    log,
    intervalMs: 20,
    ...more,
  })
  return { store, lines, changes, results }
}

test('a file that comes while it runs is taken up, without a word of it before', async () => {
  const path = join(folder, 'later.mmdb')
  const { store, lines, changes } = await start([{ role: 'city', path, isConfigured: false }])
  expect([store.current().city, store.report(), lines]).toEqual([null, {}, []])
  copyFileSync(pathOf('GeoLite2-City-Test'), path)
  await expect.poll(() => changes).toHaveLength(1)
  expect(changes[0]?.city?.type).toBe('GeoLite2-City')
  expect(store.report().city).toMatchObject({ state: 'ok', why: null, type: 'GeoLite2-City', file: path })
  store.close()
})

test('a file that is replaced by a broken one, then by a sound one: the one in use is never a broken one', async () => {
  const path = join(folder, 'replaced.mmdb')
  copyFileSync(pathOf('GeoLite2-City-Test'), path)
  const { store, lines, changes, results } = await start([{ role: 'city', path, isConfigured: true }])
  const before = store.current().city
  writeFileSync(path, readFileSync(pathOf('GeoLite2-City-Test')).subarray(0, 9000))
  await expect.poll(() => store.report().city?.state).toBe('kept')
  expect(store.current().city).toBe(before)
  expect(lines.at(-1)).toBe(`error: ${path} is not a sound MaxMind DB file: the one before stays in use`)
  const next = join(folder, 'next.mmdb')
  copyFileSync(pathOf('GeoLite2-Country-Test'), next)
  renameSync(next, path)
  await expect.poll(() => changes).toHaveLength(1)
  expect(store.current().city?.type).toBe('GeoLite2-Country')
  rmSync(path)
  await new Promise((resolve) => setImmediate(resolve))
  expect(store.current().city?.type).toBe('GeoLite2-Country')
  expect(results).toEqual([
    ['city', true],
    ['city', false],
    ['city', true],
  ])
  store.close()
})

test('a configured file that is not there is a failure, and is taken up when it comes', async () => {
  const path = join(folder, 'missing.mmdb')
  const { store, changes } = await start([{ role: 'asn', path, isConfigured: true }])
  expect(store.report().asn).toMatchObject({ state: 'failed', why: 'cannot be read (ENOENT)' })
  copyFileSync(pathOf('GeoLite2-ASN-Test'), path)
  await expect.poll(() => changes).toHaveLength(1)
  expect(store.report().asn?.state).toBe('ok')
  store.close()
})

test('data older than 45 days is used and warned of, once a day', async () => {
  const sources: GeoSource[] = [{ role: 'city', path: pathOf('GeoLite2-City-Test'), isConfigured: true }]
  const fresh = await start(sources, { now: () => 0 })
  expect(fresh.store.report().city?.stale).toBe(false)
  expect(fresh.lines).toEqual(['info: a geo database is in use'])
  const builtMs = fresh.store.ages()[0]!.builtAtMs
  fresh.store.close()
  const clock = { time: builtMs + 46 * 86_400_000 }
  const old = await start(sources, { now: () => clock.time })
  expect(old.store.report().city?.stale).toBe(true)
  const warnings = () => old.lines.filter((line) => line.startsWith('warn: a geo database is older')).length
  expect(warnings()).toBe(1)
  clock.time += 25 * 3_600_000
  await expect.poll(() => warnings()).toBe(2)
  old.store.close()
})

test('overrides are read anew when they change; a mistake keeps those in use and names its line', async () => {
  const path = join(folder, 'overrides.csv')
  writeFileSync(path, '192.0.2.0/24,Example\n')
  const { store, changes } = await start([{ role: 'overrides', path, isConfigured: true }])
  writeFileSync(path, '192.0.2.0/24,Example\n192.0.2.0/33,Other\n')
  await expect.poll(() => store.report().overrides?.state).toBe('kept')
  expect(store.report().overrides?.why).toMatch(/^line 2, column 1: "192.0.2.0\/33": expected a range/)
  expect(changes).toEqual([])
  writeFileSync(path, '192.0.2.0/24,Another\n')
  await expect.poll(() => changes).toHaveLength(1)
  store.close()
})
