/** The search for addresses finds one that leaked in any form, and nothing where none did. */
import { createHash, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { createAddressScan } from './support/address-scan.ts'

const ipv4 = '81.2.69.173'
const ipv6 = '2001:218:dead:beef:cafe:f00d:1234:5678'
const scan = createAddressScan([ipv4, ipv6])
const ipv4Bytes = Buffer.from([81, 2, 69, 173])
const mappedBytes = Buffer.from('00000000000000000000ffff510245ad', 'hex')
const ipv6Bytes = Buffer.from('20010218deadbeefcafef00d12345678', 'hex')

// Written out by hand, or by means that the search does not use.
const ipv4Leaks: Record<string, string | Buffer> = {
  'in a message': 'connect ECONNREFUSED 81.2.69.173:443',
  'its /24': '{"network":"81.2.69.0/24"}',
  'its /24 alone': 'from 81.2.69.x',
  reversed: '173.69.2.81.in-addr.arpa',
  dashes: 'host-81-2-69-173.example',
  'percent-encoded': 'client=81%2E2%2e69%2E173',
  padded: '081.002.069.173',
  octal: '0121.02.0105.0255',
  'dotted hex': '0x51.0x2.0x45.0xad',
  number: '{"ip":1359103405}',
  'little-endian number': '{"ip":2906980945}',
  'signed number': '-1387986351',
  hex: 'ip=510245AD',
  'hex number': '0x510245ad',
  'little-endian hex': 'ad450251',
  'JSON bytes': '{"type":"Buffer","data":[81,2,69,173]}',
  'util.inspect': 'Uint8Array(4) [ 81, 2, 69, 173 ]',
  'mapped text': '::ffff:81.2.69.173',
  'mapped groups': '::FFFF:5102:45AD',
  'mapped, expanded': '0000:0000:0000:0000:0000:ffff:5102:45ad',
  'mapped, percent-encoded': '%3A%3Affff%3A81.2.69.173',
  NAT64: '64:ff9b::5102:45ad',
  '6to4': '2002:5102:45ad::1',
  'mapped hex in the middle of hex': 'abcdef00000000000000000000ffff510245ad0102',
  'base64 of text': 'ODEuMi42OS4xNzM=',
  'base64 of text after one byte': 'eDgxLjIuNjkuMTcz',
  'base64 of text after two bytes': 'eHg4MS4yLjY5LjE3Mw==',
  'base64 of bytes': '"UQJFrQ=="',
  'base64 of mapped bytes': mappedBytes.toString('base64'),
  'base64 of mapped bytes after one byte': Buffer.concat([Buffer.from('x'), mappedBytes]).toString('base64'),
  'base64 of mapped bytes in a record': Buffer.concat([Buffer.from('xx'), mappedBytes, ipv4Bytes]).toString(
    'base64url',
  ),
  'hex of text': '38312e322e36392e313733',
  'UTF-16': Buffer.from('81.2.69.173', 'utf16le'),
  'mapped bytes': Buffer.concat([randomBytes(5), mappedBytes, randomBytes(5)]),
}

const ipv6Leaks: Record<string, string | Buffer> = {
  'in brackets': '[2001:218:dead:beef:cafe:f00d:1234:5678]:443',
  'upper case': '2001:218:DEAD:BEEF:CAFE:F00D:1234:5678',
  expanded: '2001:0218:dead:beef:cafe:f00d:1234:5678',
  '/64': '2001:218:dead:beef::/64',
  '/48': '2001:218:dead::',
  zone: '2001:218:dead:beef:cafe:f00d:1234:5678%eth0',
  'percent-encoded': '2001%3A218%3Adead%3Abeef%3Acafe%3Af00d%3A1234%3A5678',
  hex: '20010218deadbeefcafef00d12345678',
  'hex of the /64': '20010218deadbeef',
  number: '42540530697186668426398214096833238648',
  'ip6.arpa': '8.7.6.5.4.3.2.1.d.0.0.f.e.f.a.c.f.e.e.b.d.a.e.d.8.1.2.0.1.0.0.2.ip6.arpa',
  bytes: Buffer.concat([randomBytes(3), ipv6Bytes]),
  'bytes of the /64': ipv6Bytes.subarray(0, 8),
  'JSON bytes': JSON.stringify(ipv6Bytes),
  'base64 of bytes': ipv6Bytes.toString('base64'),
  'base64 of bytes after one': Buffer.concat([Buffer.from('x'), ipv6Bytes]).toString('base64'),
  'base64 of bytes after two': Buffer.concat([Buffer.from('xx'), ipv6Bytes]).toString('base64'),
  'base64 of text': Buffer.from(`client ${ipv6}`).toString('base64'),
}

test.each(Object.entries(ipv4Leaks))('finds IPv4: %s', (_name, leak) => {
  const hits = scan.find('evidence', Buffer.concat([Buffer.from('before '), Buffer.from(leak)]))
  expect(hits.map(({ address }) => address)).toContain(ipv4)
})

test.each(Object.entries(ipv6Leaks))('finds IPv6: %s', (_name, leak) => {
  const hits = scan.find('evidence', Buffer.concat([Buffer.from('before '), Buffer.from(leak)]))
  expect(hits.map(({ address }) => address)).toContain(ipv6)
})

const values = { ipv4, 'mapped text': `::ffff:${ipv4}`, ipv4Bytes, mappedBytes, ipv6, ipv6Bytes }
const cases = Object.entries(values).flatMap(([name, value]) =>
  ['md5', 'sha1', 'sha256', 'sha512'].map((algorithm) => ({ name, algorithm, value })),
)
test.each(cases)('finds $algorithm of $name: hex, base64, bytes, whole or cut', ({ algorithm, value }) => {
  const digest = createHash(algorithm).update(value).digest()
  const leaks = [
    digest.toString('hex'),
    digest.toString('hex').slice(0, 16).toUpperCase(),
    digest.toString('base64'),
    digest.subarray(0, 16).toString('base64url'),
    digest,
    digest.subarray(0, 8),
  ]
  for (const leak of leaks) expect(scan.find('evidence', leak), String(leak)).not.toEqual([])
})

test('finds nothing in noise, nor in other addresses', () => {
  const noise = randomBytes(2 * 1024 * 1024)
  const innocent = ['192.0.2.173', '181.2.69.173', '2001:db8:dead:beef::1', 'v81.2', '1359103405123']
  for (const evidence of [noise, noise.toString('hex'), noise.toString('base64'), innocent.join(' ')])
    expect(scan.find('noise', evidence)).toEqual([])
})

test('says where it was, which address, and how it was written', () => {
  expect(scan.find('the log', `{"msg":"from ${ipv4}"}`)).toContainEqual({
    ...{ where: 'the log', address: ipv4, form: 'text' },
    context: expect.stringContaining(`from ${ipv4}`),
  })
})
