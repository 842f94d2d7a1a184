import { expect, test } from 'vitest'
import { createRandom } from '../../test/support/random.ts'
import { isSpecialUse, parseAddress } from './address.ts'
import { buildFromCidrs, createTableBuilder, parseCidr, shareBytes } from './range-builder.ts'
import { openTable, type RangeTable } from './range-table.ts'

const meta = { kind: 'test', builtMs: 1000, source: 'test' }

function open(bytes: Uint8Array): RangeTable {
  const table = openTable(shareBytes(bytes), true)
  if ('error' in table) throw new Error(table.error)
  return table
}

const hex = (address: Uint8Array) => BigInt(`0x${Buffer.from(address).toString('hex')}`)
const bytesOf = (value: bigint) => Uint8Array.from(Buffer.from(value.toString(16).padStart(32, '0'), 'hex'))

test.each([1, 2, 3, 4])(
  'seed %i: any CIDRs, the narrowest counts, as a search through all of them says',
  (seed) => {
    const { next: random } = createRandom(seed)
    const entries = Array.from({ length: 6000 }, (_, number) => {
      const isFour = random() < 0.5
      const bits = isFour ? 8 + Math.floor(random() * 25) : 16 + Math.floor(random() * 49)
      const width = isFour ? 32 : 64
      const base = isFour ? 0n : 0x2001n << 48n
      let start = base | (BigInt(Math.floor(random() * 2 ** 32)) << (isFour ? 0n : 16n))
      start = (start >> BigInt(width - bits)) << BigInt(width - bits)
      return { cidr: { family: isFour ? 4 : 6, start, bits } as const, text: `row ${number}` }
    })
    const table = open(buildFromCidrs(meta, entries))
    const twin = (family: 4 | 6, key: bigint): string => {
      const width = family === 4 ? 32 : 64
      let best = -1
      let text = ''
      for (const { cidr, text: own } of entries) {
        const shift = BigInt(width - cidr.bits)
        if (cidr.family === family && key >> shift === cidr.start >> shift && cidr.bits >= best) {
          best = cidr.bits
          text = own
        }
      }
      return text
    }
    for (let i = 0; i < 400; i++) {
      const { cidr } = entries[Math.floor(random() * entries.length)]!
      const nudge = BigInt(Math.floor(random() * 600)) - 300n
      const top = cidr.family === 4 ? (1n << 32n) - 1n : (1n << 64n) - 1n
      const key = cidr.start + nudge < 0n ? 0n : cidr.start + nudge > top ? top : cidr.start + nudge
      const address = cidr.family === 4 ? bytesOf((0xffffn << 32n) | key) : bytesOf((key << 64n) | 7n)
      expect(table.row(table.find(address))[0], `${cidr.family} ${key}`).toBe(twin(cidr.family, key))
    }
  },
)

test('sorted ranges: what lies between them is nothing, and neighbours with one row are one', () => {
  const builder = createTableBuilder(meta, 48)
  const row = builder.rowOf('GB\tEngland\tLondon')
  builder.addIpv4(0x51024500, 0x51024600, row)
  builder.addIpv4(0x51024600, 0x51024700, builder.rowOf('GB\tEngland\tLondon'))
  builder.addIpv4(0x51024800, 2 ** 32, builder.rowOf('SE'))
  const start = 0x2001_0218n << 32n
  builder.addIpv6(start, start + (1n << 8n), builder.rowOf('DE'))
  builder.addIpv6(start + (1n << 8n), start + (1n << 12n), builder.rowOf('JP'))
  builder.addIpv6(start + (1n << 16n), start + (1n << 20n), builder.rowOf('FR'))
  const table = open(builder.encode())
  const at = (text: string) => table.row(table.find(parseAddress(text)!))[0]
  expect([at('81.2.69.160'), at('81.2.70.1'), at('81.2.71.1'), at('81.2.72.1')]).toEqual([
    'GB',
    'GB',
    '',
    'SE',
  ])
  expect([at('81.2.68.255'), at('0.0.0.0'), at('255.255.255.255')]).toEqual(['', '', 'SE'])
  // Of several within a /48 the widest.
  expect([at('2001:218::1'), at('2001:218:1::1'), at('2001:218:10::1')]).toEqual(['JP', 'FR', ''])
  expect([at('2001:217:ffff::'), at('::'), at('ffff::')]).toEqual(['', '', ''])
  expect(table.ranges).toBe(3 + 3)
})

test('a table that was cut or changed is refused', () => {
  const bytes = buildFromCidrs(meta, [{ cidr: { family: 4, start: 0n, bits: 8 }, text: 'x' }])
  expect(openTable(shareBytes(bytes.slice(0, -4)), true)).toHaveProperty('error')
  const changed = bytes.slice()
  changed[60]! ^= 1
  expect(openTable(shareBytes(changed), true)).toHaveProperty('error')
  expect(openTable(new SharedArrayBuffer(3))).toHaveProperty('error')
})

test.each([
  ['203.0.113.0/24', { family: 4, start: 0xcb007100n, bits: 24 }],
  ['203.0.113.7', { family: 4, start: 0xcb007107n, bits: 32 }],
  ['2001:db8::/32', { family: 6, start: 0x20010db8n << 32n, bits: 32 }],
  ['2001:db8::1/128', { family: 6, start: 0x20010db8n << 32n, bits: 64 }],
  ['203.0.113.1/24', null],
  ['203.0.113.0/33', null],
  ['203.0.113.0/', null],
  ['203.0.113.0/2a', null],
  ['example', null],
])('the range %s', (text, expected) => {
  expect(parseCidr(text, parseAddress)).toEqual(expected)
})

test.each([
  ['81.2.69.160', '::ffff:81.2.69.160'],
  ['2001:218::1', '2001:0218:0:0:0:0:0:1'],
  ['::', '0:0:0:0:0:0:0:0'],
  ['1::', '1:0:0:0:0:0:0:0'],
])('%s and %s are one address', (short, long) => {
  expect(hex(parseAddress(short)!)).toBe(hex(parseAddress(long)!))
})

test.each([
  '81.2.69.160.evil',
  '0x51.2.69.160',
  '081.002.069.173',
  '81.2.69',
  '81.2.69.999',
  '81.2.69.160:443',
])('%s is no address, though readers of databases answer it', (text) => expect(parseAddress(text)).toBeNull())

test.each(['undefined', '', 'fe80::1%eth0', '1:2:3', ':::', '1::2::3'])('%s is no address', (text) => {
  expect(parseAddress(text)).toBeNull()
})

test('an IPv4 address in its mapped form is special where the address is', () => {
  expect(isSpecialUse(parseAddress('::ffff:10.0.0.1')!)).toBe(true)
  expect(isSpecialUse(parseAddress('::ffff:81.2.69.160')!)).toBe(false)
})
