import { expect, test } from 'vitest'
import { barePackageEvent, samplePackageEvent } from '../../test/support/sample-events.ts'
import { formatBytes, formatEventLine } from './event-line.ts'

test('one line with time, kind, image, platform, tool, country, bytes', () => {
  const event = samplePackageEvent(1, { fail_reason: null })
  expect(formatEventLine(event)).toBe(
    '2026-02-03T04:05:09.010Z  pull full           cr.example.io/team/app:1.2.3  linux/arm64/v8  docker 27.1.1  GB  3.42 MB',
  )
})

test('by digest, and the reason of a failure', () => {
  const event = samplePackageEvent(1, { tag: null, kind: 'failed', fail_reason: '404', bytes_sent: 0 })
  expect(formatEventLine(event)).toMatch(
    /pull failed {9}cr\.example\.io\/team\/app@sha256:000000000000 .* 0 B {2}404$/,
  )
})

test('unknown is a dash; a kind that says no more than the type is left out', () => {
  const line = formatEventLine({ ...barePackageEvent(1), type: 'check', kind: 'check' })
  expect(line).toMatch(/Z {2}check {15}team\/app {2}- {2}- {2}- {2}3\.42 MB$/)
})

test('nothing that a client says steers the terminal', () => {
  const client = { ...samplePackageEvent(1).client, tool: 'x\u001b[2J', version: '\n1\u009b' }
  const line = formatEventLine(samplePackageEvent(1, { repository: 'a\rb', client }))
  expect(line).toContain('a?b:1.2.3')
  expect(line).toContain('x?[2J ?1?')
  expect(line).toMatch(/^[\x20-\x7e]+$/)
})

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1 kB'],
  [999_499, '999 kB'],
  [999_500, '1 MB'],
  [3_421_000, '3.42 MB'],
  [5e12, '5 TB'],
  [5e18, '5000 PB'],
])('%d bytes: %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text)
})
