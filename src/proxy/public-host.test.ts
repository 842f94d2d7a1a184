import { expect, test } from 'vitest'
import { isPublicHost } from './public-host.ts'

test.each([
  ['registry.example', true],
  ['192.0.2.1', true],
  ['10.1.2.3', false],
  ['[2001:db8::1]', true],
  ['[::1]', false],
  ['[::ffff:169.254.169.254]', false],
  // The way of a machine without IPv4 to one that has nothing else.
  ['[64:ff9b::192.0.2.1]', true],
  ['[64:ff9b::a9fe:a9fe]', false],
  ['[64:ff9b::10.1.2.3]', false],
  ['[64:ff9b:1::1]', false],
  ['[2002:c000:201::1]', true],
  ['[2002:a01:203::1]', false],
  ['[2002:7f00:1::]', false],
  ['[::127.0.0.1]', false],
])('%s may be asked: %s', (host, expected) => {
  expect(isPublicHost(host)).toBe(expected)
})
