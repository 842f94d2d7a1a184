/** TLS ends at HAProxy or nginx before Waybill: clients are sent to https, and what they pull is what there is. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Certificates, createCertificates } from './support/certificates.ts'
import { type ClientName, startClient } from './support/clients.ts'
import { startConnectProxy } from './support/connect-proxy.ts'
import { startHaproxy } from './support/haproxy.ts'
import { send } from './support/http-client.ts'
import { startTlsNginx } from './support/nginx.ts'
import { temporaryFolder } from './support/processes.ts'
import { asRoot, eventOf, eventSource, fullPull, platformOf, sessionIdle } from './support/pulls.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

const name = 'cr.example.test'
let certificates: Certificates
let registry: Registry
let waybill: Waybill

beforeAll(async () => {
  certificates = await createCertificates([name])
  registry = await startRegistry()
  const file = join(temporaryFolder('config'), 'waybill.yaml')
  writeFileSync(file, 'trustedProxies: [127.0.0.1/32]\n')
  waybill = await startWaybill({ args: ['--config', file, '--upstream', registry.url, ...sessionIdle] })
})
afterAll(async () => {
  await waybill.stop()
  await registry.stop()
})

// Those of docs/clients.md.
const documentedHaproxy = [
  'option forwardfor',
  'http-request set-header X-Forwarded-Proto https if { ssl_fc }',
]

const balancers = {
  haproxy: () => startHaproxy({ backends: [waybill.host], tls: certificates, frontend: documentedHaproxy }),
  nginx: () => startTlsNginx(waybill.host, certificates),
}

for (const [balancer, start] of Object.entries(balancers)) {
  const clients: ClientName[] = ['docker', 'containerd', 'podman']
  test.runIf(asRoot)(`${clients.join(', ')} through ${balancer}`, async () => {
    const { host, stop } = await start()
    // A name without a port, as people have it: the proxy stands for the name service.
    const proxy = await startConnectProxy(Number(host.split(':')[1]))
    const challenge = await send(`https://${host}/v2/`, {
      ca: readFileSync(certificates.ca, 'utf8'),
      headers: { host: name },
    })
    expect(challenge.status).toBe(401)
    expect(challenge.headers['www-authenticate']).toContain(`realm="https://${name}/token",service="${name}"`)
    for (const clientName of clients) {
      const repository = `${balancer}/${clientName}`
      const image = await pushImage(registry, repository, '1.0')
      const client = await startClient(clientName, {
        plain: [],
        names: [name],
        ca: certificates.ca,
        proxy: proxy.url,
      })
      const reference = `${name}/${repository}:1.0`
      const pulled = await client.pull(reference)
      expect(pulled, pulled.stderr).toMatchObject({ code: 0 })
      expect(await client.arrived(reference)).toContain(platformOf(image).config.digest)
      expect(await eventOf(eventSource(waybill), repository)).toMatchObject({
        ...fullPull(image, repository, '1.0', { heads: clientName === 'podman' ? 0 : 1 }),
        ...{ domain: name, client: { tool: clientName } },
      })
      await client.stop()
    }
    proxy.stop()
    await stop()
  })
}
