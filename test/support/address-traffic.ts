/** Traffic of clients with known addresses, behind a trusted proxy, along every path that a request can take. */
import { get, type IncomingMessage } from 'node:http'
import { isIPv6 } from 'node:net'
import { expect } from 'vitest'
import { readMetric } from './admin.ts'
import { fetchToken, pullByHand, send } from './http-client.ts'
import type { Waybill } from './waybill.ts'

/** Addresses for documentation, and of the test databases: those are in a country or a network. */
export const clientAddresses = {
  '81.2.69.173': { country: 'GB', asn: null },
  '89.160.20.117': { country: 'SE', asn: 29518 },
  '2.125.160.219': { country: 'GB', asn: null },
  '192.0.2.77': { country: null, asn: null },
  '198.51.100.141': { country: null, asn: null },
  '2001:218:dead:beef:cafe:f00d:1234:5678': { country: 'JP', asn: null },
  '2001:db8:5eed:c0de:a1b2:c3d4:e5f6:789a': { country: null, asn: null },
} as const
export const addressList = Object.keys(clientAddresses)

export const repository = 'team/app'
export const tag = '1.0'

/** One pull of all its bytes for each address. `userAgent` gets the number of the address. */
export async function pullAll(url: string, userAgent = 'test-client'): Promise<void> {
  for (const address of addressList) {
    const headers = { 'x-forwarded-for': address, 'user-agent': `${userAgent}/1.0` }
    const { statuses } = await pullByHand(url, repository, tag, { headers })
    expect(new Set(statuses)).toEqual(new Set([401, 200]))
  }
}

const manifests = `/v2/${repository}/manifests`

/** Everything that is refused, for one address; each answer has the status that it should have. */
export async function sendRefused(url: string, address: string): Promise<void> {
  const from = { 'x-forwarded-for': address }
  const authorization = `Bearer ${await fetchToken(url, { headers: from })}`
  const known = { ...from, authorization, accept: 'application/vnd.oci.image.index.v1+json' }
  const table: [method: string, path: string, headers: Record<string, string>, status: number][] = [
    ['GET', `${manifests}/${tag}`, from, 401],
    ['GET', `${manifests}/${tag}`, { ...from, authorization: 'Bearer wrong' }, 401],
    ['GET', '/token', { ...from, authorization: `Basic ${btoa('user:secret')}` }, 401],
    ['HEAD', `${manifests}/none`, known, 404],
    ['GET', `/v2/team/none/manifests/${tag}`, known, 404],
    ['GET', `/v2/${repository}/blobs/sha256:${'0'.repeat(64)}`, known, 404],
    ['GET', '/v2/_catalog', known, 404],
    ['GET', '/nowhere', known, 404],
    ['GET', '/privacy', known, 200],
    ['GET', '/v2/', { ...from, dnt: '1' }, 401],
    ['GET', `/v2/${repository}/tags/list`, { ...known, 'sec-gpc': '1' }, 200],
    ['GET', `/v2/${repository}/tags/list`, known, 200],
    ['POST', `/v2/${repository}/blobs/uploads/`, known, 405],
    ['PUT', `${manifests}/${tag}`, known, 405],
    ['DELETE', `${manifests}/${tag}`, known, 405],
    ['POST', '/token', from, 405],
  ]
  for (const [method, path, headers, status] of table) {
    const answer = await send(`${url}${path}`, { method, headers })
    expect(answer.status, `${method} ${path}`).toBe(status)
  }
  // Refused late, and the connection is closed: the answer may be lost to a reset.
  await send(`${url}/v2/`, { headers: from, body: `address=${address}` }).catch(() => null)
  await send(`${url}/v2/`, { headers: { ...from, 'x-large': address.repeat(2000) } }).catch(() => null)
}

/** What proxies and attackers write into headers; every one is answered as ever. */
export async function sendMalformed(url: string, address: string): Promise<void> {
  const bracketed = isIPv6(address) ? `[${address}]` : address
  const values = [
    `${address}, `,
    `, ${address}`,
    `${bracketed}:443`,
    `${bracketed}:99999999`,
    `"${bracketed}"`,
    `for=${bracketed}`,
    `${address};${address}`,
    `${address} ${address}`,
    `unknown, ${address}`,
    `${address}, unknown`,
    `${address}%eth0`,
    `${address}, 127.0.0.1, 127.0.0.1`,
    `0${address}`,
    `${address}\t`,
    `${address},`.repeat(200),
  ]
  const others = ['x-real-ip', 'cf-connecting-ip', 'true-client-ip', 'x-client-ip', 'fastly-client-ip']
  const headers = [
    ...values.map((value) => ({ 'x-forwarded-for': value })),
    ...others.map((name) => ({ [name]: address })),
    { forwarded: `for="${bracketed}:4711";proto=https` },
    { 'x-forwarded-for': address, forwarded: `for=${address}`, 'x-forwarded-host': bracketed },
  ]
  for (const each of headers) {
    const authorization = `Bearer ${await fetchToken(url, { headers: each })}`
    const accept = 'application/vnd.oci.image.index.v1+json'
    const answer = await send(`${url}${manifests}/${tag}`, {
      headers: { ...each, authorization, accept },
    })
    expect(answer.status, JSON.stringify(each)).toBe(200)
  }
}

/** One answer of the given status to each address, all at once. */
export async function sendFailing(url: string, path: string, status: number): Promise<void> {
  await Promise.all(
    addressList.map(async (address) => {
      const headers = { 'x-forwarded-for': address, accept: '*/*' }
      const authorization = `Bearer ${await fetchToken(url, { headers })}`
      const answer = await send(`${url}${path}`, { headers: { ...headers, authorization } })
      expect(answer.status).toBe(status)
    }),
  )
}

export type SlowDownload = {
  /** Reads the rest; its length in bytes with what came before. */
  finish(): Promise<number>
  abort(): void
}

/** Begins to read a blob and stops reading; resolves when it has left a record of being under way. */
export async function downloadSlowly(
  waybill: Pick<Waybill, 'url' | 'admin'>,
  path: string,
  address: string,
): Promise<SlowDownload> {
  const headers = { 'x-forwarded-for': address }
  const authorization = `Bearer ${await fetchToken(waybill.url, { headers })}`
  const records = () => readMetric(waybill, 'waybill_ring_records_total')
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const options = { headers: { ...headers, authorization }, agent: false }
    get(`${waybill.url}${path}`, options, resolve).on('error', reject)
  })
  expect(response.statusCode).toBe(200)
  let bytes = 0
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  response.on('error', () => undefined)
  response.pause()
  const before = (await records()) ?? 0
  await expect.poll(records, { timeout: 10_000 }).toBeGreaterThan(before)
  return {
    finish: () =>
      new Promise((resolve, reject) => {
        response.on('end', () => resolve(bytes))
        response.on('error', reject)
        response.resume()
      }),
    abort: () => void response.destroy(),
  }
}

/** What anyone can ask of the ports that are for operators and users. */
export async function readPages(waybill: Pick<Waybill, 'url' | 'admin'>): Promise<[string, Buffer][]> {
  const pages = [
    ...['/metrics', '/healthz', '/readyz'].map((path) => `${waybill.admin}${path}`),
    ...['/readyz', '/privacy'].map((path) => `${waybill.url}${path}`),
  ]
  return Promise.all(pages.map(async (page) => [page, (await send(page)).body] as [string, Buffer]))
}
