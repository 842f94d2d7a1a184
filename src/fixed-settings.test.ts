import { expect, test } from 'vitest'
import { configOf } from './config/load-fixture.ts'
import { settingsByKey } from './config/schema.ts'
import { findFixedChanges } from './fixed-settings.ts'

const cases: [yaml: string, keys: string[]][] = [
  ['', []],
  [
    'domains: [{host: a.example}]\nredirectHosts: [a.b]\ntrustedProxies: [10.0.0.1]\nstreamRanges: [10.0.0.1]',
    [],
  ],
  ['upstream: https://ghcr.io\npublicUrl: https://a.example\nauth: open\nblobs: stream', []],
  ['listen: 127.0.0.1:1\nadmin: 127.0.0.1:2\ndata: /x\nnode: y', ['node', 'listen', 'admin', 'data']],
  ['sessions: {idle: 5s, max: 1h}', ['sessions.idle', 'sessions.max']],
  ['threads: {proxy: 1, workers: 3}', ['threads.proxy', 'threads.workers']],
  [
    'limits: {minRate: 0, headerBytes: 4KiB, firstByteTimeout: 1s}',
    ['limits.headerBytes', 'limits.firstByteTimeout', 'limits.minRate'],
  ],
  ['redis: {url: redis://h}\nlogLevel: warn', ['redis', 'logLevel']],
  [
    'log: {maxBytes: 1MiB, maxAge: 1h}\nretention: {events: 1d, requests: 1d, maxBytes: 1MiB}',
    ['retention.events', 'retention.requests', 'retention.maxBytes', 'log.maxBytes', 'log.maxAge'],
  ],
]
test.each(cases)('%j changes what only a start can change: %j', (yaml, keys) => {
  const changes = findFixedChanges(configOf({}), configOf({ yaml }))
  expect(changes).toEqual(keys)
  const known = [...settingsByKey.keys()]
  for (const key of changes)
    expect(known.some((each) => each === key || each.startsWith(`${key}.`))).toBe(true)
})
