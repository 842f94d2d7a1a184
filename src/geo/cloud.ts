/** Compiles the lists of ranges that clouds publish into one table: provider, region, and what runs there. */
import { parseAddress } from './address.ts'
import { buildFromCidrs, type Cidr, parseCidr } from './range-builder.ts'

export type CloudRange = { cidr: Cidr; provider: string; region: string; use: '' | 'cdn' | 'ci' }

/** `name`: that of the provider in its ranges. */
export type CloudList = { name: string; url: string }

/** Where each list is published. Azure has no steady address for its own: its file is handed in. */
export const cloudLists: readonly CloudList[] = [
  { name: 'aws', url: 'https://ip-ranges.amazonaws.com/ip-ranges.json' },
  { name: 'gcp', url: 'https://www.gstatic.com/ipranges/cloud.json' },
  { name: 'oracle', url: 'https://docs.oracle.com/en-us/iaas/tools/public_ip_ranges.json' },
  { name: 'github', url: 'https://api.github.com/meta' },
  { name: 'digitalocean', url: 'https://digitalocean.com/geo/google.csv' },
  { name: 'cloudflare', url: 'https://api.cloudflare.com/client/v4/ips' },
  { name: 'fastly', url: 'https://api.fastly.com/public-ip-list' },
]

/** No provider has more at once: a list that says so would make a cloud of half the internet. */
const widest = { 4: 8, 6: 16 } as const

type Json = Record<string, unknown>

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])
const word = (value: unknown): string =>
  typeof value === 'string' && /^[\w .-]{0,64}$/.test(value) ? value : ''

function range(text: unknown, provider: string, region: unknown, use: CloudRange['use'] = ''): CloudRange[] {
  const cidr = typeof text === 'string' ? parseCidr(text, parseAddress) : null
  return cidr === null ? [] : [{ cidr, provider, region: word(region), use }]
}

function readAws(json: Json): CloudRange[] {
  const entries = [...list(json['prefixes']), ...list(json['ipv6_prefixes'])].filter(isObject)
  // A range is listed once for AMAZON and once for each service in it: the service is told, the rest is not.
  const cdn = new Set(
    entries
      .filter(({ service }) => service === 'CLOUDFRONT' || service === 'GLOBALACCELERATOR')
      .map((entry) => entry['ip_prefix'] ?? entry['ipv6_prefix']),
  )
  return entries.flatMap((entry) => {
    const text = entry['ip_prefix'] ?? entry['ipv6_prefix']
    return range(text, 'aws', entry['region'], cdn.has(text) ? 'cdn' : '')
  })
}

function readGcp(json: Json): CloudRange[] {
  return list(json['prefixes'])
    .filter(isObject)
    .flatMap((entry) => range(entry['ipv4Prefix'] ?? entry['ipv6Prefix'], 'gcp', entry['scope']))
}

function readAzure(json: Json): CloudRange[] {
  return list(json['values'])
    .filter(isObject)
    .filter(({ name }) => typeof name === 'string' && /^AzureCloud(?:\.|$)/.test(name))
    .flatMap(({ properties }) => {
      const { addressPrefixes, region } = isObject(properties) ? properties : {}
      return list(addressPrefixes).flatMap((text) => range(text, 'azure', region))
    })
}

function readOracle(json: Json): CloudRange[] {
  return list(json['regions'])
    .filter(isObject)
    .flatMap(({ region, cidrs }) =>
      list(cidrs)
        .filter(isObject)
        .flatMap(({ cidr }) => range(cidr, 'oracle', region)),
    )
}

function readGithub(json: Json): CloudRange[] {
  return list(json['actions']).flatMap((text) => range(text, 'github', 'actions', 'ci'))
}

function readCloudflare(json: Json): CloudRange[] {
  const { ipv4_cidrs: four, ipv6_cidrs: six } = isObject(json['result']) ? json['result'] : {}
  return [...list(four), ...list(six)].flatMap((text) => range(text, 'cloudflare', '', 'cdn'))
}

function readFastly(json: Json): CloudRange[] {
  return [...list(json['addresses']), ...list(json['ipv6_addresses'])].flatMap((text) =>
    range(text, 'fastly', '', 'cdn'),
  )
}

/** RFC 8805: range, country, region, city, postal code. */
function readDigitalOcean(text: string): CloudRange[] {
  return text.split(/\r?\n/).flatMap((line) => {
    const [cidr, country = '', , city] = line.split(',')
    return /^[A-Z]{2}$/.test(country)
      ? range(cidr?.trim(), 'digitalocean', city?.replace(/^\s*"?|"?\s*$/g, ''))
      : []
  })
}

function parseJson(text: string): Json | null {
  try {
    const json: unknown = JSON.parse(text)
    return isObject(json) ? json : null
  } catch {
    return null
  }
}

function readJson(json: Json): CloudRange[] {
  const [first] = list(json['prefixes'])
  if (Array.isArray(json['actions'])) return readGithub(json)
  if (Array.isArray(json['values'])) return readAzure(json)
  if (Array.isArray(json['regions'])) return readOracle(json)
  if (isObject(json['result'])) return readCloudflare(json)
  if (Array.isArray(json['addresses'])) return readFastly(json)
  return isObject(first) && 'ip_prefix' in first ? readAws(json) : readGcp(json)
}

/** Told apart by what they hold; null: none of the known, or one that cannot be right. */
export function readCloudList(text: string): CloudRange[] | null {
  const json = parseJson(text)
  const ranges = json === null ? readDigitalOcean(text) : readJson(json)
  const isSound = ranges.every(({ cidr }) => cidr.bits >= widest[cidr.family])
  return ranges.length > 0 && isSound ? ranges : null
}

/** The narrowest counts; of the same range a region before none, and a use before none. */
export function compileClouds(ranges: readonly CloudRange[], builtMs: number | null): Uint8Array {
  const weight = ({ use, region }: CloudRange) =>
    (use === '' ? 0 : 2) + (region === '' || region.toLowerCase() === 'global' ? 0 : 1)
  const sorted = [...ranges].sort((a, b) => weight(a) - weight(b))
  return buildFromCidrs(
    { kind: 'cloud', builtMs, source: 'ranges published by the clouds' },
    sorted.map(({ cidr, provider, region, use }) => ({ cidr, text: [provider, region, use].join('\t') })),
  )
}
