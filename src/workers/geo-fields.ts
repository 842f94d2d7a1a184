/**
 * Takes single values out of database records. Nothing about a record is trusted: damaged files answer with
 * wrong types, and one record is shared by all who look it up, so values are copied out and never changed.
 *
 * Shapes: MaxMind and DB-IP (`country.iso_code`, `subdivisions[0]`, `city.names.en`, `traits`), flat
 * (`country_code`, `state1`, `city`), IPinfo (`country_code`, or `country` as a code; `region`, `city`,
 * `asn: "AS64500"`, `as_name`, `name`, `domain`, `type`; in its files of networks `name`, `domain` and `type` are those
 * of the network's owner, and in those of companies `as_name`, `as_domain` and `as_type`).
 */

const maxTextLength = 256

function field(record: unknown, name: string | number): unknown {
  if (typeof record !== 'object' || record === null || !Object.hasOwn(record, name)) return undefined
  return (record as Record<string | number, unknown>)[name]
}

function text(value: unknown): string | null {
  if (typeof value !== 'string' || value === '' || value.length > maxTextLength) return null
  return value
}

function countryCode(value: unknown): string | null {
  return typeof value === 'string' && /^[A-Z]{2}$/.test(value) ? value : null
}

export function countryOf(record: unknown): string | null {
  const country = field(record, 'country')
  // IPinfo: `country_code` beside a `country` that is a name, or a `country` that is the code.
  return (
    countryCode(field(country, 'iso_code')) ??
    countryCode(field(record, 'country_code')) ??
    countryCode(country)
  )
}

/** ISO 3166-2 where the file has the code, else the region's name. */
export function regionOf(record: unknown, country: string | null): string | null {
  const subdivision = field(field(record, 'subdivisions'), 0)
  const code = field(subdivision, 'iso_code')
  if (country !== null && typeof code === 'string' && /^[A-Z0-9]{1,3}$/.test(code))
    return `${country}-${code}`
  return (
    text(field(field(subdivision, 'names'), 'en')) ??
    text(field(record, 'state1')) ??
    text(field(record, 'region'))
  )
}

export function cityOf(record: unknown): string | null {
  const city = field(record, 'city')
  const name = text(field(field(city, 'names'), 'en')) ?? text(city)
  // DB-IP puts the district in parentheses, in its nested files too: finer than a city, so it goes.
  return text(name?.replace(/ ?\(.*\)$/, ''))
}

/** What one record tells of a network and of who is behind it; a file tells some of it. */
export type NetworkFacts = {
  asn: number | null
  /** Whom the autonomous system is registered to, and the domain that goes with it. */
  owner: string | null
  ownerDomain: string | null
  /** Who uses the addresses, as databases of companies have it. */
  organization: string | null
  organizationDomain: string | null
  isp: string | null
  /** As the file says it: MaxMind's `user_type`, IPinfo's `type`; of who uses the addresses. */
  userType: string | null
  /** The same of whom the autonomous system is registered to. */
  ownerType: string | null
  connectionType: string | null
  isMobile: boolean
  isHosting: boolean
  /** Too many addresses to be a company's own. */
  isLarge: boolean
}

/** MaxMind has these at the top of ASN and ISP files, and under `traits` in Enterprise files and DB-IP's. */
function trait(record: unknown, name: string): unknown {
  return field(record, name) ?? field(field(record, 'traits'), name)
}

export function networkNumberOf(record: unknown): number | null {
  const ipinfo = field(record, 'asn')
  const number =
    typeof ipinfo === 'string' && /^AS\d{1,10}$/.test(ipinfo)
      ? Number(ipinfo.slice(2))
      : trait(record, 'autonomous_system_number')
  // RFC 6793: 32 bits; 0 is nobody's (RFC 7607).
  const valid = typeof number === 'number' && Number.isInteger(number) && number > 0 && number < 2 ** 32
  return valid ? number : null
}

export function networkOrganizationOf(record: unknown): string | null {
  return text(trait(record, 'autonomous_system_organization')) ?? text(field(record, 'as_name'))
}

const anonymizers = ['is_hosting_provider', 'is_anonymous_vpn', 'is_public_proxy', 'is_tor_exit_node']

export function networkFactsOf(record: unknown): NetworkFacts {
  const domain = text(field(record, 'domain'))
  // IPinfo's files of networks; a file of companies has a number too, and always the name that goes with it.
  const isOfOwner = typeof field(record, 'asn') === 'string' && field(record, 'as_name') === undefined
  const named = text(field(record, 'name'))
  const type = text(field(record, 'type'))
  const company = isOfOwner ? null : named
  return {
    asn: networkNumberOf(record),
    owner: networkOrganizationOf(record) ?? (isOfOwner ? named : null),
    ownerDomain: text(field(record, 'as_domain')) ?? (isOfOwner ? domain : null),
    organization: text(trait(record, 'organization')) ?? company,
    // A file of companies has their name beside the domain; MaxMind's `domain` is that of the reverse names.
    organizationDomain: company === null ? null : domain,
    isp: text(trait(record, 'isp')),
    userType: text(trait(record, 'user_type')) ?? (isOfOwner ? null : type),
    ownerType: text(field(record, 'as_type')) ?? (isOfOwner ? type : null),
    connectionType: text(trait(record, 'connection_type')),
    isMobile: text(trait(record, 'mobile_country_code')) !== null,
    isHosting: anonymizers.some((name) => trait(record, name) === true),
    isLarge: false,
  }
}
