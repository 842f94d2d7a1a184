import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addressRange } from './address-range.ts'
import { broker, listenAddress, publicUrl, redirectHost, redisUrl } from './addresses.ts'
import { boolean, duration, integer, parseDuration, parseSize } from './kinds.ts'
import { settingsByKey } from './schema.ts'

test.each<[string, number | undefined]>([
  ['500ms', 500],
  ['2s', 2000],
  ['30m', 1_800_000],
  ['24h', 86_400_000],
  ['7d', 604_800_000],
  ['0s', 0],
  ['5', undefined],
  ['1.5h', undefined],
  ['-1s', undefined],
  ['1 s', undefined],
  ['1S', undefined],
  ['1h30m', undefined],
  ['', undefined],
])('duration %j', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})

test.each<[string, number | undefined]>([
  ['0', 0],
  ['4096', 4096],
  ['12B', 12],
  ['64KiB', 65_536],
  ['8MiB', 8_388_608],
  ['5GiB', 5_368_709_120],
  ['1TiB', 2 ** 40],
  ['64KB', undefined],
  ['64k', undefined],
  ['1e3', undefined],
  ['', undefined],
])('size %j', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes)
})

test.each<[string, boolean | undefined]>([
  ['on', true],
  ['off', false],
  ['true', true],
  ['False', false],
  ['yes', undefined],
  ['1', undefined],
])('switch %j', (text, value) => {
  expect(boolean.read(text)).toBe(value)
})

test('bounds belong to the range, and off only where it is offered', () => {
  const kind = duration({ from: '1s', to: '1m' })
  expect([kind.read('1s'), kind.read('60s'), kind.read('999ms'), kind.read('61s'), kind.read('off')]).toEqual(
    [1000, 60_000, undefined, undefined, undefined],
  )
  expect(duration({ from: '1s', to: '1m', off: true }).read('off')).toBe(0)
  expect([integer(1, 5).read('5'), integer(1, 5).read('6'), integer(1, 5).read('0x2')]).toEqual([
    5,
    undefined,
    undefined,
  ])
})

test.each<[string, object | undefined]>([
  ['127.0.0.1:8080', { host: '127.0.0.1', port: 8080 }],
  ['[::1]:0', { host: '::1', port: 0 }],
  ['LOCALHOST:65535', { host: 'localhost', port: 65_535 }],
  ['my_host-1.example.io:80', { host: 'my_host-1.example.io', port: 80 }],
  ['127.0.0.1', undefined],
  ['127.0.0.1:65536', undefined],
  ['127.0.0.256:80', undefined],
  ['1.2.3:80', undefined],
  ['::1:80', undefined],
  ['[127.0.0.1]:80', undefined],
  [':80', undefined],
  ['host:http', undefined],
  ['-host:80', undefined],
])('listener %j', (text, address) => {
  expect(listenAddress.read(text)).toEqual(address)
})

test('mistakes that people make with listeners get their own words', () => {
  expect(listenAddress.explain?.(':80')).toBe(
    'expected HOST:PORT; for every address write 0.0.0.0:80 or [::]:80',
  )
  expect(listenAddress.explain?.('::1:80')).toBe('expected an IPv6 address in brackets, like [::1]:80')
})

test.each<[{ read(text: string): unknown }, string, boolean]>([
  [broker, 'kafka:9092', true],
  [broker, 'kafka:0', false],
  [broker, '[::1]:9092', false],
  [broker, 'kafka', false],
  [publicUrl, 'https://cr.example.io:8443/', true],
  [publicUrl, 'https://cr.example.io/x', false],
  [publicUrl, 'cr.example.io', false],
  [redisUrl, 'redis://:p%40@h:6379/15', true],
  [redisUrl, 'redis://h?family=6', false],
  [redisUrl, 'redis://:p%zz@h', false],
  [redisUrl, 'redis://h/x', false],
  [redisUrl, 'redis:///1', false],
  [redisUrl, 'http://h', false],
  [addressRange, '::/0', true],
  [addressRange, '10.0.0.0/33', false],
  [addressRange, '10.0.0/8', false],
  [addressRange, 'localhost', false],
  [redirectHost, '*.example.io', true],
  [redirectHost, '*', false],
  [redirectHost, 'a.*.io', false],
  [redirectHost, 'example.io:443', false],
  [redirectHost, 'https://example.io', false],
])('%# reads %j: %s', (kind, text, isOne) => {
  expect(kind.read(text) !== undefined).toBe(isOne)
})

test('every default is a value of its own kind', () => {
  for (const [key, { kind, default: text }] of settingsByKey) {
    if (text !== undefined) expect(kind.read(text), key).toBeDefined()
  }
})

test('every flag has a variable of its own', () => {
  const flags = [...settingsByKey.values()].flatMap(({ flag }) => flag ?? [])
  const variables = [...settingsByKey.values()].flatMap(({ variable }) => variable ?? [])
  expect(new Set(flags).size).toBe(flags.length)
  expect(variables.length).toBe(flags.length)
  expect(new Set(variables).size).toBe(variables.length)
})

test('no kind throws, whatever the text', () => {
  const kinds = [...settingsByKey.values()].map(({ kind }) => kind)
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.webUrl(),
    fc.ipV6(),
    fc.string().map((s) => `https://${s}`),
  )
  fc.assert(
    fc.property(text, fc.constantFrom(...kinds), (given, kind) => {
      if (kind.read(given) === undefined) kind.explain?.(given)
    }),
    { seed: 7, numRuns: 3000 },
  )
})

test.each([
  ['192.0.2.1', '192.0.2.1/32'],
  ['203.0.113.77/24', '203.0.113.0/24'],
  ['10.255.1.2/9', '10.128.0.0/9'],
  ['198.51.100.1/0', '0.0.0.0/0'],
  ['2001:DB8::', '2001:db8::/128'],
  ['2001:db8:0:0:1::5/64', '2001:db8::/64'],
  ['2001:db8:ffff::/35', '2001:db8:e000::/35'],
  ['1:2:3:4:5:6:7:8/128', '1:2:3:4:5:6:7:8/128'],
  ['::ffff:203.0.113.77/120', '203.0.113.0/24'],
  ['::ffff:cb00:714d', '203.0.113.77/32'],
  ['::ffff:0:0/95', '::fffe:0:0/95'],
  ['::/0', '::/0'],
])('the range %s is %s', (text, range) => {
  expect(addressRange.read(text)).toBe(range)
})
