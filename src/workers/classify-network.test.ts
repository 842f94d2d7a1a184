import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parseAddress } from '../geo/address.ts'
import { compileClouds, readCloudList } from '../geo/cloud.ts'
import { normaliseName, typeOfName } from '../geo/network-names.ts'
import { knownNetworks, networkTypes } from '../geo/networks.ts'
import { compileOverrides } from '../geo/overrides.ts'
import { shareBytes } from '../geo/range-builder.ts'
import { classifyNetwork, mergeFacts, type NetworkEvidence } from './classify-network.ts'
import { createGeoLookup } from './geo.ts'
import { type GeoDatabase, loadDatabase } from './geo-database.ts'
import { networkFactsOf } from './geo-fields.ts'

const data = new URL('../../../shared/data/', import.meta.url)
const read = (name: string) => readFileSync(new URL(name, data), 'utf8')

async function load(name: string): Promise<GeoDatabase> {
  const loaded = await loadDatabase(new URL(`maxmind/${name}.mmdb`, data).pathname)
  if ('error' in loaded) throw new Error(loaded.error)
  return loaded
}

function table(bytes: Uint8Array): GeoDatabase {
  return { sab: shareBytes(bytes), format: 'table', type: 'test', buildEpoch: null, ipVersion: 6 }
}

function classify(record: object, more: Partial<NetworkEvidence> = {}) {
  const facts = mergeFacts([networkFactsOf(record)])
  return classifyNetwork({ isSpecial: false, facts, cloud: null, override: null, ...more })
}

const asn = (number: number, name: string) => ({
  autonomous_system_number: number,
  autonomous_system_organization: name,
})

test.each([
  ['a carrier of the table', asn(7018, 'AT&T Services, Inc.'), 'isp', 'AT&T', null],
  ['its sibling', asn(20057, 'AT&T Mobility LLC'), 'isp', 'AT&T', null],
  ['a hoster', asn(24940, 'Hetzner Online GmbH'), 'hosting', 'Hetzner', null],
  ['a content network', asn(13335, 'Cloudflare, Inc.'), 'cdn', 'Cloudflare', null],
  ['a university', asn(3, 'Massachusetts Institute of Technology'), 'education', 'MIT', null],
  ['a research network', asn(559, 'SWITCH'), 'education', 'SWITCH', null],
  [
    'a government',
    asn(749, 'DoD Network Information Center'),
    'government',
    'US Department of Defense',
    null,
  ],
  ['a phone network', asn(21928, 'T-Mobile USA, Inc.'), 'mobile', 'T-Mobile US', null],
  ['a company of the table', asn(31399, 'Daimler Autonomous System'), 'business', 'Mercedes-Benz', 'high'],
  ['a company by name', asn(64500, 'Zalando SE'), 'business', 'Zalando', 'medium'],
  ['an unknown company', asn(64500, 'Example Steel GmbH'), 'business', 'Example Steel', 'low'],
  [
    'a bank that calls itself federal',
    asn(64500, 'Navy Federal Credit Union'),
    'business',
    'Navy Federal Credit Union',
    'low',
  ],
  ['an unknown university', asn(64500, 'Example University'), 'education', 'Example University', null],
  ['an unknown carrier', asn(64500, 'Example Telecom Ltd.'), 'isp', 'Example Telecom', null],
  ['a carrier by its brand', asn(64500, 'Vodafone Ireland Limited'), 'isp', 'Vodafone Ireland', null],
  ['an unknown hoster', asn(64500, 'Example Hosting B.V.'), 'hosting', 'Example Hosting', null],
  ['a name that says nothing', asn(64500, 'Xyzzy'), 'business', 'Xyzzy', null],
])('%s', (_name, record, type, organization, confidence) => {
  const { network, company } = classify(record)
  expect([network.type, network.organization, company?.confidence ?? null]).toEqual([
    type,
    organization,
    confidence,
  ])
  // Never a carrier, a hoster, a university, a government or a content network.
  if (type !== 'business') expect(company).toBeNull()
})

test('a large network that nobody knows sells access', () => {
  const facts = { ...mergeFacts([networkFactsOf(asn(64500, 'Xyzzy Ltd'))]), isLarge: true }
  const found = classifyNetwork({ isSpecial: false, facts, cloud: null, override: null })
  expect([found.network.type, found.company]).toEqual(['isp', null])
})

test.each([
  ['residential', 'isp', false],
  ['business', 'business', true],
  ['government', 'government', false],
  ['hosting', 'hosting', false],
  ['college', 'education', false],
  ['cellular', 'mobile', false],
  ['content_delivery_network', 'cdn', false],
])('a database of companies that says %s overrules the table', (user_type, type, isCompany) => {
  const traits = { ...asn(7018, 'AT&T Services'), user_type, organization: 'Example Motors Inc', isp: 'AT&T' }
  const { network, company } = classify({ traits })
  expect([network.type, company !== null]).toEqual([type, isCompany])
  if (isCompany)
    expect(company).toEqual({ name: 'Example Motors', domain: null, confidence: 'high', source: 'database' })
})

test.each([
  ['Example Insurance Ltd', 'Example Insurance', 'medium'],
  ['Bevtec', 'Bevtec', 'low'],
  // People, lines and providers.
  ['Marino Dalla Gasperina', null, null],
  ['halle_moore', null, null],
  ['DSLAM WAN Allocation', null, null],
  ['Athena Broadband', null, null],
  ['Bredband2', null, null],
  ['Bredband2 Customers Ltd', null, null],
  ['Examplelink', null, null],
])('behind a provider: %s', (organization, name, confidence) => {
  const { company } = classify({ ...asn(29518, 'Bredband2 AB'), isp: 'Bredband2 AB', organization })
  expect([company?.name ?? null, company?.confidence ?? null]).toEqual([name, confidence])
})

test('a file of companies gives name and domain; the owner of the network is another', () => {
  const record = {
    name: 'i2ts,inc.',
    domain: 'i2ts.com',
    type: 'business',
    asn: 'AS2519',
    as_name: 'ARTERIA',
    as_domain: 'arteria-net.com',
  }
  const { network, company } = classify(record)
  expect(company).toEqual({ name: 'i2ts', domain: 'i2ts.com', confidence: 'high', source: 'database' })
  expect([network.asn, network.organization, network.type]).toEqual([2519, 'ARTERIA', 'business'])
})

test.each([
  ['Cellular', 'mobile'],
  ['Corporate', 'business'],
  ['Cable/DSL', 'isp'],
])('a line of type %s', (connection_type, type) => {
  expect(classify({ connection_type }).network.type).toBe(type)
  expect(classify({ ...asn(3, 'MIT'), connection_type }).network.type).toBe('education')
})

test.each([
  ['Amazon.com, Inc.', 'Amazon.com'],
  ['Example Co., Ltd.', 'Example'],
  ['Hetzner Online GmbH', 'Hetzner Online'],
  ['Uninet S.A. de C.V.', 'Uninet'],
  ['Telefonica Germany GmbH & Co.OHG', 'Telefonica Germany'],
  ['  TELE2  ', 'TELE2'],
  ['Inc', 'Inc'],
])('%s is normalised', (text, name) => expect(normaliseName(text)).toBe(name))

test.each([
  ['Example', null],
  ['Examplenet Ltd', null],
  ['Example Bank', 'low'],
])('an organisation that nobody connects may be a provider itself: %s', (organization, confidence) => {
  expect(classify({ organization }).company?.confidence ?? null).toBe(confidence)
})

// Names of the kinds that networks of small providers have, by what a list of all networks showed to be mistaken.
test.each([
  'Example Sat Mais Veloz Ltda',
  'PT Example Media Nusantara',
  'Example Global Group Sdn Bhd',
  'Example Data LLC',
  'Example Optika OOO',
  'Example Inc.',
  'Joint Stock Company "Example"',
  'Example IP Transport Inc.',
  'Agrosvyaz-Example Ltd',
  'Example Television S.A. de C.V.',
  'Cooperativa Example de Energia Electrica Ltda',
  'Examplehost Software Company',
  'EXAMPLE-AS-AP - Example Digital Pvt Ltd',
  'Equinix (EMEA) Acquisition Finance B.V.',
])('%s may sell access or machines: no company', (name) => {
  expect(classify(asn(64500, name)).company).toBeNull()
})

test.each([
  ['Rochester Gas and Electric Corporation', 'Rochester Gas and Electric'],
  ['Nokian Renkaat Oyj', null],
  ['Kellogg Community College', null],
  ['Nokia Solutions and Networks Oy', 'Nokia'],
  ['ATLASSIANPTY-AS-AP - ATLASSIAN PTY LTD', 'Atlassian'],
  ['UBS AG', 'UBS'],
  ['EXAMPLE-AS-AP - Example Bank Ltd', 'Example Bank'],
])('%s is %s, whatever name it begins like', (owner, name) => {
  expect(classify(asn(64500, owner)).company?.name ?? null).toBe(name)
})

test('no test network of an access provider is taken for a company', async () => {
  const known: [number, string][] = JSON.parse(read('maxmind/GeoLite2-ASN-Test.json')).flatMap(
    (entry: object) =>
      Object.values(entry).map((record) => [
        record.autonomous_system_number,
        record.autonomous_system_organization,
      ]),
  )
  const companies = new Set(
    known
      .filter(([, name]) => name)
      .flatMap(([number, name]) => classify(asn(number, name)).company?.name ?? []),
  )
  expect([...companies].sort()).toEqual(['HP', 'Mercedes-Benz'])
})

test('the hosters of the table are those that others list too, and no company of the table is one', () => {
  const listed = new Set(
    [...read('cloud/datacenter-asns.txt').matchAll(/^AS(\d+)/gm)].map(([, number]) => Number(number)),
  )
  const types = new Map<string, [listed: number, all: number]>()
  for (const [number, { type }] of knownNetworks) {
    const [hits, all] = types.get(type) ?? [0, 0]
    types.set(type, [hits + Number(listed.has(number)), all + 1])
  }
  const share = (type: string) => (types.get(type)?.[0] ?? 0) / (types.get(type)?.[1] ?? 1)
  expect(share('hosting')).toBeGreaterThan(0.5)
  for (const type of ['business', 'isp', 'mobile', 'education', 'government'])
    expect(share(type), type).toBeLessThan(0.05)
  expect(knownNetworks.size).toBeGreaterThan(600)
  for (const { name, domain, type } of knownNetworks.values()) {
    expect(domain, name).toMatch(/^[a-z0-9-]+(\.[a-z0-9-]+)+$/)
    expect(networkTypes).toContain(type)
  }
})

const aws = readCloudList(read('cloud/aws-ip-ranges.json'))!
const gcp = readCloudList(read('cloud/gcp-cloud.json'))!
const cloud = table(compileClouds([...aws, ...gcp], 0))

test.each([
  ['3.5.140.1', 'aws', 'ap-northeast-2', 'hosting'],
  ['35.190.0.1', 'gcp', 'global', 'hosting'],
  ['34.35.0.1', 'gcp', 'africa-south1', 'hosting'],
  ['2600:1f14::1', 'aws', 'us-west-2', 'hosting'],
  ['13.32.0.1', 'aws', 'GLOBAL', 'cdn'],
])('%s is in a cloud', async (address, provider, region, type) => {
  const { network, company } = createGeoLookup({
    cloud,
    asn: await load('GeoLite2-ASN-Test'),
    detail: 'region',
  }).network(parseAddress(address)!)
  expect([network.cloud_provider, network.cloud_region, network.type, company]).toEqual([
    provider,
    region,
    type,
    null,
  ])
})

test('addresses outside of clouds have none, and those of nobody are private', () => {
  const lookup = createGeoLookup({ cloud, detail: 'region' })
  expect(lookup.network(parseAddress('140.82.112.3')!).network).toMatchObject({
    type: null,
    cloud_provider: null,
  })
  expect(lookup.network(parseAddress('10.1.2.3')!).network).toMatchObject({
    type: 'private',
    cloud_provider: null,
  })
})

test.each([
  [
    'azure',
    {
      values: [
        { name: 'AzureCloud.eastus', properties: { region: 'eastus', addressPrefixes: ['198.51.100.0/24'] } },
        { name: 'Sql', properties: { addressPrefixes: ['192.0.2.0/24'] } },
      ],
    },
    1,
  ],
  ['oracle', { regions: [{ region: 'eu-zurich-1', cidrs: [{ cidr: '198.51.100.0/24' }] }] }, 1],
  ['github', { actions: ['198.51.100.0/24', '2001:db8::/32'], hooks: ['192.0.2.0/24'] }, 2],
])('the list of %s', (provider, json, count) => {
  const ranges = readCloudList(JSON.stringify(json))!
  expect([ranges.length, ranges[0]!.provider]).toEqual([count, provider])
})

test.each(['', '[]', '{}', '{"prefixes":[{}]}', 'null'])('%j is no list of ranges', (text) => {
  expect(readCloudList(text)).toBeNull()
})

function overrides(text: string): GeoDatabase {
  const compiled = compileOverrides(text, 0)
  if ('problems' in compiled) throw new Error(compiled.problems.join('; '))
  return table(compiled.bytes)
}

test('what the operator says counts before all databases, the narrowest range first', async () => {
  const list = overrides(
    'range,company,domain,type\n# ours\n81.2.69.0/24,"Example, Inc.",example.com\n81.2.69.160/28,Partner\n10.0.0.0/8,Example,example.com\n89.160.20.112/28,,,hosting\n2001:218::/32,Six,six.example\n',
  )
  const lookup = createGeoLookup({ overrides: list, asn: await load('GeoLite2-ASN-Test'), detail: 'region' })
  const at = (text: string) => lookup.network(parseAddress(text)!)
  expect(at('81.2.69.7').company).toEqual({
    name: 'Example, Inc.',
    domain: 'example.com',
    confidence: 'high',
    source: 'overrides',
  })
  expect(at('81.2.69.161').company).toMatchObject({ name: 'Partner', domain: null })
  expect(at('81.2.69.7').network.type).toBe('business')
  expect([at('10.1.2.3').network.type, at('10.1.2.3').company?.name]).toEqual(['private', 'Example'])
  expect([at('89.160.20.112').network.type, at('89.160.20.112').company]).toEqual(['hosting', null])
  expect(at('2001:218::1').company?.name).toBe('Six')
  expect(at('192.168.0.1').company).toBeNull()
})

test.each([
  [
    '81.2.69.160/24,Example',
    'line 1, column 1: "81.2.69.160/24": expected a range like 203.0.113.0/24 or 2001:db8::/32',
  ],
  [
    '# x\n\n192.0.2.0/24,A,not a domain',
    'line 3, column 16: "not a domain": expected a domain like example.com',
  ],
  [
    '192.0.2.0/24,A,,cloud',
    'line 1, column 17: "cloud": expected a type of business, isp, hosting, education, government, mobile, cdn, private',
  ],
  ['192.0.2.0/24', 'line 1, column 13: "": expected a company, or a type in the fourth field'],
  ['192.0.2.0/24, "A, Inc.", a_b, isp', 'line 1, column 26: "a_b": expected a domain like example.com'],
  ['192.0.2.0/24,"A', 'line 1, column 14: a quote that is not closed, or stands within a field'],
  ['192.0.2.0/24,A\n192.0.2.0/24,B', 'line 2, column 1: the same range as line 1'],
  ['192.0.2.0/24,A,a.example,business,x', 'line 1, column 35: 5 fields; expected range,company,domain,type'],
])('the list %j is refused with its line', (text, problem) => {
  expect(compileOverrides(text, 0)).toEqual({ problems: [problem] })
})

test('of many problems ten are told', () => {
  const compiled = compileOverrides('x,y\n'.repeat(50), 0)
  expect('problems' in compiled && compiled.problems).toHaveLength(11)
  expect('problems' in compiled && compiled.problems[10]).toBe('and 40 lines more')
})

test('the answer for a network is one object for all its clients: nothing is looked up twice', async () => {
  const lookup = createGeoLookup({ asn: await load('GeoLite2-ASN-Test'), detail: 'region' })
  expect(lookup.network(parseAddress('89.160.20.113')!)).toBe(lookup.network(parseAddress('89.160.20.114')!))
})

test.each(['University of Example', 'Example College', 'école Example'])('%s is a school', (name) => {
  expect(typeOfName(name)).toBe('education')
})
