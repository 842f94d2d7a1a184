import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { parseAddress } from './address.ts'
import { compileClouds, readCloudList } from './cloud.ts'
import { makeClouds } from './install-clouds.ts'
import { shareBytes } from './range-builder.ts'
import { openTable } from './range-table.ts'

/** As the providers publish them; of Azure and Cloudflare with what stands around the ranges. */
const published: Readonly<Record<string, unknown>> = {
  aws: {
    syncToken: '1790000000',
    createDate: '2026-11-20-00-00-00',
    prefixes: [
      { ip_prefix: '3.4.12.0/24', region: 'eu-west-1', service: 'AMAZON', network_border_group: 'eu-west-1' },
      { ip_prefix: '13.32.0.0/15', region: 'GLOBAL', service: 'AMAZON', network_border_group: 'GLOBAL' },
      { ip_prefix: '13.32.0.0/15', region: 'GLOBAL', service: 'CLOUDFRONT', network_border_group: 'GLOBAL' },
    ],
    ipv6_prefixes: [{ ipv6_prefix: '2600:1f18::/33', region: 'us-east-1', service: 'EC2' }],
  },
  gcp: {
    syncToken: '1790000000000',
    creationTime: '2026-11-20T00:00:00.000000',
    prefixes: [
      { ipv4Prefix: '34.1.208.0/20', service: 'Google Cloud', scope: 'africa-south1' },
      { ipv6Prefix: '2600:1900:8000::/44', service: 'Google Cloud', scope: 'us-central1' },
    ],
  },
  azure: {
    changeNumber: 300,
    cloud: 'Public',
    values: [
      { name: 'AzureCloud', id: 'AzureCloud', properties: { region: '', addressPrefixes: ['20.0.0.0/11'] } },
      {
        name: 'AzureCloud.westeurope',
        properties: { region: 'westeurope', platform: 'Azure', addressPrefixes: ['20.1.0.0/16'] },
      },
      { name: 'Storage', properties: { region: '', addressPrefixes: ['52.0.0.0/8'] } },
    ],
  },
  oracle: {
    last_updated_timestamp: '2026-11-20T00:00:00.000000',
    regions: [{ region: 'eu-frankfurt-1', cidrs: [{ cidr: '130.61.0.0/16', tags: ['OCI'] }] }],
  },
  github: {
    verifiable_password_authentication: false,
    hooks: ['140.82.112.0/20'],
    actions: ['4.148.0.0/16'],
  },
  digitalocean: '5.101.96.0/21,NL,NL-NH,Amsterdam,1105\n2604:a880::/32,US,US-NY,"New York",10011\n',
  cloudflare: {
    result: { ipv4_cidrs: ['104.16.0.0/13'], ipv6_cidrs: ['2606:4700::/32'], etag: 'x' },
    success: true,
    errors: [],
    messages: [],
  },
  fastly: { addresses: ['151.101.0.0/16'], ipv6_addresses: ['2a04:4e40::/32'] },
}

const bodyOf = (name: string): string => {
  const body = published[name]
  return typeof body === 'string' ? body : JSON.stringify(body)
}

let answers: Record<string, (response: ServerResponse) => void> = {}
const server = createServer((request, response) => {
  const name = request.url?.slice(1) ?? ''
  const answer = answers[name] ?? ((other: ServerResponse) => void other.end(bodyOf(name)))
  answer(response)
})
const folder = mkdtempSync(join(tmpdir(), 'waybill-clouds-'))
const previous = join(folder, 'clouds.table')
let base = ''
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
beforeEach(() => {
  answers = {}
  rmSync(previous, { force: true })
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
  rmSync(folder, { recursive: true })
})

async function make(names: readonly string[], more: Partial<Parameters<typeof makeClouds>[0]> = {}) {
  const told: string[] = []
  const made = await makeClouds({
    lists: names.map((name) => ({ name, url: `${base}/${name}` })),
    files: [],
    previous,
    tell: (line) => told.push(line),
    ...more,
  })
  const table = made.bytes === null ? null : openTable(shareBytes(made.bytes), true)
  if (table !== null && 'error' in table) throw new Error(table.error)
  const at = (address: string) => table?.row(table.find(parseAddress(address)!)).join(' ')
  return { ...made, told, table, at }
}

test('the lists of all providers, as they publish them', async () => {
  const { at, problems, told } = await make(Object.keys(published))
  expect(problems).toEqual([])
  expect(told.toSorted()).toEqual([
    'aws: 4 ranges',
    'azure: 2 ranges',
    'cloudflare: 2 ranges',
    'digitalocean: 2 ranges',
    'fastly: 2 ranges',
    'gcp: 2 ranges',
    'github: 1 ranges',
    'oracle: 1 ranges',
  ])
  for (const [address, expected] of [
    ['3.4.12.7', 'aws eu-west-1 '],
    ['13.33.1.1', 'aws GLOBAL cdn'],
    ['2600:1f18::1', 'aws us-east-1 '],
    ['34.1.209.1', 'gcp africa-south1 '],
    ['2600:1900:8000::1', 'gcp us-central1 '],
    ['20.1.2.3', 'azure westeurope '],
    ['20.2.2.3', 'azure  '],
    ['52.1.1.1', ''],
    ['130.61.1.1', 'oracle eu-frankfurt-1 '],
    ['4.148.1.1', 'github actions ci'],
    ['140.82.112.3', ''],
    ['5.101.97.1', 'digitalocean Amsterdam '],
    ['2604:a880::1', 'digitalocean New York '],
    ['104.17.1.1', 'cloudflare  cdn'],
    ['151.101.1.1', 'fastly  cdn'],
  ] as const)
    expect(at(address), address).toBe(expected)
})

const html = '<!DOCTYPE html><html><body>Sign in to the network</body></html>'
const failures: [string, (response: ServerResponse) => void, RegExp][] = [
  ['that is slow', () => {}, /^gcp: http:.*\/gcp did not answer within 0\.3 s$/],
  [
    'that stops half way',
    (response) => void response.write('{"prefixes":['),
    /did not answer within 0\.3 s$/,
  ],
  [
    'that is broken off',
    (response) => {
      response.writeHead(200, { 'content-length': 1000 })
      response.write('{', () => response.destroy())
    },
    /^gcp: http:.*\/gcp could not be reached \(.+\)$/,
  ],
  ['that answers 503', (response) => void response.writeHead(503).end(), /^gcp: http:.*\/gcp answered 503$/],
  ['that is a web page', (response) => void response.end(html), /^gcp: a web page, and no list of ranges$/],
  [
    'that is cut',
    (response) => void response.end('{"prefixes":[{"ipv4'),
    /^gcp: no list of ranges that is known$/,
  ],
  ['without ranges', (response) => void response.end('{"prefixes":[]}'), /^gcp: no list of ranges/],
  [
    'with half of the internet',
    (response) => void response.end('{"prefixes":[{"ipv4Prefix":"0.0.0.0/1","scope":"x"}]}'),
    /^gcp: no list of ranges/,
  ],
  ['that is too large', (response) => void response.end(' '.repeat(5000)), /more than 4096 bytes$/],
]

test.each(failures)(
  'a list %s: one line, its ranges as they were, the others new',
  async (_name, answer, line) => {
    const old = ['aws', 'gcp'].flatMap((name) => readCloudList(bodyOf(name).replace('3.4.12.0', '3.4.13.0'))!)
    writeFileSync(previous, compileClouds(old, 1000))
    answers['gcp'] = answer
    const { at, problems, table, told } = await make(['aws', 'gcp', 'oracle'], {
      timeoutMs: 300,
      maxBytes: 4096,
    })
    expect(problems).toEqual([expect.stringMatching(line)])
    expect(told).toContain('gcp: as it was, not got this time')
    expect([at('3.4.12.7'), at('3.4.13.7'), at('130.61.1.1')]).toEqual([
      'aws eu-west-1 ',
      '',
      'oracle eu-frankfurt-1 ',
    ])
    expect([at('34.1.208.0'), at('34.1.223.255'), at('34.1.224.0')]).toEqual([
      ...['gcp africa-south1 ', 'gcp africa-south1 '],
      '',
    ])
    expect(at('2600:1900:8000::1')).toBe('gcp us-central1 ')
    // As old as its oldest part.
    expect(table?.meta.builtMs).toBe(1000)
  },
)

test('a site that is not there, and no table before: the others, and one line', async () => {
  const closed = createServer()
  await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve))
  const gone = { name: 'gcp', url: `http://127.0.0.1:${(closed.address() as AddressInfo).port}/gcp` }
  await new Promise((resolve) => closed.close(resolve))
  const { at, problems, table } = await make([], { lists: [gone, { name: 'aws', url: `${base}/aws` }] })
  expect(problems).toEqual([`gcp: ${gone.url} could not be reached (ECONNREFUSED)`])
  expect([at('3.4.12.7'), at('34.1.209.1')]).toEqual(['aws eu-west-1 ', ''])
  expect(Date.now() - (table?.meta.builtMs ?? 0)).toBeLessThan(60_000)
})

test('nothing can be had: the table before is left alone', async () => {
  answers = {
    aws: (response) => void response.writeHead(500).end(),
    gcp: (response) => void response.end(html),
  }
  const { bytes, problems } = await make(['aws', 'gcp'])
  expect([bytes, problems.length]).toEqual([null, 2])
})

test('a file renews its own provider and no other', async () => {
  writeFileSync(previous, compileClouds(readCloudList(bodyOf('aws'))!, 1000))
  const file = join(folder, 'ServiceTags_Public.json')
  writeFileSync(file, bodyOf('azure'))
  const { at, problems } = await make([], { files: [file, join(folder, 'absent.json')] })
  expect(problems).toEqual([`${join(folder, 'absent.json')}: cannot be read (ENOENT)`])
  expect([at('20.1.2.3'), at('13.33.1.1')]).toEqual(['azure westeurope ', 'aws GLOBAL cdn'])
})

test('sites are asked at once: a slow one keeps no other waiting', async () => {
  const asked: string[] = []
  const names = ['aws', 'gcp', 'oracle']
  for (const name of names) {
    answers[name] = (response) => {
      asked.push(name)
      void vi.waitFor(() => expect(asked).toHaveLength(3)).then(() => response.end(bodyOf(name)))
    }
  }
  expect((await make(names)).problems).toEqual([])
})
