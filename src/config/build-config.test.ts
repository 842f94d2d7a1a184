import { expect, test } from 'vitest'
import { createCertificate } from './certificate-fixture.ts'
import { type Case, configOf, load, nowMs, problemsOf } from './load-fixture.ts'
import type { Config } from './types.ts'

const dayMs = 86_400_000

test('without anything: the defaults of the contract', () => {
  expect(configOf({})).toEqual({
    node: null,
    listen: [{ host: '127.0.0.1', port: 8080, tls: null }],
    admin: { host: '127.0.0.1', port: 9464 },
    data: '/home/waybill/data',
    upstreams: [
      {
        origin: 'https://registry-1.docker.io',
        host: 'registry-1.docker.io',
        dockerHub: true,
        ca: null,
        credentials: null,
      },
    ],
    domains: [
      {
        host: null,
        publicUrl: null,
        auth: 'token',
        recording: true,
        tls: null,
        routes: [
          {
            repository: '**',
            upstream: 0,
            upstreamRepository: '**',
            blobs: 'redirect',
            public: false,
            fallback: null,
          },
        ],
      },
    ],
    redirectHosts: [],
    trustedProxies: [],
    proxyProtocol: false,
    streamRanges: [],
    threads: { proxy: 4, workers: { min: 1, max: 7 } },
    sessions: {
      idleMs: 60_000,
      idleHeadMs: 10_000,
      idleBuilderMs: 1_800_000,
      maxMs: dayMs,
      latenessMs: 30_000,
    },
    redis: null,
    kafka: null,
    retention: { eventsMs: 400 * dayMs, requestsMs: 0, maxBytes: 5 * 2 ** 30 },
    log: { maxBytes: 2 * 2 ** 30, maxAgeMs: dayMs },
    geo: { city: null, asn: null, company: null, overrides: null, detail: 'region' },
    privacy: { rotationMs: dayMs, keyFile: null, operator: null, contact: null, purpose: null },
    block: { countries: [], asns: [], types: [], ranges: [], companies: [] },
    tokenKeys: null,
    tokenKeyFile: null,
    limits: {
      headerBytes: 16_384,
      connections: 20_000,
      connectionsPerClient: 512,
      upstreamRequests: 1024,
      manifestBytes: 8 * 2 ** 20,
      manifestCacheBytes: 64 * 2 ** 20,
      firstByteTimeoutMs: 30_000,
      minRateBytes: 1024,
      requestTimeoutMs: 6 * 3_600_000,
    },
    logLevel: 'info',
  } satisfies Config)
})

test('the config is frozen through and through, and can be cloned into a thread', () => {
  const config = configOf({ args: ['--kafka', 'a:1,b:2', '--workers', '2-3'] })
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    expect(Object.isFrozen(value)).toBe(true)
    for (const inner of Object.values(value)) visit(inner)
  }
  visit(config)
  expect(structuredClone(config)).toEqual(config)
})

const route = (config: Config) => config.domains[0]!.routes[0]!
const anonymous = { ca: null, credentials: null }
const hub = {
  origin: 'https://registry-1.docker.io',
  host: 'registry-1.docker.io',
  dockerHub: true,
  ...anonymous,
}
const plain = (origin: string) => ({ origin, host: new URL(origin).host, dockerHub: false, ...anonymous })

test.each<[string, object, string]>([
  ['https://ghcr.io', plain('https://ghcr.io'), '**'],
  ['https://GHCR.io:443/', plain('https://ghcr.io'), '**'],
  ['https://ghcr.io/acme-org', plain('https://ghcr.io'), 'acme-org/**'],
  ['https://ghcr.io/acme/team/', plain('https://ghcr.io'), 'acme/team/**'],
  ['http://192.0.2.7:5000/a_b/c.d', plain('http://192.0.2.7:5000'), 'a_b/c.d/**'],
  ['http://[2001:db8::1]:5000', plain('http://[2001:db8::1]:5000'), '**'],
  ['https://docker.io', hub, '**'],
  ['http://index.docker.io/', hub, '**'],
  ['https://registry-1.docker.io/acme', hub, 'acme/**'],
  ['https://docker.io.example.org', plain('https://docker.io.example.org'), '**'],
])('upstream %s', (url, upstream, upstreamRepository) => {
  const config = configOf({ args: ['--upstream', url] })
  expect(config.upstreams).toEqual([upstream])
  expect(route(config).upstreamRepository).toBe(upstreamRepository)
})

test.each([
  ['ghcr.io', 'starts with https://'],
  ['ftp://ghcr.io', 'the URL of a registry'],
  ['https://', 'the URL of a registry'],
  ['https://me:pw@ghcr.io', 'without user name and password'],
  ['https://ghcr.io?x=1', 'the URL of a registry'],
  ['https://ghcr.io/v2/', 'without /v2'],
  ['https://ghcr.io/Acme', 'lower-case'],
  ['https://ghcr.io//acme', 'lower-case'],
  ['https://hub.docker.com/_/nginx', 'not its web site'],
  ['https://ghcr.io:0', 'the URL of a registry'],
  ['https:\\\\ghcr.io', 'starts with https://'],
])('no upstream: %s', (url, reason) => {
  const [line, ...others] = problemsOf({ args: ['--upstream', url] })
  expect(others).toEqual([])
  expect(line).toContain(reason)
})

test('an upstream on another port or another machine is not this front', () => {
  const args = ['--listen', '127.0.0.1:5000', '--public-url', 'https://cr.example.io']
  for (const upstream of ['http://127.0.0.1:5001', 'http://192.0.2.1:5000', 'https://cr.example.io:5000']) {
    expect(problemsOf({ args: [...args, '--upstream', upstream] })).toEqual([])
  }
})

test.each<[string, Partial<Config['sessions']>]>([
  ['5s', { idleMs: 5000, idleHeadMs: 5000, idleBuilderMs: 5000 }],
  ['20s', { idleMs: 20_000, idleHeadMs: 10_000, idleBuilderMs: 20_000 }],
  ['30m', { idleMs: 1_800_000, idleHeadMs: 10_000, idleBuilderMs: 1_800_000 }],
])('a session idle time of %s caps all of them', (text, expected) => {
  expect(configOf({ args: ['--session-idle', text] }).sessions).toMatchObject(expected)
})

test.each<[string[], Config['threads']]>([
  [[], { proxy: 4, workers: { min: 1, max: 7 } }],
  [['--proxy-threads', '3', '--workers', '5'], { proxy: 3, workers: { min: 5, max: 5 } }],
  [['--proxy-threads', 'auto', '--workers', '2-6'], { proxy: 4, workers: { min: 2, max: 6 } }],
])('threads by %j', (args, threads) => {
  expect(configOf({ args }).threads).toEqual(threads)
})

test('listeners in the file: one or many, as text and as maps, with their own or the common certificate', () => {
  const common = createCertificate(nowMs - dayMs, nowMs + dayMs)
  const own = createCertificate(nowMs - dayMs, nowMs + dayMs)
  const files = { '/etc/c.crt': common.cert, '/etc/c.key': common.key, '/o.crt': own.cert, '/o.key': own.key }
  const listenOf = (yaml: string) => configOf({ yaml, files }).listen
  expect(listenOf('listen: "[::1]:0"')).toEqual([{ host: '::1', port: 0, tls: null }])
  expect(listenOf('listen: {address: localhost:1}')).toEqual([{ host: 'localhost', port: 1, tls: null }])
  const yaml = [
    'tls: &own {cert: c.crt, key: ./c.key}',
    'listen:',
    '  - 0.0.0.0:443',
    '  - {address: 0.0.0.0:8443, tls: {cert: /o.crt, key: /o.key}}',
    '  - {address: 0.0.0.0:9443, tls: *own}',
    '  - {address: 0.0.0.0:9444, tls: }',
  ].join('\n')
  const commonPaths = { cert: '/etc/c.crt', key: '/etc/c.key' }
  expect(listenOf(yaml).map(({ tls }) => tls)).toEqual([
    commonPaths,
    { cert: '/o.crt', key: '/o.key' },
    commonPaths,
    commonPaths,
  ])
})

test('certificates that are no use', () => {
  const one = createCertificate(nowMs - 2 * dayMs, nowMs - dayMs)
  const other = createCertificate(nowMs - dayMs, nowMs + dayMs)
  const files = { '/1.crt': one.cert, '/1.key': one.key, '/2.key': other.key, '/home/waybill/x': 'text' }
  const problems = (...args: string[]) => problemsOf({ args, files })
  expect(problems('--tls-cert', '/1.crt', '--tls-key', '/2.key')).toEqual([
    'tls.key: "/2.key" (--tls-key): does not belong to the certificate in "/1.crt"',
  ])
  expect(problems('--tls-cert', 'x', '--tls-key', 'x')).toEqual([
    'tls.cert: "x" (--tls-cert): holds no PEM certificate; expected a file with a PEM certificate, the chain after it',
    'tls.key: "x" (--tls-key): holds no PEM private key, or one with a passphrase; expected a file with a PEM private key without passphrase',
  ])
  expect(problems('--tls-cert', '/1.crt')).toEqual([
    'tls.key: missing (tls.cert is set, --tls-cert): expected a file with a PEM private key without passphrase',
  ])
  expect(problemsOf({ yaml: 'listen:\n- {address: h:1, tls: {key: /1.key}}\n- {tls: {}}', files })).toEqual([
    'listen[1].address: missing (/etc/waybill.yaml line 3): expected HOST:PORT, like 127.0.0.1:8080, localhost:8080 or [::1]:8080',
  ])
  expect(problemsOf({ yaml: 'listen:\n- {address: h:1, tls: {key: /1.key}}', files })).toEqual([
    'listen[0].tls.cert: missing (/etc/waybill.yaml line 2): expected certificate and key together',
  ])
  const expired = load({ args: ['--tls-cert', '/1.crt', '--tls-key', '/1.key'], files })
  expect(expired).toMatchObject({
    ok: true,
    warnings: ['tls.cert: "/1.crt" (--tls-cert): has expired on May 31 00:00:00 2026 GMT'],
  })
})

test('Redis and Kafka with everything, secrets from files without their newline', () => {
  const { cert } = createCertificate(nowMs, nowMs + dayMs)
  const files = { '/ca': cert, '/etc/u': 'redis://me:pw@h:6380/2\r\n', '/p': ' p w \n' }
  const yaml = [
    'redis: {urlFile: u, tls: {ca: /ca}}',
    'kafka:',
    '  brokers: [K1:9092, "192.0.2.1:9092"]',
    '  ssl: {ca: /ca}',
    '  sasl: {mechanism: scram-sha-256, username: 007, passwordFile: /p}',
    '  compression: none',
    '  requestsTopic: null',
    '  eventsTopic: my.events',
    '  createTopics: on',
    '  partitions: 3',
    '  replicationFactor: 1',
  ].join('\n')
  const { redis, kafka } = configOf({ yaml, files })
  expect(redis).toEqual({ url: 'redis://me:pw@h:6380/2', cluster: false, tls: { ca: cert } })
  expect(kafka).toEqual({
    brokers: ['k1:9092', '192.0.2.1:9092'],
    ssl: { ca: cert },
    sasl: { mechanism: 'scram-sha-256', username: '007', password: ' p w ' },
    compression: 'none',
    requestsTopic: null,
    eventsTopic: 'my.events',
    deadLettersTopic: 'waybill.dead-letters',
    manifestsTopic: 'waybill.manifests',
    createTopics: true,
    partitions: 3,
    replicationFactor: 1,
  })
})

test.each<[string, Config['redis']]>([
  ['redis: {url: redis://h}', { url: 'redis://h', cluster: false, tls: null }],
  ['redis: {url: rediss://h, cluster: on}', { url: 'rediss://h', cluster: true, tls: { ca: null } }],
  ['redis: {url: redis://h, tls: {}}', { url: 'redis://h', cluster: false, tls: { ca: null } }],
  ['redis: {url: redis://h, tls: off}', { url: 'redis://h', cluster: false, tls: null }],
  ['redis:', null],
])('%s', (yaml, redis) => {
  expect(configOf({ yaml }).redis).toEqual(redis)
})

test('the address of a service may come from a flag, the rest from the file', () => {
  const yaml = 'kafka: {partitions: 3, ssl: on}\nredis: {cluster: on, url: redis://old}'
  const { kafka, redis } = configOf({ yaml, args: ['--kafka=a:1, b:2', '--redis', 'redis://new'] })
  expect(kafka).toMatchObject({ brokers: ['a:1', 'b:2'], partitions: 3, ssl: true })
  expect(redis).toMatchObject({ url: 'redis://new', cluster: true })
})

test('lists, ranges and hosts are brought to one form', () => {
  const config = configOf({
    yaml: 'trustedProxies: [192.0.2.1, 10.0.0.0/8, "2001:DB8::/32"]\nredirectHosts: ["*.Example.io", cdn.example.io]',
  })
  expect(config.trustedProxies).toEqual(['192.0.2.1/32', '10.0.0.0/8', '2001:db8::/32'])
  expect(config.redirectHosts).toEqual(['*.example.io', 'cdn.example.io'])
})

test('token keys are read in order, the database by its path', () => {
  const [a, b] = ['a1'.repeat(32), 'B2'.repeat(32)]
  const files = { '/keys': `${a}\r\n\n${b}\n`, '/etc/geo/asn.mmdb': 'data\xab\xcd\xefMaxMind.commeta' }
  const config = configOf({ yaml: 'tokenKeys: {file: /keys}\ngeo: {asn: geo/asn.mmdb}', files })
  expect(config.tokenKeys).toEqual([a, b?.toLowerCase()])
  expect(config.tokenKeyFile).toBe('/keys')
  expect(config.geo.asn).toBe('/etc/geo/asn.mmdb')
})

test('relative paths start at the file that names them, else at the current folder', () => {
  expect(configOf({ yaml: 'data: d' }).data).toBe('/etc/d')
  expect(configOf({ yaml: 'data: d', env: { WAYBILL_DATA: 'e' } }).data).toBe('/home/waybill/e')
})

const warned: readonly (Case & { warning: string })[] = [
  {
    args: ['--upstream', 'http://registry.example.io'],
    warning: 'upstream: "http://registry.example.io": is asked without TLS',
  },
  {
    yaml: 'trustedProxies: [0.0.0.0/0]',
    warning:
      'trustedProxies[0]: "0.0.0.0/0" (/etc/waybill.yaml line 1): lets every client say that it has another address',
  },
  {
    yaml: 'retention: {events: off}',
    warning: 'retention.events: off: without kafka package events are kept nowhere',
  },
  {
    yaml: 'kafka: {brokers: h:1, sasl: {mechanism: plain, username: u, password: p}}',
    warning: 'kafka.sasl: without kafka.ssl the sign-in goes over the network unencrypted',
  },
]

test.each(warned)('a warning: $warning', ({ warning, ...given }) => {
  expect(load(given)).toMatchObject({ ok: true, warnings: [warning] })
})
