import { expect, test } from 'vitest'
import { emptyFields, nominatedBy, passDown, passesUpstream } from './headers.ts'

/** As undici hands them: names and values as views of what was read from the socket. */
function rawOf(text: string): Buffer[] {
  const bytes = Buffer.from(text, 'latin1')
  const raw: Buffer[] = []
  let start = 0
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':')
    const valueStart = start + colon + 1 + (/^ */.exec(line.slice(colon + 1))?.[0].length ?? 0)
    if (line !== '')
      raw.push(bytes.subarray(start, start + colon), bytes.subarray(valueStart, start + line.length))
    start += line.length + 2
  }
  return raw
}

const pass = (raw: Buffer[]) => passDown(raw, emptyFields())?.toString('latin1')

test.each([
  ['A: 1\r\nB: 2', '1.1 waybill\r\nA: 1\r\nB: 2'],
  ['A: 1\r\nDate: now\r\nB: 2', '1.1 waybill\r\nA: 1\r\nB: 2'],
  ['Date: now\r\nA: 1', '1.1 waybill\r\nA: 1'],
  ['A: 1\r\nSet-Cookie: x\r\nContent-Length: 5\r\nB: 2\r\nC: 3', '1.1 waybill\r\nA: 1\r\nB: 2\r\nC: 3'],
  ['A: 1\r\nConnection: B, close\r\nB: 2\r\nC: 3', '1.1 waybill\r\nA: 1\r\nC: 3'],
  ['Connection: B\r\nb: 2', '1.1 waybill'],
  ['A:\r\nB:2\r\nC:   3', '1.1 waybill\r\nA: \r\nB: 2\r\nC: 3'],
  ['A: caf\xe9\r\nA: two', '1.1 waybill\r\nA: caf\xe9\r\nA: two'],
  ['', '1.1 waybill'],
])('%j becomes %j', (text, block) => {
  expect(pass(rawOf(text))).toBe(block)
})

test('lines that lie apart in memory are joined by a colon and a blank', () => {
  const raw = ['X-One', '1', 'Date', 'now', 'X-Two', '2'].map((part) => Buffer.from(part))
  expect(pass(raw)).toBe('1.1 waybill\r\nX-One: 1\r\nX-Two: 2')
})

test('what passes is the same however it lies in memory', () => {
  let seed = 11
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    return seed % below
  }
  const names = [
    'A',
    'Date',
    'X-Long-Name',
    'Content-Type',
    'Connection',
    'set-cookie',
    'Via',
    'ETag',
    'X-Up',
  ]
  const values = ['1', 'X-Up', 'close', 'keep-alive', 'some longer value', '"quoted"']
  for (let round = 0; round < 2000; round++) {
    const lines = Array.from({ length: random(8) }, () => [names[random(9)], values[random(6)]] as const)
    const together = rawOf(lines.map(([name, value]) => `${name}: ${value}`).join('\r\n'))
    const apart = lines.flat().map((part) => Buffer.from(new TextEncoder().encode(part).buffer))
    expect(pass(together)).toBe(pass(apart))
  }
})

test('a head that cannot be held is refused', () => {
  expect(pass(rawOf(`A: ${'x'.repeat(70_000)}`))).toBeUndefined()
})

test.each([
  ['accept', true],
  ['range', true],
  ['x-unknown', true],
  ['traceparent', true],
  ['host', false],
  ['authorization', false],
  ['cookie', false],
  ['connection', false],
  ['te', false],
  ['x-forwarded-for', false],
  ['x-forwarded-anything', false],
  ...[
    'x-original-forwarded-for forwarded x-vercel-forwarded-for x-real-ip x-client-ip x-cluster-client-ip x-remote-ip',
    'x-remote-addr remote-addr x-originating-ip x-azure-clientip x-azure-socketip x-appengine-user-ip',
    'cf-connecting-ip cf-connecting-ipv6 cf-pseudo-ipv4 cf-ipcountry true-client-ip fastly-client-ip fly-client-ip',
    'wl-proxy-client-ip x-envoy-external-address cloudfront-viewer-address cloudfront-viewer-city do-connecting-ip',
    'incap-client-ip x-sucuri-clientip ali-cdn-real-ip x-nf-client-connection-ip x-vercel-ip-city x-appengine-city',
  ].flatMap((names) => names.split(' ').map((name): [string, boolean] => [name, false])),
  ['x-zip', true],
  ['accept-encoding', true],
  ['x-docker-payload-description', true],
  ['forwarded', false],
  ['cf-connecting-ip', false],
  ['true-client-ip', false],
])('request header %s goes upstream: %s', (name, expected) => {
  expect(passesUpstream(name)).toBe(expected)
})

test.each([
  ['', []],
  ['close', []],
  ['keep-alive, X-A ,x-b', ['x-a', 'x-b']],
  ['Host', null],
  ['close, Range', null],
])('Connection "%s" nominates %j', (connection, expected) => {
  expect(nominatedBy(connection)).toEqual(expected)
})
