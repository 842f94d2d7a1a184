/**
 * What kind of network an address is in, and which company is behind it: rules in a fixed order, so that the
 * answer can be explained. A company is named only where nothing says that it merely sells access or machines.
 */
import { isPlainlyCompany, looksLikeCompany, normaliseName, typeOfName } from '../geo/network-names.ts'
import { knownCompanies, knownNetworks, type NetworkType } from '../geo/networks.ts'
import type { Company, Network } from '../record/events.ts'
import type { NetworkFacts } from './geo-fields.ts'

export type NetworkFinding = {
  network: Network
  company: Company
  /** The address is one of a CI service's machines. */
  isCi: boolean
}

export type NetworkEvidence = {
  /** An address that is nobody's on the internet. */
  isSpecial: boolean
  facts: NetworkFacts
  cloud: { provider: string; region: string; use: string } | null
  override: { company: string; domain: string; type: string } | null
}

/** MaxMind's and DB-IP's `user_type`, IPinfo's `type`; of the rest nothing is known. */
const userTypes: Readonly<Record<string, NetworkType>> = {
  business: 'business',
  cafe: 'isp',
  cellular: 'mobile',
  college: 'education',
  consumer_privacy_network: 'cdn',
  content_delivery_network: 'cdn',
  dialup: 'isp',
  education: 'education',
  government: 'government',
  hosting: 'hosting',
  isp: 'isp',
  library: 'education',
  military: 'government',
  mobile: 'mobile',
  residential: 'isp',
  router: 'isp',
  school: 'education',
  search_engine_spider: 'hosting',
  traveler: 'isp',
}

const connectionTypes: Readonly<Record<string, NetworkType>> = {
  'Cable/DSL': 'isp',
  Cellular: 'mobile',
  Corporate: 'business',
  Dialup: 'isp',
  Satellite: 'isp',
}

const domainPattern = /^(?=.{1,253}$)[a-z0-9.-]+\.[a-z]{2,}$/i

function cleanDomain(domain: string | null): string | null {
  return domain !== null && domainPattern.test(domain) && !domain.endsWith('.arpa')
    ? domain.toLowerCase()
    : null
}

/**
 * The organisation that uses the addresses, when its name is that of a company: never the provider itself, and
 * never what may be the name of a person, which has several words and no legal form.
 */
function userOf(facts: NetworkFacts, said: NetworkType | null): Company {
  const { organization, isp, owner } = facts
  if (organization === null) return null
  const name = normaliseName(organization)
  const found = { name, domain: cleanDomain(facts.organizationDomain), source: 'database' }
  if (said === 'business') return { ...found, confidence: 'high' }
  const kind = typeOfName(name)
  if (kind !== null && kind !== 'business') return null
  const providers = [isp, owner].filter((other) => other !== null)
  // Whom nobody connects may be who connects the others.
  if (providers.length === 0) return isPlainlyCompany(organization) ? { ...found, confidence: 'low' } : null
  if (providers.some((provider) => firstWord(provider) === firstWord(organization))) return null
  if (looksLikeCompany(organization)) return { ...found, confidence: 'medium' }
  return isOneWord.test(name) && !providerPart.test(name) ? { ...found, confidence: 'low' } : null
}

const firstWord = (text: string): string => /^[^\s,.-]*/.exec(normaliseName(text).toLowerCase())![0]

/** Of several words and without a legal form it may be the name of a person. */
const isOneWord = /^[A-Z][A-Za-z0-9&-]{2,}$/

/** In one word those of which carriers' names are made are no words by themselves. */
const providerPart = /net|dsl|broad|mobil|inter|link|host|tel|com$|cel$|line|serv|isp|data|web|wifi|nap$/i

function typeSaidBy(facts: NetworkFacts): NetworkType | null {
  const said = userTypes[facts.userType ?? '']
  if (said !== undefined) return said
  if (facts.isHosting) return 'hosting'
  return facts.isMobile ? 'mobile' : null
}

/** As a whole word: Rochester is not Roche. */
function startsWith(name: string, start: string): boolean {
  return name.startsWith(start) && (start.endsWith(' ') || !/^[\p{L}\p{N}]/u.test(name.slice(start.length)))
}

/** The company that an autonomous system of its own belongs to. */
function ownerOf({ asn, owner, ownerDomain, ownerType, isLarge }: NetworkFacts): Company {
  const known = knownNetworks.get(asn ?? 0)
  if (known !== undefined) {
    const { name, domain, type } = known
    return type === 'business' ? { name, domain, confidence: 'high', source: 'table' } : null
  }
  if (owner === null) return null
  const names = [`${normaliseName(owner)} `, owner].map((name) => name.toLowerCase())
  const company = knownCompanies.find(({ start }) => names.some((name) => startsWith(name, start)))
  if (company) return { name: company.name, domain: company.domain, confidence: 'medium', source: 'name' }
  if (isLarge) return null
  if (ownerType === 'business') {
    const kind = typeOfName(normaliseName(owner))
    if (kind !== null && kind !== 'business') return null
    return {
      name: normaliseName(owner),
      domain: cleanDomain(ownerDomain),
      confidence: 'medium',
      source: 'database',
    }
  }
  if (!isPlainlyCompany(owner)) return null
  return { name: normaliseName(owner), domain: cleanDomain(ownerDomain), confidence: 'low', source: 'asn' }
}

type Judgement = { type: NetworkType | null; company: Company }

function judge({ isSpecial, facts, cloud, override }: NetworkEvidence): Judgement {
  // 0. What the operator says, of the own network too.
  if (override !== null) {
    const { company: name, domain } = override
    const company = { name, domain: domain === '' ? null : domain, confidence: 'high', source: 'overrides' }
    const type = isSpecial ? 'private' : (override.type as NetworkType)
    return { type, company: name !== '' && override.type === 'business' ? company : null }
  }
  // 1. Addresses that are not on the internet. 2. The ranges that clouds publish.
  if (isSpecial) return { type: 'private', company: null }
  if (cloud !== null) return { type: cloud.use === 'cdn' ? 'cdn' : 'hosting', company: null }
  // 3. The table, which 4. a database of companies overrules.
  const known = knownNetworks.get(facts.asn ?? 0)?.type ?? null
  const said = typeSaidBy(facts)
  const user = said === null || said === 'business' ? userOf(facts, said) : null
  if (user !== null) return { type: 'business', company: user }
  // What owns a network may connect others: it counts after what is said of these.
  const told = said ?? userTypes[facts.ownerType ?? ''] ?? null
  if (told === 'business') return { type: told, company: ownerOf(facts) }
  if (told !== null) return { type: told, company: null }
  const line = connectionTypes[facts.connectionType ?? ''] ?? null
  // How somebody is connected says more than the name of who connects them, and less than that it is a school.
  if (line !== null && (known === null || known === 'isp' || known === 'mobile'))
    return { type: line, company: null }
  if (known !== null) return { type: known, company: known === 'business' ? ownerOf(facts) : null }
  // 5. to 8.: the name, the size, and what is left.
  if (facts.owner === null) return { type: null, company: null }
  const company = ownerOf(facts)
  const named = typeOfName(normaliseName(facts.owner))
  // A known company may sell communications; what teaches is named after one.
  if (company?.source === 'name' && named !== 'education') return { type: 'business', company }
  if (named !== null && named !== 'business') return { type: named, company: null }
  if (facts.isLarge) return { type: 'isp', company: null }
  return { type: 'business', company }
}

export function classifyNetwork(evidence: NetworkEvidence): NetworkFinding {
  const { facts, cloud } = evidence
  const { type, company } = judge(evidence)
  const owner = facts.owner ?? facts.isp
  return {
    network: {
      asn: facts.asn,
      organization: knownNetworks.get(facts.asn ?? 0)?.name ?? (owner === null ? null : normaliseName(owner)),
      type,
      cloud_provider: cloud === null ? null : cloud.provider,
      cloud_region: cloud === null || cloud.region === '' ? null : cloud.region,
    },
    company,
    isCi: cloud?.use === 'ci',
  }
}

const noFacts: NetworkFacts = {
  asn: null,
  owner: null,
  ownerDomain: null,
  organization: null,
  organizationDomain: null,
  isp: null,
  userType: null,
  ownerType: null,
  connectionType: null,
  isMobile: false,
  isHosting: false,
  isLarge: false,
}

/** Of several databases the first that knows each thing; a flag counts when any has it. */
export function mergeFacts(all: readonly NetworkFacts[]): NetworkFacts {
  const merged = { ...noFacts }
  for (const facts of all) {
    merged.asn ??= facts.asn
    merged.owner ??= facts.owner
    merged.ownerDomain ??= facts.ownerDomain
    merged.organization ??= facts.organization
    merged.organizationDomain ??= facts.organizationDomain
    merged.isp ??= facts.isp
    merged.userType ??= facts.userType
    merged.ownerType ??= facts.ownerType
    merged.connectionType ??= facts.connectionType
    merged.isMobile ||= facts.isMobile
    merged.isHosting ||= facts.isHosting
    merged.isLarge ||= facts.isLarge
  }
  return merged
}
