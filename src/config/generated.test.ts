import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { createJsonSchema } from './json-schema.ts'
import { problemsOf } from './load-fixture.ts'
import { fillReference } from './reference.ts'
import { isLater, settingsByKey } from './schema.ts'

const regenerate = 'is not what src/config/schema.ts says; run: bin/.node/node src/config/generate.ts'
const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

test('the committed schema and reference are those of the table', () => {
  const schema = `${JSON.stringify(createJsonSchema(), null, 2)}\n`
  expect(read('schemas/config.json') === schema, `schemas/config.json ${regenerate}`).toBe(true)
  const reference = read('docs/configuration.md')
  expect(fillReference(reference) === reference, `docs/configuration.md ${regenerate}`).toBe(true)
})

test('the reference names every key, flag and variable', () => {
  const reference = read('docs/configuration.md')
  for (const [key, { flag, variable }] of settingsByKey) {
    if (isLater(key)) continue
    expect(reference).toContain(`\`${key}\``)
    if (flag !== undefined) expect(reference).toContain(`\`--${flag} `)
    if (variable !== undefined) expect(reference).toContain(`\`${variable}\``)
  }
})

const validate = new Ajv({ strict: true, allowUnionTypes: true }).compile(createJsonSchema())

test.each([
  '',
  'listen: "[::1]:8080"',
  'listen: [127.0.0.1:1, {address: 127.0.0.1:2}, {address: 127.0.0.1:3, tls: }]',
  'upstream: https://ghcr.io/acme\npublicUrl: https://cr.example.io',
  'redis: {url: redis://:pw@h:1/2, cluster: off, tls: {}}',
  'redis: {url: redis://h, cluster: true, tls: on}',
  'redis:',
  'kafka: {brokers: [a:1, b:2], ssl: {}, requestsTopic: null, eventsTopic: x, partitions: 5}',
  'kafka: {brokers: a:1, sasl: {mechanism: plain, username: 7, password: 8}}',
  'threads: {proxy: 2, workers: 1-4}',
  'threads: {proxy: auto, workers: 3}',
  'sessions: {idle: 5s}\nretention: {events: off, maxBytes: 10485760}',
  'log: {maxBytes: 1GiB, maxAge: 2h}\nlimits: {minRate: 0, connections: 5}',
  'auth: passthrough\nproxyProtocol: on\nlimits: {connectionsPerClient: 5}\nstreamRanges: [192.0.2.0/24]',
  'domains: [{host: "*.example.io", recording: off}, {host: cr.example.com, auth: open, blobs: stream}]',
  'domains: [{host: a.example, routes: [{repository: x/**, upstream: https://ghcr.io, upstreamRepository: acme/**}]}]',
  'domains: [{host: a.example, routes: [{repository: a, fallback: {upstream: https://quay.io, upstreamRepository: b}}]}]',
  'domains: [{host: a.example, routes: [{repository: a, public: on, credentials: {username: 1, password: p}}]}]',
  'trustedProxies: [10.0.0.0/8]\nredirectHosts: ["*.example.io"]\nlogLevel: silent',
])('schema and loader both take %j', (yaml) => {
  expect(problemsOf({ yaml })).toEqual([])
  expect(validate(parse(yaml)), JSON.stringify(validate.errors)).toBe(true)
})

test.each([
  'sesions: {idle: 5s}',
  'sessions: {idle: 5}',
  'upstream: ghcr.io',
  'listen: []',
  'listen: [{tls: {}}]',
  'listen: [{address: h:1, port: 5}]',
  'domains: []',
  'domains: [cr.example.io]',
  'domains: {host: cr.example.io}',
  'domains: [{auth: open}]',
  'domains: [{host: a.example, routes: [{upstream: https://ghcr.io}]}]',
  'domains: [{host: a.example, routes: [{repository: A}]}]',
  'domains: [{host: a.example, route: []}]',
  'block: {countries: [Germany]}',
  'privacy: {rotation: never}',
  'kafka: {brokers: [a], partitions: 0}',
  'kafka: {brokers: [a:1], compression: null}',
  'threads: {proxy: many}',
  'limits: {headerBytes: 5}',
  '[]',
])('schema and loader both refuse %j', (yaml) => {
  expect(problemsOf({ yaml })).not.toEqual([])
  expect(validate(parse(yaml))).toBe(false)
})
