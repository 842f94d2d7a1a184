import { expect, test } from 'vitest'
import { createRedirectHostList } from './redirect-host-list.ts'

test('hosts are listed once for each upstream, last seen first', () => {
  const list = createRedirectHostList(['quay.io', 'ghcr.io'])
  list.see(0, 'cdn01.quay.io', 3000)
  list.see(1, 'pkg.example.org', 2000)
  list.see(0, 'cdn01.quay.io', 1000)
  expect(list.describe()).toEqual([
    { host: 'cdn01.quay.io', upstream: 'quay.io', last_seen: '1970-01-01T00:00:03.000Z' },
    { host: 'pkg.example.org', upstream: 'ghcr.io', last_seen: '1970-01-01T00:00:02.000Z' },
  ])
})

test('names that are made up do not fill memory', () => {
  const list = createRedirectHostList(['quay.io'])
  for (let number = 0; number < 1000; number++) list.see(0, `h${number}.example.org`, number)
  expect(list.describe()).toHaveLength(128)
  expect(list.describe()[0]?.host).toBe('h999.example.org')
})
