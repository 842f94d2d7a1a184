/** A certificate is renewed while clients pull: no pull fails, no download breaks, new connections get the new one. */
import { createHash } from 'node:crypto'
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { get } from 'node:https'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Certificates, createCertificates } from './support/certificates.ts'
import { type Client, type ClientName, startClient } from './support/clients.ts'
import { type ConnectProxy, startConnectProxy } from './support/connect-proxy.ts'
import { freePort, temporaryFolder } from './support/processes.ts'
import { asRoot, platformOf } from './support/pulls.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

const name = 'cr.example.test'
const clientNames: ClientName[] = ['containerd', 'podman', 'skopeo']
const layerBytes = 24 * 1024 * 1024

let registry: Registry
let waybill: Waybill
let proxy: ConnectProxy
let tlsPort: number
let before: Certificates
let after: Certificates
/** Authorities of both. */
let authorities: string
const folder = temporaryFolder('certificate')

function install({ cert, key }: Certificates): void {
  for (const [source, target] of [
    [key, 'tls.key'],
    [cert, 'tls.crt'],
  ] as const) {
    copyFileSync(source, join(folder, `${target}.new`))
    renameSync(join(folder, `${target}.new`), join(folder, target))
  }
}

beforeAll(async () => {
  ;[before, after] = await Promise.all([createCertificates([name]), createCertificates([name])])
  authorities = [before, after].map(({ ca }) => readFileSync(ca, 'utf8')).join('')
  install(before)
  registry = await startRegistry()
  const port = await freePort()
  tlsPort = await freePort()
  const fallback = await createCertificates()
  const file = join(folder, 'waybill.yaml')
  writeFileSync(
    file,
    JSON.stringify({
      listen: [
        `127.0.0.1:${port}`,
        { address: `127.0.0.1:${tlsPort}`, tls: { cert: fallback.cert, key: fallback.key } },
      ],
      domains: [
        {
          host: name,
          auth: 'open',
          tls: { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') },
          routes: [{ repository: '**', upstream: registry.url }],
        },
      ],
    }),
  )
  waybill = await startWaybill({ args: ['--config', file], listens: `127.0.0.1:${port}` })
  proxy = await startConnectProxy(tlsPort)
})
afterAll(async () => {
  proxy.stop()
  await waybill.stop()
  await registry.stop()
})

function fingerprint(): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: tlsPort, servername: name, ca: authorities }, () => {
      resolve(socket.getPeerCertificate().fingerprint256)
      socket.end()
    })
    socket.on('error', reject)
  })
}

/** Reads nothing until `go`; the digest of all that came. */
function downloadSlowly(path: string, go: Promise<void>): Promise<string> {
  return new Promise((resolve, reject) => {
    get(
      { host: '127.0.0.1', port: tlsPort, servername: name, ca: authorities, path, headers: { host: name } },
      (response) => {
        const hash = createHash('sha256')
        response.on('error', reject)
        response.on('end', () => resolve(`sha256:${hash.digest('hex')}`))
        go.then(() => response.on('data', (chunk: Buffer) => hash.update(chunk))).catch(reject)
      },
    ).on('error', reject)
  })
}

test.runIf(asRoot)('a new certificate under load', async () => {
  const small = await pushImage(registry, 'small', '1.0')
  const large = await pushImage(registry, 'large', '1.0', { single: true, layers: 1, layerBytes })
  const ca = join(folder, 'ca.crt')
  writeFileSync(ca, authorities)
  const clients: Client[] = await Promise.all(
    clientNames.map((each) => startClient(each, { plain: [], names: [name], ca, proxy: proxy.url })),
  )
  const old = await fingerprint()

  const { promise: swapped, resolve: goOn } = Promise.withResolvers<void>()
  const layer = platformOf(large).layers[0]!.digest
  const download = downloadSlowly(`/v2/large/blobs/${layer}`, swapped)
  let isSwapped = false
  const counts = { before: 0, after: 0 }
  const pulling = clients.map(async (client) => {
    // At least one whole pull begins after the change.
    for (let last = false; !last; ) {
      last = isSwapped
      const pulled = await client.pull(`${name}/small:1.0`)
      expect(pulled, pulled.stderr).toMatchObject({ code: 0 })
      counts[last ? 'after' : 'before'] += 1
    }
  })

  await expect.poll(() => counts.before, { timeout: 30_000 }).toBeGreaterThanOrEqual(clients.length)
  install(after)
  await expect.poll(fingerprint, { timeout: 30_000, interval: 200 }).not.toBe(old)
  isSwapped = true
  goOn()
  await Promise.all(pulling)
  expect(await download).toBe(layer)
  expect(counts.after).toBe(clients.length)
  for (const client of clients) {
    expect(await client.arrived(`${name}/small:1.0`)).toContain(platformOf(small).config.digest)
    await client.stop()
  }
})
