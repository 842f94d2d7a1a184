/** The columns of CSV, its quoting, and cells that must not become formulas. */
import { expect, test } from 'vitest'
import { barePackageEvent, hexId, samplePackageEvent, sha256 } from '../../test/support/sample-events.ts'
import { csvHeader, toCell, toCsvLine } from './csv.ts'

/** A plain reader of RFC 4180 for one line. */
function parseLine(line: string): string[] {
  const cells: string[] = []
  let at = 0
  for (;;) {
    let cell = ''
    if (line[at] === '"') {
      for (at++; ; at++) {
        if (line[at] !== '"') cell += line[at]
        else if (line[at + 1] === '"') cell += line[at++]
        else break
      }
      at++
    } else {
      while (at < line.length && line[at] !== ',') cell += line[at++]
    }
    cells.push(cell)
    if (at >= line.length) return cells
    expect(line[at++]).toBe(',')
  }
}

const toObject = (line: string) => {
  const names = csvHeader.split(',')
  const cells = parseLine(line)
  expect(cells).toHaveLength(names.length)
  return Object.fromEntries(names.map((name, at) => [name, cells[at]]))
}

test('the columns are the fields in order, nested names joined', () => {
  const names = csvHeader.split(',')
  expect(names.slice(0, 6)).toEqual(['schema', 'id', 'session_ids', 'session_method', 'type', 'kind'])
  expect(names.slice(-3)).toEqual(['privacy_key_epoch', 'privacy_key_scope', 'node'])
  expect(names).toContain('checks_first_at')
  expect(names).toContain('company_domain')
  expect(names).toContain('counts_hub_pulls')
  expect(names).not.toContain('checks')
  expect(new Set(names).size).toBe(names.length)
})

test('an event keeps every value', () => {
  const event = samplePackageEvent(1, {
    client: { ...samplePackageEvent(1).client, version: '1.0, "x"\n2' },
    resumed: true,
  })
  expect(toObject(toCsvLine(event))).toMatchObject({
    id: hexId(1),
    session_ids: `${hexId(0x1001)} ${hexId(0x2001)}`,
    checks_count: '2',
    checks_digests: `${sha256(1)} ${sha256(4)}`,
    bytes_sent: '3421000',
    resumed: 'true',
    counts_dvp_action: 'pull_by_tag',
    client_version: '1.0, "x"\n2',
    company_name: 'Example Ltd',
    node: 'node-a',
  })
})

test('unknown is empty, nested objects that are null too', () => {
  expect(toObject(toCsvLine(barePackageEvent(1)))).toMatchObject({
    domain: '',
    checks_count: '',
    checks_digests: '',
    company_name: '',
    network_asn: '',
    resumed: 'false',
  })
})

test.each([
  ['=1+1', "'=1+1"],
  ['@SUM(A1)', "'@SUM(A1)"],
  ['+1', "'+1"],
  ['-cmd', "'-cmd"],
  ['\tx', "'\tx"],
  ['\r=x', '"\'\r=x"'],
  ['=HYPERLINK("x","y")', '"\'=HYPERLINK(""x"",""y"")"'],
  [-5, '-5'],
  ['a=b', 'a=b'],
])('%j becomes %j', (value, cell) => {
  expect(toCell(value)).toBe(cell)
})
