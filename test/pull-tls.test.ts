/** Pulls over TLS, with a certificate of a test authority that the clients verify. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Certificates, createCertificates } from './support/certificates.ts'
import { startConnectProxy } from './support/connect-proxy.ts'
import { startContainerd } from './support/containerd.ts'
import { startDockerEngine } from './support/docker.ts'
import type { Image } from './support/image.ts'
import { temporaryFolder } from './support/processes.ts'
import { asRoot, eventOf, eventSource, fullPull, sessionIdle } from './support/pulls.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { compareBlobs, skopeoCopy } from './support/skopeo.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

const name = 'cr.example.test'
let certificates: Certificates
let registry: Registry
let waybill: Waybill
let port: number

beforeAll(async () => {
  certificates = await createCertificates([name])
  registry = await startRegistry()
  const { cert, key } = certificates
  const tls = ['--tls-cert', cert, '--tls-key', key]
  waybill = await startWaybill({ args: ['--upstream', registry.url, ...tls, ...sessionIdle] })
  port = Number(waybill.host.split(':')[1])
})
afterAll(async () => {
  await waybill.stop()
  await registry.stop()
})

const push = (repository: string): Promise<Image> => pushImage(registry, repository, '1.0')

test.concurrent('skopeo verifies the certificate and copies the bytes of the registry', async () => {
  const image = await push('tls/skopeo')
  const certDir = temporaryFolder('authority')
  copyFileSync(certificates.ca, join(certDir, 'ca.crt'))
  const folder = temporaryFolder('copy')
  const source = `${waybill.host}/tls/skopeo:1.0`
  expect((await skopeoCopy(source, temporaryFolder('copy'), { tls: true, all: false })).stderr).toMatch(
    /x509/,
  )
  const copied = await skopeoCopy(source, folder, { tls: true, certDir, all: false })
  expect(copied, copied.stderr).toMatchObject({ code: 0 })
  expect(await compareBlobs(folder, registry.url, 'tls/skopeo')).toMatchObject({
    different: [],
    equal: { length: 5 },
  })
  expect(await eventOf(eventSource(waybill), 'tls/skopeo')).toMatchObject(
    fullPull(image, 'tls/skopeo', '1.0'),
  )
})

test.runIf(asRoot).concurrent('containerd verifies the certificate and pulls', async () => {
  const image = await push('tls/containerd')
  // Without a host file it takes loopback for plain HTTP.
  const hosts = temporaryFolder('hosts')
  const server = `https://${waybill.host}`
  mkdirSync(join(hosts, waybill.host))
  writeFileSync(
    join(hosts, waybill.host, 'hosts.toml'),
    `server = "${server}"\n[host."${server}"]\nca = "${certificates.ca}"\n`,
  )
  const containerd = await startContainerd()
  const pulled = await containerd.pull(`${waybill.host}/tls/containerd:1.0`, { args: ['--hosts-dir', hosts] })
  expect(pulled, pulled.stderr).toMatchObject({ code: 0 })
  expect(await eventOf(eventSource(waybill), 'tls/containerd')).toMatchObject({
    ...fullPull(image, 'tls/containerd', '1.0', { heads: 1 }),
    client: { tool: 'containerd' },
  })
  await containerd.stop()
})

test.runIf(asRoot).concurrent('the Docker engine verifies the certificate of a name and pulls', async () => {
  const image = await push('tls/docker')
  // The engine verifies no loopback address, so a proxy stands for the name service.
  const proxy = await startConnectProxy(port)
  const engine = await startDockerEngine({
    certs: [certificates.ca],
    env: { HTTPS_PROXY: proxy.url, NO_PROXY: '' },
  })
  const pulled = await engine.pull(`${name}/tls/docker:1.0`)
  expect(pulled, pulled.stderr).toMatchObject({ code: 0 })
  expect(await eventOf(eventSource(waybill), 'tls/docker')).toMatchObject({
    ...fullPull(image, 'tls/docker', '1.0', { heads: 1 }),
    ...{ domain: name, client: { tool: 'docker' } },
  })
  await engine.stop()
  proxy.stop()
})
