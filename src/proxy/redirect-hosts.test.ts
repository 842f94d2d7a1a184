import { expect, test } from 'vitest'
import { createRedirectHosts } from './redirect-hosts.ts'

test('a host is told of when it is new, then once a minute', () => {
  let nowMs = 1000
  const told: [number, string, number][] = []
  const hosts = createRedirectHosts({ report: (...of) => void told.push(of), now: () => nowMs })
  hosts.see(0, 'cdn.example.org')
  hosts.see(0, 'cdn.example.org')
  hosts.see(1, 'cdn.example.org')
  nowMs += 60_000
  hosts.see(0, 'cdn.example.org')
  expect(told).toEqual([
    [0, 'cdn.example.org', 1000],
    [1, 'cdn.example.org', 1000],
    [0, 'cdn.example.org', 61_000],
  ])
})
