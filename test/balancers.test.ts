/** HAProxy and nginx before the front: TLS ends there, connections are kept, and no request of many gets a 502. */
import { readFileSync } from 'node:fs'
import { request as askPlain, type Agent as PlainAgent } from 'node:http'
import { Agent, request } from 'node:https'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Certificates, createCertificates } from './support/certificates.ts'
import { startFront, type TestFront } from './support/front.ts'
import { startHaproxy } from './support/haproxy.ts'
import type { Image } from './support/image.ts'
import { startTlsNginx } from './support/nginx.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'

// WAYBILL_TEST_REQUESTS=100000 for a long run.
const requests = Number(process.env['WAYBILL_TEST_REQUESTS'] ?? 2000)
// Around the idle times of balancer and front.
const idlePauses = [4000, 5000, 9000, 11_500]

let registry: Registry
let image: Image
let certificates: Certificates
// They wait more than they work.
vi.setConfig({ maxConcurrency: 10 })

const stops: (() => Promise<void>)[] = []

beforeAll(async () => {
  registry = await startRegistry()
  image = await pushImage(registry, 'team/app', '1.0', { layers: 1, layerBytes: 20_000 })
  certificates = await createCertificates()
})
afterAll(async () => {
  for (const stop of stops.reverse()) await stop()
  await registry.stop()
})

async function front(options: { proxyProtocol?: boolean; tls?: boolean } = {}): Promise<TestFront> {
  const started = await startFront({
    upstream: registry.url,
    auth: 'token',
    trustedProxies: ['127.0.0.1'],
    ...(options.proxyProtocol && { proxyProtocol: true }),
    ...(options.tls && { tls: { cert: certificates.cert, key: certificates.key } }),
  })
  stops.push(started.stop)
  return started
}

type Got = { status: number; challenge: string; bytes: number }

/** Over the connections of `agent`, from 127.0.0.`client`. */
function get(url: string, agent: Agent | PlainAgent, token = ''): Promise<Got> {
  const ask = url.startsWith('https:') ? request : askPlain
  return new Promise((resolve, reject) => {
    const headers = token === '' ? {} : { authorization: `Bearer ${token}` }
    const sent = ask(url, { agent, headers, timeout: 20_000 }, (answer) => {
      let bytes = 0
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length
      })
      answer.on('error', reject)
      answer.on('end', () =>
        resolve({
          status: answer.statusCode ?? 0,
          challenge: String(answer.headers['www-authenticate'] ?? ''),
          bytes,
        }),
      )
    })
    sent.on('error', reject)
    sent.end()
  })
}

const keepAlive = (): Agent =>
  new Agent({
    keepAlive: true,
    maxSockets: 8,
    ca: readFileSync(certificates.ca),
    localAddress: '127.0.0.9',
  } as never)

/** Requests of every kind over a few kept connections, then some with pauses around the front's idle time. */
async function load(url: string, agent: Agent | PlainAgent, count: number): Promise<Map<number, number>> {
  const body = await new Promise<string>((resolve, reject) => {
    const ask = url.startsWith('https:') ? request : askPlain
    ask(`${url}/token`, { agent }, (answer) => {
      let text = ''
      answer.on('data', (chunk) => {
        text += chunk
      })
      answer.on('end', () => resolve(text))
    })
      .on('error', reject)
      .end()
  })
  const { token } = JSON.parse(body) as { token: string }
  const blob = `/v2/team/app/blobs/${image.images[0]?.layers[0]?.digest}`
  const paths = ['/v2/', blob, `/v2/team/app/manifests/${image.digest}`, '/v2/team/app/tags/list']
  const statuses = new Map<number, number>()
  const count1 = (status: number) => statuses.set(status, (statuses.get(status) ?? 0) + 1)
  let next = 0
  const worker = async (): Promise<void> => {
    for (let number = next++; number < count; number = next++) {
      // Most are cheap, so that many fit in; each fifth is asked of the registry.
      const path = number % 5 === 0 ? paths[(number / 5) % paths.length] : '/v2/'
      count1((await get(url + path, agent, token)).status)
    }
  }
  await Promise.all(Array.from({ length: 8 }, worker))
  await Promise.all(
    idlePauses.map(async (pauseMs) => {
      await new Promise((resume) => setTimeout(resume, pauseMs))
      count1((await get(`${url}/v2/`, agent, token)).status)
    }),
  )
  return statuses
}

/** Clients are challenged to `realm`, all of their requests are answered, and the front knows their address. */
async function expectServed(
  { url }: { url: string },
  target: TestFront,
  realm: string,
  count: number,
): Promise<void> {
  const agent = keepAlive()
  const challenged = await get(`${url}/v2/`, agent)
  expect(challenged.challenge).toContain(`realm="${realm}`)
  target.records.length = 0
  const statuses = await load(url, agent, count)
  expect([...statuses.keys()]).toEqual([200])
  const addresses = target.records.map(({ address }) => Buffer.from(address).toString('hex').slice(24))
  expect(new Set(addresses)).toEqual(new Set(['7f000009']))
  agent.destroy()
}

// What docs/operations.md tells to set: the balancer's idle time below the 10 s of the front.
const haproxyKeep = [
  ...['http-reuse safe', 'retry-on conn-failure empty-response', 'retries 1'],
  ...['timeout server 30s', 'option http-keep-alive'],
]
const poolPurge = 'pool-purge-delay 5s'

// All at once, as each pauses around the idle time.
describe.concurrent('HAProxy', { timeout: 600_000 }, () => {
  test('ends TLS, says who and how by X-Forwarded fields, and keeps connections', async () => {
    const target = await front()
    const balancer = await startHaproxy({
      backends: [`127.0.0.1:${target.port}`],
      tls: certificates,
      server: poolPurge,
      frontend: ['option forwardfor', 'http-request set-header X-Forwarded-Proto https'],
      backend: haproxyKeep,
    })
    stops.push(balancer.stop)
    await expectServed(balancer, target, `https://${balancer.host}/token`, requests)
  })

  test.each(['send-proxy', 'send-proxy-v2', 'send-proxy-v2-ssl'])(
    'ends TLS and says who by the PROXY protocol: %s',
    async (word) => {
      const target = await front({ proxyProtocol: true })
      const balancer = await startHaproxy({
        mode: 'tcp',
        backends: [`127.0.0.1:${target.port}`],
        tls: certificates,
        server: word,
      })
      stops.push(balancer.stop)
      const scheme = word === 'send-proxy-v2-ssl' ? 'https' : 'http'
      await expectServed(balancer, target, `${scheme}://`, Math.ceil(requests / 3))
    },
  )

  test('hands TLS through to the front, with the PROXY protocol before it', async () => {
    const target = await front({ proxyProtocol: true, tls: true })
    const balancer = await startHaproxy({
      mode: 'tcp',
      backends: [`127.0.0.1:${target.port}`],
      server: 'send-proxy-v2 check check-send-proxy',
    })
    stops.push(balancer.stop)
    const url = `https://${balancer.host}`
    await expectServed({ url }, target, `${url}/token`, Math.ceil(requests / 3))
    expect(target.refusals).toEqual([])
  })
})

test.concurrent('nginx ends TLS, says who and how by X-Forwarded fields, and keeps connections', {
  timeout: 600_000,
}, async () => {
  const target = await front()
  const balancer = await startTlsNginx(`127.0.0.1:${target.port}`, certificates, {
    forwardedFor: '$proxy_add_x_forwarded_for',
    upstream: 'keepalive 32; keepalive_timeout 5s;',
  })
  stops.push(balancer.stop)
  await expectServed(balancer, target, `https://${balancer.host}/token`, requests)
})
