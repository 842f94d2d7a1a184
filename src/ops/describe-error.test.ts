import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { describeError, scrub } from './describe-error.ts'

test.each([
  ['connect ECONNREFUSED 192.0.2.7:6379', 'connect ECONNREFUSED [address]:6379'],
  ['connect ECONNREFUSED 2001:db8::7:6379', 'connect ECONNREFUSED [address]'],
  ['from [2001:db8::7]:443 to 198.51.100.2', 'from [address]:443 to [address]'],
  ['peer ::ffff:203.0.113.9 left', 'peer [address] left'],
  ['peer ::ffff:cb00:7109 left', 'peer [address] left'],
  ['peer 2001:db8:1:2:3:4:5:6 left', 'peer [address] left'],
  ['peer 2001:DB8:1:2:3:4:5:6:443 left', 'peer [address] left'],
  ['peer fe80::1%eth0 left', 'peer [address] left'],
  ['ec2-203-0-113-9.compute.example', 'ec2-[address].compute.example'],
  ['redis://user:hunter2@cache.example:6379', 'redis://cache.example:6379'],
  ['GET https://cdn.example/x?X-Amz-Signature=abc&y=1 failed', 'GET https://cdn.example/x?… failed'],
  ['Authorization: Bearer abc.def-ghi_j', 'Authorization: Bearer …'],
  ['password=hunter2 refused', 'password=… refused'],
  ['jwt eyJhbGciOi.eyJzdWIiOiIx.c2lnbmF0dXJl', 'jwt …'],
  ['sha256:0123abcd of library/alpine:3.20', 'sha256:0123abcd of library/alpine:3.20'],
  ['upstream registry.example:443 gave 502', 'upstream registry.example:443 gave 502'],
])('scrub %s', (text, expected) => {
  expect(scrub(text)).toBe(expected)
})

test('an error is said by its code, without its address, and so is its cause', () => {
  const cause = Object.assign(new Error('connect ECONNREFUSED 192.0.2.7:443'), { code: 'ECONNREFUSED' })
  expect(describeError(new TypeError('fetch failed', { cause }))).toBe(
    'TypeError: fetch failed < ECONNREFUSED: connect ECONNREFUSED [address]:443',
  )
  expect(describeError(new AggregateError([cause]))).toContain('ECONNREFUSED')
})

test('anything that can be thrown has a bounded description', () => {
  const circle = new Error('circle')
  circle.cause = circle
  for (const thrown of [
    undefined,
    null,
    7,
    '192.0.2.1',
    {},
    circle,
    new Error('9'.repeat(1e6)),
    new Error(''),
  ]) {
    const said = describeError(thrown)
    expect(said.length).toBeGreaterThan(0)
    expect(said.length).toBeLessThan(500)
    expect(said).not.toContain('192.0.2.1')
  }
})

test('an address cut at the bound does not slip through', () => {
  for (let length = 380; length < 402; length += 1) {
    expect(scrub(`${'x'.repeat(length)} 192.0.2.177`)).not.toMatch(/192\.0/)
  }
})

test('the error of a real socket loses the address that it holds', async () => {
  const error = await new Promise<Error>((resolve) => {
    connect({ host: '127.0.0.1', port: 1 }).once('error', resolve)
  })
  expect(error.message).toContain('127.0.0.1')
  expect(describeError(error)).toBe('ECONNREFUSED: connect ECONNREFUSED [address]:1')
})
