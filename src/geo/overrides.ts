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

/** `column`: where it begins, from 1. */
type Field = { text: string; column: number }
type Problem = { column: number; problem: string }

/** Fields of one line (RFC 4180, without line breaks inside quotes). */
function splitLine(line: string): Field[] | Problem {
  const fields: Field[] = []
  for (let at = 0; ; ) {
    const rest = line.slice(at)
    const column = at + 1 + /^\s*/.exec(rest)![0].length
    const match = /^\s*"((?:[^"]|"")*)"\s*(,|$)/.exec(rest) ?? /^([^",]*)(,|$)/.exec(rest)
    if (match === null) return { column, problem: 'a quote that is not closed, or stands within a field' }
    fields.push({ text: (match[1] ?? '').replaceAll('""', '"').trim(), column })
    if (match[2] === '') return fields
    at += match[0].length
  }
}

function readLine(line: string): { cidr: Cidr; override: Override } | Problem {
  const fields = splitLine(line)
  if (!Array.isArray(fields)) return fields
  const [range, company, domain, type, more] = fields
  const wrong = (field: Field | undefined, expected: string): Problem => ({
    column: field?.column ?? line.length + 1,
    problem: `${JSON.stringify(field?.text.slice(0, 60) ?? '')}: expected ${expected}`,
  })
  if (more !== undefined) {
    return { column: more.column, problem: `${fields.length} fields; expected range,company,domain,type` }
  }
  const cidr = parseCidr(range?.text ?? '', parseAddress)
  if (cidr === null) return wrong(range, 'a range like 203.0.113.0/24 or 2001:db8::/32')
  const known = networkTypes.find((one) => one === type?.text)
  if (type !== undefined && type.text !== '' && known === undefined) {
    return wrong(type, `a type of ${networkTypes.join(', ')}`)
  }
  const name = company?.text ?? ''
  if (name === '' && known === undefined) return wrong(company, 'a company, or a type in the fourth field')
  if (name.length > maxNameLength || /\p{Cc}/u.test(name)) {
    return wrong(company, `a name of at most ${maxNameLength} characters`)
  }
  const host = domain?.text ?? ''
  if (host !== '' && !domainPattern.test(host)) return wrong(domain, 'a domain like example.com')
  return { cidr, override: { company: name, domain: host.toLowerCase(), type: known ?? 'business' } }
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
    if ('problem' in found) {
      problems.push(`line ${index + 1}, column ${found.column}: ${found.problem}`)
      continue
    }
    const { cidr, override } = found
    const place = `${cidr.family} ${cidr.start} ${cidr.bits}`
    const before = places.get(place)
    if (before !== undefined) problems.push(`line ${index + 1}, column 1: the same range as line ${before}`)
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
