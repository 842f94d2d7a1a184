/**
 * The operator's own list of who is behind which range: CSV of `range,company,domain,type`, the last two
 * optional; a first line of these names and lines with `#` are left out.
 */
import { parseAddress } from './address.ts'
import { type NetworkType, networkTypes } from './networks.ts'
import { buildFromCidrs, type Cidr, parseCidr } from './range-builder.ts'

type Override = { company: string; domain: string; type: NetworkType }

/** More would be a database. */
const maxLines = 1_000_000
const maxNameLength = 200
const maxProblems = 10
const domainPattern = /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,62}$/i

/** Fields of one line (RFC 4180, without line breaks inside quotes); null: a quote is not closed. */
function splitLine(line: string): string[] | null {
  const fields: string[] = []
  let rest = line
  for (;;) {
    const quoted = /^\s*"((?:[^"]|"")*)"\s*(,|$)/.exec(rest)
    const plain = quoted ? null : /^([^",]*)(,|$)/.exec(rest)
    const match = quoted ?? plain
    if (match === null) return null
    fields.push((match[1] ?? '').replaceAll('""', '"').trim())
    if (match[2] === '') return fields
    rest = rest.slice(match[0].length)
  }
}

function readLine(line: string): { cidr: Cidr; override: Override } | string {
  const fields = splitLine(line)
  if (fields === null) return 'a quote is not closed'
  const [range = '', company = '', domain = '', type = ''] = fields
  if (fields.length > 4) return `${fields.length} fields; expected range,company,domain,type`
  const cidr = parseCidr(range, parseAddress)
  if (cidr === null) {
    return `${JSON.stringify(range.slice(0, 60))}: expected a range like 203.0.113.0/24 or 2001:db8::/32`
  }
  const known = networkTypes.find((one) => one === type)
  if (type !== '' && known === undefined) {
    return `${JSON.stringify(type.slice(0, 60))}: expected a type of ${networkTypes.join(', ')}`
  }
  if (company === '' && known === undefined) return 'says neither a company nor a type'
  if (company.length > maxNameLength || /\p{Cc}/u.test(company)) return 'no name of a company'
  if (domain !== '' && !domainPattern.test(domain)) {
    return `${JSON.stringify(domain.slice(0, 60))}: expected a domain like example.com`
  }
  return { cidr, override: { company, domain: domain.toLowerCase(), type: known ?? 'business' } }
}

/** The table's bytes, or a line for each problem. `builtMs`: when the file was changed. */
export function compileOverrides(
  text: string,
  builtMs: number | null,
): { bytes: Uint8Array } | { problems: string[] } {
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/)
  if (lines.length > maxLines) return { problems: [`more than ${maxLines} lines`] }
  const problems: string[] = []
  const places = new Map<string, number>()
  const entries: { cidr: Cidr; text: string }[] = []
  for (const [index, line] of lines.entries()) {
    if (line.trim() === '' || line.trimStart().startsWith('#')) continue
    if (entries.length === 0 && /^\s*"?range"?\s*,/i.test(line)) continue
    const found = readLine(line)
    if (typeof found === 'string') {
      problems.push(`line ${index + 1}: ${found}`)
      continue
    }
    const { cidr, override } = found
    const place = `${cidr.family} ${cidr.start} ${cidr.bits}`
    const before = places.get(place)
    if (before !== undefined) problems.push(`line ${index + 1}: the same range as line ${before}`)
    places.set(place, index + 1)
    entries.push({ cidr, text: [override.company, override.domain, override.type].join('\t') })
  }
  if (problems.length > maxProblems) {
    const more = problems.length - maxProblems
    return { problems: [...problems.slice(0, maxProblems), `and ${more} lines more`] }
  }
  if (problems.length > 0) return { problems }
  return { bytes: buildFromCidrs({ kind: 'override', builtMs, source: 'overrides' }, entries) }
}
