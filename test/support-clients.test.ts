/** The registry and the clients of the integration tests: real images go up, come down and leave nothing. */
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { dirname, join } from 'node:path'
import type { Duplex } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createCertificates } from './support/certificates.ts'
import { startContainerd } from './support/containerd.ts'
import { startDockerEngine } from './support/docker.ts'
import { startFaultUpstream } from './support/fault-upstream.ts'
import { freePort, isAlive, temporaryFolder } from './support/processes.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { compareBlobs, skopeoCopy } from './support/skopeo.ts'

let registry: Registry
beforeAll(async () => {
  registry = await startRegistry({ headers: { 'X-Test': ['yes'] } })
})
afterAll(() => registry.stop())

test('registry and skopeo: an image is what pushImage says, and a copy is the same bytes', async () => {
  const platforms = ['linux/amd64', 'linux/arm/v7']
  const image = await pushImage(registry, 'library/app', '1.0', { platforms, attestation: true })
  const response = await fetch(`${registry.url}/v2/library/app/manifests/1.0`, {
    headers: { Accept: 'application/vnd.oci.image.index.v1+json' },
  })
  expect(response.headers.get('x-test')).toBe('yes')
  expect(response.headers.get('docker-content-digest')).toBe(image.digest)
  const index = (await response.json()) as { manifests: { digest: string }[] }
  expect(index.manifests.map(({ digest }) => digest)).toEqual(
    [...image.images, ...image.attestations].map(({ manifest }) => manifest.digest),
  )

  const folder = temporaryFolder('copy')
  expect(await skopeoCopy(`${registry.host}/library/app:1.0`, folder)).toMatchObject({ code: 0, stderr: '' })
  const compared = await compareBlobs(folder, registry.url, 'library/app')
  const all = [...image.images, ...image.attestations]
  const parts = all.flatMap(({ manifest, config, layers }) => [manifest, config, ...layers])
  const expected = [image.digest, ...parts.map(({ digest }) => digest)]
  expect(new Set(compared.equal)).toEqual(new Set(expected))
  expect(compared.different).toEqual([])

  const layer = image.images[0]?.layers[0]?.digest.slice(7) ?? ''
  writeFileSync(join(folder, 'blobs', 'sha256', layer), 'changed')
  expect((await compareBlobs(folder, registry.url, 'library/app')).different).toEqual([`sha256:${layer}`])
})

test('images are the same from the same seed, and other tags share the layers they should', async () => {
  const options = { layers: 2, layerBytes: 1000, sharedLayers: 1, single: true }
  const first = await pushImage(registry, 'seeded', 'a', options)
  const again = await pushImage(registry, 'seeded', 'a', options)
  const other = await pushImage(registry, 'seeded', 'b', options)
  expect(again).toEqual(first)
  expect(first.index).toBe(null)
  expect(first.digest).toBe(first.images[0]?.manifest.digest)
  expect(other.images[0]?.layers[0]).toEqual(first.images[0]?.layers[0])
  expect(other.images[0]?.layers[1]).not.toEqual(first.images[0]?.layers[1])
})

test('a registry on disk takes an image too', async () => {
  const onDisk = await startRegistry({ storage: 'filesystem' })
  const { digest } = await pushImage(onDisk, 'app', '1', { single: true })
  const head = await fetch(`${onDisk.url}/v2/app/manifests/${digest}`, {
    method: 'HEAD',
    headers: { Accept: 'application/vnd.oci.image.manifest.v1+json' },
  })
  expect(head.status).toBe(200)
  await onDisk.stop()
  expect(isAlive(onDisk.pid)).toBe(false)
})

const asRoot = process.getuid?.() === 0

/** Mounts of others on the machine are not looked at. */
function mountsUnder(folder: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(` ${folder}/`))
}

test.runIf(asRoot)('containerd pulls one platform and unpacks it, and leaves nothing', async () => {
  const image = await pushImage(registry, 'for/containerd', '1', {
    platforms: ['linux/amd64', 'linux/arm64'],
  })
  const containerd = await startContainerd()
  const reference = `${registry.host}/for/containerd:1`
  const pulled = await containerd.pull(reference, { plainHttp: true, platform: 'linux/arm64' })
  expect(pulled, pulled.stderr).toMatchObject({ code: 0 })
  const { stdout } = await containerd.ctr(['content', 'ls', '-q'])
  const stored = stdout.trim().split('\n')
  for (const { digest } of image.images[1]?.layers ?? []) expect(stored).toContain(digest)
  for (const { digest } of image.images[0]?.layers ?? []) expect(stored).not.toContain(digest)
  expect((await containerd.pull(`${registry.host}/for/containerd:2`, { plainHttp: true })).code).not.toBe(0)
  await containerd.stop()
  expect(isAlive(containerd.pid)).toBe(false)
  expect(mountsUnder(dirname(containerd.address))).toEqual([])
})

test.runIf(asRoot)('the Docker engine pulls, removes and pulls again, and leaves nothing', async () => {
  const image = await pushImage(registry, 'for/docker', '1')
  const engine = await startDockerEngine({ insecureRegistries: [registry.host] })
  const reference = `${registry.host}/for/docker:1`
  for (const _ of ['first', 'again']) {
    const pulled = await engine.pull(reference, { platform: 'linux/amd64' })
    expect(pulled, pulled.stderr).toMatchObject({ code: 0 })
    expect(pulled.stdout).toContain(image.digest)
    expect((await engine.docker(['image', 'rm', reference])).code).toBe(0)
  }
  await engine.stop()
  expect(isAlive(engine.pid)).toBe(false)
  expect(mountsUnder(dirname(engine.socket))).toEqual([])
})

test.runIf(asRoot)('the Docker engine trusts the authority it is given', async () => {
  const { ca, cert, key } = await createCertificates(['cr.example.test'])
  const upstream = await startFaultUpstream({ tls: { cert, key } })
  upstream.answer('/v2/', { headers: { 'Docker-Distribution-Api-Version': 'registry/2.0' } })
  // The engine verifies no loopback address, so a proxy stands for the name service.
  const proxy = createServer().on('connect', (_request, client: Duplex) => {
    const through = connect(Number(new URL(upstream.url).port), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connected\r\n\r\n')
      through.pipe(client).pipe(through)
    })
    for (const side of [through, client]) side.on('error', () => through.destroy())
  })
  proxy.listen(await freePort(), '127.0.0.1')
  await once(proxy, 'listening')
  const env = { HTTPS_PROXY: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, NO_PROXY: '' }
  const [distrusting, trusting] = await Promise.all([
    startDockerEngine({ env }),
    startDockerEngine({ env, certs: [ca] }),
  ])
  expect((await distrusting.pull('cr.example.test/none:1')).stderr).toMatch(/x509/)
  expect(upstream.seen).toEqual([])
  expect((await trusting.pull('cr.example.test/none:1')).stderr).not.toMatch(/x509/)
  expect(upstream.seen.map(({ url }) => url)).toContain('/v2/none/manifests/1')
  await Promise.all([distrusting.stop(), trusting.stop(), upstream.stop()])
  proxy.closeAllConnections()
  proxy.close()
})
