/**
 * Takes single values out of database records. Nothing about a record is trusted: damaged files answer with
 * wrong types, and one record is shared by all who look it up, so values are copied out and never changed.
 *
 * Shapes: MaxMind (`country.iso_code`, `subdivisions[0]`, `city.names.en`), flat (`country_code`, `state1`,
 * `city`), IPinfo Lite (`country_code`, `asn: "AS64500"`, `as_name`).
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
  return (
    countryCode(field(field(record, 'country'), 'iso_code')) ?? countryCode(field(record, 'country_code'))
  )
}

/** ISO 3166-2 where the file has the code, else the region's name. */
export function regionOf(record: unknown, country: string | null): string | null {
  const subdivision = field(field(record, 'subdivisions'), 0)
  const code = field(subdivision, 'iso_code')
  if (country !== null && typeof code === 'string' && /^[A-Z0-9]{1,3}$/.test(code))
    return `${country}-${code}`
  return text(field(field(subdivision, 'names'), 'en')) ?? text(field(record, 'state1'))
}

export function cityOf(record: unknown): string | null {
  const city = field(record, 'city')
  // DB-IP puts the district in parentheses: finer than a city, so it goes.
  return text(field(field(city, 'names'), 'en')) ?? text(text(city)?.replace(/ ?\(.*\)$/, ''))
}

export function networkNumberOf(record: unknown): number | null {
  const ipinfo = field(record, 'asn')
  const number =
    typeof ipinfo === 'string' && /^AS\d{1,10}$/.test(ipinfo)
      ? Number(ipinfo.slice(2))
      : field(record, 'autonomous_system_number')
  // RFC 6793: 32 bits; 0 is nobody's (RFC 7607).
  const valid = typeof number === 'number' && Number.isInteger(number) && number > 0 && number < 2 ** 32
  return valid ? number : null
}

export function networkOrganizationOf(record: unknown): string | null {
  return text(field(record, 'autonomous_system_organization')) ?? text(field(record, 'as_name'))
}
