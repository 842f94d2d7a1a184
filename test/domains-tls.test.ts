/** Many names behind one listener: which certificate each gets, and how it changes while clients come and go. */
import { X509Certificate } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readMetric } from './support/admin.ts'
import {
  askOn,
  type ConfiguredWaybill,
  openTls,
  shownCertificate,
  startConfigured,
  writeCertificate,
} from './support/domains.ts'
import { freePort, temporaryFolder } from './support/processes.ts'

const count = 300
const folder = temporaryFolder('certificates')
const names = Array.from({ length: count }, (_, at) => `d${at}.example.test`)
const tls = writeCertificate(folder, 'listener.example.test')
// As Kubernetes mounts secrets: names that lead through a link to a folder, which is swapped as a whole.
const mount = join(folder, 'mount')
mkdirSync(join(mount, 'v1'), { recursive: true })
writeCertificate(join(mount, 'v1'), 'linked.example.test')
symlinkSync('v1', join(mount, 'data'))
const linked = {
  cert: join(mount, 'data', 'linked.example.test.crt'),
  key: join(mount, 'data', 'linked.example.test.key'),
}

let waybill: ConfiguredWaybill
let port6: number

/** What the file says. */
function written(cert: string, name: string): string {
  return `${name} ${new X509Certificate(readFileSync(cert)).fingerprint256}`
}

beforeAll(async () => {
  port6 = await freePort()
  const domains = [
    ...names.map((host) => ({ host, auth: 'open', tls: writeCertificate(folder, host) })),
    { host: '*.wild.example.test', auth: 'open', tls: writeCertificate(folder, 'wild') },
    { host: 'linked.example.test', auth: 'open', tls: linked },
  ]
  const port = await freePort()
  waybill = await startConfigured(
    {
      listen: [`127.0.0.1:${port}`, `[::1]:${port6}`],
      tls,
      upstream: 'http://127.0.0.1:9',
      domains,
      threads: { proxy: 2 },
    },
    ['--listen', `127.0.0.1:${port},[::1]:${port6}`],
  )
  waybill.port = port
})
afterAll(() => waybill.stop())

test('300 names have each its certificate on every listener; others get that of the listener', async () => {
  for (const at of [0, 1, 77, 150, 299]) {
    const name = names[at] as string
    const file = join(folder, `${name}.crt`)
    expect(await shownCertificate(waybill.port, name)).toBe(written(file, name))
    expect(await shownCertificate(port6, name, '::1')).toBe(written(file, name))
  }
  const wild = written(join(folder, 'wild.crt'), 'wild')
  expect(await shownCertificate(waybill.port, 'a.wild.example.test')).toBe(wild)
  const listener = written(tls.cert, 'listener.example.test')
  for (const name of ['other.example.test', 'wild.example.test', '']) {
    expect(await shownCertificate(waybill.port, name)).toBe(listener)
  }
  const known = await readMetric(waybill, 'waybill_tls_certificate_expiry_seconds', {
    host: 'd299.example.test',
  })
  expect(known).toBeGreaterThan(80_000)
  // A terminal is for events; the server library would print names there.
  expect(waybill.stdout()).toBe('')
})

test('certificates of names and of the listener are swapped under load, and no connection is lost', async () => {
  const [name, still] = names as [string, string]
  const held = await openTls(waybill.port, name)
  expect(await askOn(held, name)).toBe('200')
  let running = true
  let served = 0
  const failures: string[] = []
  const load = async (): Promise<void> => {
    while (running) {
      try {
        const socket = await openTls(waybill.port, name)
        const status = await askOn(socket, name)
        if (status !== '200') failures.push(status)
        socket.destroy()
        served++
      } catch (error) {
        failures.push(String(error))
      }
    }
  }
  const clients = Array.from({ length: 6 }, load)
  for (let round = 0; round < 3; round++) {
    const changed = round === 1 ? 'listener.example.test' : name
    const files = writeCertificate(folder, changed)
    const asked = round === 1 ? '' : name
    await expect
      .poll(() => shownCertificate(waybill.port, asked), { timeout: 15_000 })
      .toBe(written(files.cert, changed))
    expect(await askOn(held, name)).toBe('200')
  }
  running = false
  await Promise.all(clients)
  held.destroy()
  expect(failures).toEqual([])
  expect(served).toBeGreaterThan(50)
  expect(await shownCertificate(waybill.port, still)).toBe(written(join(folder, `${still}.crt`), still))
})

test('a pair that is of no use changes nothing, and is told of', async () => {
  const fileOf = (name: string) => join(folder, `${name}.crt`)
  const spoils: [why: string, spoil: (name: string) => void][] = [
    ['holds no certificate', (name) => writeFileSync(fileOf(name), 'nothing')],
    ['does not belong to its private key', (name) => writeFileSync(fileOf(name), readFileSync(tls.cert))],
    ['has expired on', (name) => void writeCertificate(folder, name, { toMs: Date.now() - 1000 })],
  ]
  const cases = await Promise.all(
    spoils.map(async ([why, spoil], at) => {
      const name = names[5 + at] as string
      return { why, spoil, name, before: await shownCertificate(waybill.port, name) }
    }),
  )
  const unusable = async () => {
    const response = await fetch(`${waybill.admin}/readyz`)
    const { certificates } = (await response.json()) as { certificates: { unusable: { host: string }[] } }
    return certificates.unusable.sort((a, b) => a.host.localeCompare(b.host))
  }
  for (const { spoil, name } of cases) spoil(name)
  await expect
    .poll(unusable, { timeout: 15_000 })
    .toEqual(cases.map(({ name, why }) => ({ host: name, why: expect.stringContaining(why) })))
  // Another one is swapped meanwhile, so that all are loaded again.
  const otherName = names[9] as string
  const other = writeCertificate(folder, otherName)
  await expect
    .poll(() => shownCertificate(waybill.port, otherName), { timeout: 15_000 })
    .toBe(written(other.cert, otherName))
  for (const { name, before } of cases) expect(await shownCertificate(waybill.port, name)).toBe(before)
  const mended = cases.map(({ name }) => ({ name, files: writeCertificate(folder, name) }))
  for (const { name, files } of mended) {
    await expect
      .poll(() => shownCertificate(waybill.port, name), { timeout: 15_000 })
      .toBe(written(files.cert, name))
  }
  expect(await unusable()).toEqual([])
})

test('a folder behind a link that is swapped as a whole is seen', async () => {
  const name = 'linked.example.test'
  mkdirSync(join(mount, 'v2'))
  const next = writeCertificate(join(mount, 'v2'), name)
  symlinkSync('v2', join(mount, 'next'))
  renameSync(join(mount, 'next'), join(mount, 'data'))
  await expect
    .poll(() => shownCertificate(waybill.port, name), { timeout: 15_000 })
    .toBe(written(next.cert, name))
})
