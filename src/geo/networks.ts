/**
 * The largest networks and well-known companies by number of their autonomous system, as a table written for this
 * project: what they are, under one name for all the networks of an organisation.
 */
import { accessNetworks, mobileNetworks } from './networks/access.ts'
import { businessNetworks, companyNames } from './networks/business.ts'
import { contentNetworks, hostingNetworks } from './networks/hosting.ts'
import { educationNetworks, governmentNetworks } from './networks/public.ts'

export const networkTypes = [
  'business',
  'isp',
  'hosting',
  'education',
  'government',
  'mobile',
  'cdn',
  'private',
] as const
export type NetworkType = (typeof networkTypes)[number]

export type KnownNetwork = { name: string; domain: string; type: NetworkType }

function linesOf(text: string): string[][] {
  return text
    .trim()
    .split('\n')
    .map((line) => line.split('|'))
}

const tables: readonly (readonly [NetworkType, string])[] = [
  ['isp', accessNetworks],
  ['mobile', mobileNetworks],
  ['hosting', hostingNetworks],
  ['cdn', contentNetworks],
  ['education', educationNetworks],
  ['government', governmentNetworks],
  ['business', businessNetworks],
]

export const knownNetworks: ReadonlyMap<number, KnownNetwork> = new Map(
  tables.flatMap(([type, text]) =>
    linesOf(text).flatMap(([numbers = '', name = '', domain = '']) =>
      numbers.split(' ').map((asn) => [Number(asn), { name, domain, type }] as const),
    ),
  ),
)

/** `start`: how the normalised name begins, in lower case. */
export const knownCompanies: readonly { start: string; name: string; domain: string }[] = linesOf(
  companyNames,
).map(([start = '', name = '', domain = '']) => ({ start, name, domain }))
