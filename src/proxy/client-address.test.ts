import { isIP } from 'node:net'
import { expect, test } from 'vitest'
import {
  canonicalAddress,
  clientAddress,
  createTrustedProxies,
  isPrivateAddress,
  parseAddress,
} from './client-address.ts'

function hex(address: Uint8Array | null): string | null {
  return address && Buffer.from(address).toString('hex')
}

const addresses: [text: string, hex: string | null][] = [
  ['192.0.2.1', '00000000000000000000ffffc0000201'],
  ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
  ['::ffff:c000:201', '00000000000000000000ffffc0000201'],
  ['2001:db8::1', '20010db8000000000000000000000001'],
  ['2001:0DB8:0:0:0:0:0:1', '20010db8000000000000000000000001'],
  ['::', '00000000000000000000000000000000'],
  ['1::', '00010000000000000000000000000000'],
  ['192.0.2', null],
  ['192.0.2.256', null],
  ['192.0.2.01', null],
  ['0xc0.0.2.1', null],
  ['2001:db8::1::2', null],
  ['2001:db8:1', null],
  ['1:2:3:4:5:6:7:8:9', null],
  ['fe80::1%eth0', null],
  ['', null],
  ['unknown', null],
]

test.each(addresses)('%s', (text, expected) => {
  expect(hex(parseAddress(text))).toBe(expected)
})

test('agrees with node about what an address is', () => {
  let seed = 7
  const random = (n: number) => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    return seed % n
  }
  const alphabet = '0123456789abcdef:::...'
  for (let round = 0; round < 20_000; round++) {
    let text = ''
    for (let length = random(14) + 1; length > 0; length--) text += alphabet[random(alphabet.length)]
    expect([text, parseAddress(text) !== null]).toEqual([text, isIP(text) !== 0])
  }
})

test('one client has one form on any listener', () => {
  const v4 = canonicalAddress(new Uint8Array([192, 0, 2, 1]).buffer)
  const mapped = canonicalAddress(
    new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1]).buffer,
  )
  expect(hex(v4)).toBe(hex(mapped))
})

const trusted = createTrustedProxies(['10.0.0.0/8', '2001:db8:ffff::/48', '192.0.2.200'])
const forwarded: [peer: string, header: string, client: string][] = [
  ['203.0.113.9', '198.51.100.1', '203.0.113.9'],
  ['10.1.2.3', '', '10.1.2.3'],
  ['10.1.2.3', '198.51.100.1', '198.51.100.1'],
  ['10.1.2.3', '1.1.1.1, 198.51.100.1, 10.9.9.9', '198.51.100.1'],
  ['10.1.2.3', '198.51.100.1, 203.0.113.7', '203.0.113.7'],
  ['10.1.2.3', '198.51.100.1:4711', '198.51.100.1'],
  ['10.1.2.3', '[2001:db8::5]:4711', '2001:db8::5'],
  ['10.1.2.3', '2001:db8::5', '2001:db8::5'],
  ['10.1.2.3', 'garbage, 10.0.0.7', '10.0.0.7'],
  ['10.1.2.3', '10.0.0.7,10.0.0.8', '10.0.0.7'],
  ['2001:db8:ffff::1', '198.51.100.1', '198.51.100.1'],
  ['192.0.2.200', '198.51.100.1', '198.51.100.1'],
  ['192.0.2.201', '198.51.100.1', '192.0.2.201'],
]

test.each(forwarded)('peer %s, "%s": %s', (peer, header, client) => {
  const found = clientAddress(parseAddress(peer) as Uint8Array, header, trusted)
  expect(hex(found)).toBe(hex(parseAddress(client)))
})

test.each([
  ['127.0.0.1', true],
  ['10.0.0.1', true],
  ['169.254.169.254', true],
  ['::1', true],
  ['fd00::1', true],
  ['198.51.100.1', false],
  ['2001:db8::1', false],
])('%s private: %s', (text, expected) => {
  expect(isPrivateAddress(parseAddress(text) as Uint8Array)).toBe(expected)
})
