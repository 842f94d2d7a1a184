import { expect, test } from 'vitest'
import { parseAddress } from './client-address.ts'
import { type ProxyHeader, readProxyHeader } from './proxy-protocol.ts'

const signature = '0d0a0d0a000d0a515549540a'
const text = (line: string): Buffer => Buffer.from(line, 'latin1')
const binary = (rest: string): Buffer => Buffer.from(signature + rest.replaceAll(' ', ''), 'hex')
const ipv4 = 'c0000207 7f000001 3039 0050'
const ipv6 = '20010db8000000000000000000000007 00000000000000000000000000000001 3039 0050'
const mapped = '00000000000000000000ffffc0000207 00000000000000000000ffff7f000001 3039 0050'

function whole(length: number, address: string | null, encrypted: boolean | null = null): ProxyHeader {
  return { state: 'whole', length, address: address === null ? null : parseAddress(address), encrypted }
}

const headers: [string, Buffer, ProxyHeader][] = [
  ['a line for IPv4', text('PROXY TCP4 192.0.2.7 127.0.0.1 1 80\r\n'), whole(37, '192.0.2.7')],
  ['a line for IPv6', text('PROXY TCP6 2001:db8::7 ::1 1 80\r\n'), whole(33, '2001:db8::7')],
  ['a mapped address', text('PROXY TCP6 ::ffff:192.0.2.7 ::1 1 80\r\n'), whole(38, '192.0.2.7')],
  ['a line that names nobody', text('PROXY UNKNOWN\r\n'), whole(15, null)],
  ['one with words after', text('PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n'), whole(35, null)],
  ['binary for IPv4', binary(`2111 000c ${ipv4}`), whole(28, '192.0.2.7')],
  ['binary for IPv6', binary(`2121 0024 ${ipv6}`), whole(52, '2001:db8::7')],
  ['binary, mapped', binary(`2121 0024 ${mapped}`), whole(52, '192.0.2.7')],
  ['binary of the balancer itself', binary('2000 0000'), whole(16, null)],
  ['one with an address all the same', binary(`2011 000c ${ipv4}`), whole(28, null)],
  ['binary of a file socket', binary(`2131 00d8 ${'00'.repeat(216)}`), whole(232, null)],
  ['binary of no family', binary('2100 0000'), whole(16, null)],
  ['client came by TLS', binary(`2111 0014 ${ipv4} 20 0005 01 00000000`), whole(36, '192.0.2.7', true)],
  ['client came without', binary(`2111 0014 ${ipv4} 20 0005 00 00000000`), whole(36, '192.0.2.7', false)],
  [
    'a field before that',
    binary(`2111 0019 ${ipv4} 03 0002 abcd 20 0005 01 00000000`),
    whole(41, '192.0.2.7', true),
  ],
  ['a field longer than all', binary(`2111 000f ${ipv4} 20 ffff`), whole(31, '192.0.2.7')],
]

test.each(headers)(
  '%s is read, whatever follows it, and not before it is whole',
  (_name, bytes, expected) => {
    expect(readProxyHeader(bytes)).toEqual(expected)
    expect(readProxyHeader(Buffer.concat([bytes, text('GET / HTTP/1.1\r\n\r\n')]))).toEqual(expected)
    for (let length = 0; length < bytes.length; length++) {
      expect(readProxyHeader(bytes.subarray(0, length))).toEqual({ state: 'more' })
    }
  },
)

test.each([
  ['GET / HTTP/1.1\r\n', 'none'],
  ['POST / HTTP/1.1\r\n', 'none'],
  ['\x16\x03\x01\x02\x00', 'none'],
  ['\r\nGET / HTTP/1.1', 'none'],
  ['proxy TCP4 192.0.2.7 127.0.0.1 1 80\r\n', 'none'],
  ['P', 'more'],
  ['\r\n\r\n', 'more'],
  ['PROXY TCP4 192.0.2.7 127.0.0.1 1\r\n', 'bad'],
  ['PROXY TCP4 192.0.2.7 127.0.0.1 1 65536\r\n', 'bad'],
  ['PROXY TCP4 192.0.2.256 127.0.0.1 1 80\r\n', 'bad'],
  ['PROXY TCP4 192.0.2.07 127.0.0.1 1 80\r\n', 'bad'],
  ['PROXY TCP4 2001:db8::7 ::1 1 80\r\n', 'bad'],
  ['PROXY TCP6 192.0.2.7 127.0.0.1 1 80\r\n', 'bad'],
  ['PROXY TCP6 2001:db8:::7 ::1 1 80\r\n', 'bad'],
  ['PROXY  TCP4 192.0.2.7 127.0.0.1 1 80\r\n', 'bad'],
  ['PROXY TCP4 192.0.2.7 127.0.0.1 1 80\n', 'more'],
  ['PROXY UNKNOWNX\r\n', 'bad'],
  [`PROXY UNKNOWN ${'x'.repeat(100)}`, 'bad'],
])('%j: %s', (line, state) => {
  expect(readProxyHeader(text(line)).state).toBe(state)
})

test.each([
  ['another version', `1111 000c ${ipv4}`],
  ['an unknown command', `2211 000c ${ipv4}`],
  ['addresses that are too short', '2111 0004 c0000207'],
  ['more than any balancer says', '2111 ffff'],
])('binary with %s is refused', (_name, rest) => {
  expect(readProxyHeader(binary(rest))).toEqual({ state: 'bad' })
})
