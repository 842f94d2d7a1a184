import { expect, test } from 'vitest'
import { createCertificate } from './certificate-fixture.ts'
import { configOf, load, nowMs, problemsOf } from './load-fixture.ts'

const file = '/etc/waybill.yaml'
const dayMs = 86_400_000
const { cert, key } = createCertificate(nowMs - dayMs, nowMs + dayMs)
const other = createCertificate(nowMs - dayMs, nowMs + dayMs)
const files = { '/etc/cr.crt': cert, '/etc/cr.key': key, '/etc/other.key': other.key, '/etc/pw': 's3cret\n' }
const tls = 'listen: 0.0.0.0:443\ntls: {cert: cr.crt, key: cr.key}\n'

test('domains, routes and upstreams as the contract writes them', () => {
  const yaml = `${tls}
auth: open
domains:
  - host: CR.example.io
    publicUrl: https://cr.example.io
    auth: token
    recording: on
    tls: {cert: cr.crt, key: cr.key}
    routes:
      - repository: app
        upstream: https://ghcr.io
        upstreamRepository: acme-org/app
        fallback: {upstream: https://quay.io/acme, upstreamRepository: app}
        blobs: stream
        credentials: {username: me, passwordFile: pw}
        public: true
      - {repository: "hub/**", upstreamRepository: "**"}
      - {repository: "org/*", upstream: https://ghcr.io/acme-org}
  - host: "*.example.org"
    recording: off
    blobs: stream
streamRanges: [192.0.2.0/24]
proxyProtocol: on
trustedProxies: [10.0.0.0/8]
limits: {connectionsPerClient: 7}
`
  const config = configOf({ yaml, files })
  const anonymous = { dockerHub: false, ca: null, credentials: null }
  const credentials = { username: 'me', password: 's3cret' }
  expect(config.upstreams).toEqual([
    { ...anonymous, origin: 'https://ghcr.io', host: 'ghcr.io', credentials },
    { ...anonymous, origin: 'https://quay.io', host: 'quay.io' },
    { ...anonymous, origin: 'https://registry-1.docker.io', host: 'registry-1.docker.io', dockerHub: true },
    { ...anonymous, origin: 'https://ghcr.io', host: 'ghcr.io' },
  ])
  const plain = { public: false, fallback: null }
  expect(config.domains).toEqual([
    {
      host: 'cr.example.io',
      publicUrl: 'https://cr.example.io',
      auth: 'token',
      recording: true,
      tls: { cert: '/etc/cr.crt', key: '/etc/cr.key' },
      routes: [
        {
          repository: 'app',
          upstream: 0,
          upstreamRepository: 'acme-org/app',
          blobs: 'stream',
          public: true,
          fallback: { upstream: 1, upstreamRepository: 'acme/app' },
        },
        { repository: 'hub/**', upstream: 2, upstreamRepository: '**', blobs: 'redirect', ...plain },
        {
          repository: 'org/*',
          upstream: 3,
          upstreamRepository: 'acme-org/org/*',
          blobs: 'redirect',
          ...plain,
        },
      ],
    },
    {
      host: '*.example.org',
      publicUrl: null,
      auth: 'open',
      recording: false,
      tls: null,
      routes: [{ repository: '**', upstream: 2, upstreamRepository: '**', blobs: 'stream', ...plain }],
    },
  ])
  expect(config).toMatchObject({
    streamRanges: ['192.0.2.0/24'],
    proxyProtocol: true,
    limits: { connectionsPerClient: 7 },
  })
})

const hosts: [text: string, host: string | null][] = [
  ['"*.Example.io"', '*.example.io'],
  ['bücher.example', 'xn--bcher-kva.example'],
  ['"*.bücher.example"', '*.xn--bcher-kva.example'],
  ['localhost', 'localhost'],
  ['192.0.2.7', '192.0.2.7'],
  ['"[2001:DB8:0::7]"', '[2001:db8::7]'],
  ['2001:db8::7', null],
  ['cr.example.io:443', null],
  ['https://cr.example.io', null],
  ['"*"', null],
  ['"a.*.io"', null],
  ['cr.example.io.', null],
  ['a%62', null],
  ['-', null],
]
test.each(hosts)('host %s is %s', (text, host) => {
  // The fixture writes files as Latin-1.
  const yaml = Buffer.from(`domains: [{host: ${text}}]`).toString('latin1')
  const loaded = load({ yaml })
  expect(loaded.ok ? loaded.config.domains[0]?.host : null).toBe(host)
  if (!loaded.ok) expect(loaded.problems).toHaveLength(1)
})

const inRoute = (route: string, more = '') =>
  `domains:\n  - host: cr.example.io${more}\n    routes:\n      - ${route}\n`
const place = 'domains[0].routes[0]'

const refusals: [name: string, yaml: string, problems: string[]][] = [
  [
    'credentials of a route that is not public',
    inRoute('{repository: app, credentials: {username: me, password: secret}}'),
    [
      `${place}.credentials: given (${file} line 4): expected "public: true" beside them: with them the front serves to everybody what they may read`,
    ],
  ],
  [
    'credentials of many repositories',
    inRoute('{repository: "acme/**", public: true, credentials: {username: me, password: secret}}'),
    [
      `${place}.credentials: given (${file} line 4): expected a repository without wildcard instead of "acme/**", so that nothing private is served by accident`,
    ],
  ],
  [
    'credentials beside those of clients',
    inRoute(
      '{repository: app, public: on, credentials: {username: me, password: x}}',
      '\n    auth: passthrough',
    ),
    [
      `${place}.credentials: given (${file} line 5): expected none with auth: passthrough, where clients sign in themselves`,
    ],
  ],
  [
    'half of the credentials',
    inRoute('{repository: app, public: on, credentials: {username: me}}'),
    [
      `${place}.credentials.password: missing (${place}.credentials.username is set, ${file} line 4): expected one line of text`,
    ],
  ],
  [
    'a password file that is not there',
    inRoute('{repository: app, public: on, credentials: {username: me, passwordFile: none}}'),
    [
      `${place}.credentials.passwordFile: "none" (${file} line 4): no such file; expected a file with one line of text`,
    ],
  ],
  [
    'many names that would become one',
    inRoute('{repository: "acme/*", upstreamRepository: app}'),
    [
      `${place}.upstreamRepository: "app" (${file} line 4): expected "**" in it, as repository "acme/*" stands for many names that must not become one`,
    ],
  ],
  [
    'a wildcard that stands for nothing',
    inRoute('{repository: app, fallback: {upstream: https://quay.io, upstreamRepository: "x/**"}}'),
    [
      `${place}.fallback.upstreamRepository: "x/**" (${file} line 4): expected no wildcard, as repository "app" has none to stand for`,
    ],
  ],
  [
    'a fallback to what has failed',
    inRoute('{repository: app, upstream: https://ghcr.io/a, fallback: {upstream: https://ghcr.io/b}}'),
    [
      `${place}.fallback.upstream: "https://ghcr.io/b" (${file} line 4): expected another registry than that which has failed`,
    ],
  ],
  [
    'a fallback to nowhere',
    inRoute('{repository: app, fallback: {upstreamRepository: b}}'),
    [
      `${place}.fallback.upstream: missing (${place}.fallback.upstreamRepository is set, ${file} line 4): expected the URL of a registry, like https://ghcr.io or https://ghcr.io/acme-org`,
    ],
  ],
  [
    'an upstream that is the front by its name',
    inRoute('{repository: app, upstream: https://cr.example.io}'),
    [
      `${place}.upstream: "https://cr.example.io" (${file} line 4): expected a registry, not this front itself: cr.example.io is a domain of it`,
    ],
  ],
  [
    'an upstream that is the front by its port',
    inRoute('{repository: app, upstream: "http://localhost:8080"}'),
    [
      `${place}.upstream: "http://localhost:8080" (${file} line 4): expected a registry, not this front itself: it listens on 127.0.0.1:8080`,
    ],
  ],
  [
    'an authority without TLS',
    inRoute('{repository: app, upstream: "http://localhost:5000", upstreamTls: {ca: cr.crt}}'),
    [
      `${place}.upstreamTls.ca: "cr.crt" (${file} line 4): expected an upstream with https://, as only that has TLS`,
    ],
  ],
  [
    'an authority that is none',
    inRoute('{repository: app, upstreamTls: {ca: pw}}'),
    [
      `${place}.upstreamTls.ca: "pw" (${file} line 4): holds no PEM certificate; expected a file with PEM certificates of authorities`,
    ],
  ],
  [
    'patterns and names that are none',
    `domains:
  - host: a.example
    routes: [{repository: "a*"}, {repository: "*/*"}, {repository: App}, {repository: /app}, {repository: ""}, {}]`,
    [
      `domains[0].routes[0].repository: "a*" (${file} line 3): expected a wildcard that is a whole part, like acme/* or acme/**`,
      `domains[0].routes[1].repository: "*/*" (${file} line 3): expected no more than one wildcard`,
      `domains[0].routes[2].repository: "App" (${file} line 3): expected a name in lower case`,
      `domains[0].routes[3].repository: "/app" (${file} line 3): expected a name without "/" at its start or end`,
      `domains[0].routes[4].repository: "" (${file} line 3): expected a repository name, in which one part may be * (one part) or ** (any parts), like app, acme/* or **`,
      `domains[0].routes[5].repository: missing (${file} line 3): expected a repository name, in which one part may be * (one part) or ** (any parts), like app, acme/* or **`,
    ],
  ],
  [
    'a host given twice, in another spelling',
    'domains:\n  - host: a.example\n  - host: A.EXAMPLE',
    [`domains[1].host: "A.EXAMPLE" (${file} line 3): expected another host than that of domains[0].host`],
  ],
  [
    'half of a certificate',
    `${tls}domains: [{host: a.example, tls: {cert: cr.crt}}]`,
    [
      `domains[0].tls.key: missing (domains[0].tls.cert is set, ${file} line 3): expected a file with a PEM private key without passphrase`,
    ],
  ],
  [
    'a key of another certificate',
    `${tls}domains: [{host: a.example, tls: {cert: cr.crt, key: other.key}}]`,
    [`domains[0].tls.key: "other.key" (${file} line 3): does not belong to the certificate in "cr.crt"`],
  ],
  [
    'a certificate that no listener could show',
    'domains: [{host: a.example, tls: {cert: cr.crt, key: cr.key}}]',
    [
      `domains[0].tls.cert: "cr.crt" (${file} line 1): expected a listener with TLS, but there is only 127.0.0.1:8080: set tls`,
    ],
  ],
  [
    'a public URL for all',
    'publicUrl: https://a.example\ndomains: [{host: a.example}]',
    [
      `publicUrl: "https://a.example" (${file} line 1): expected it as domains[].publicUrl, as there are domains`,
    ],
  ],
  [
    'mistyped keys, with their neighbours',
    'domain: []\ndomains:\n  - {hst: a, host: a.example, routs: []}\n  - {host: b.example, routes: [{repository: a, credential: {x: y}}]}',
    [
      `domain: unknown key (${file} line 1): did you mean domains?`,
      `domains[0].hst: unknown key (${file} line 3): did you mean domains[0].host?`,
      `domains[0].routs: unknown key (${file} line 3): did you mean domains[0].routes?`,
      `domains[1].routes[0].credential: unknown key (${file} line 4): did you mean domains[1].routes[0].credentials?`,
    ],
  ],
]
test.each(refusals)('refused: %s', (_name, yaml, problems) => {
  expect(problemsOf({ yaml, files })).toEqual(problems)
})

const doubts: [name: string, yaml: string, warning: string][] = [
  [
    'a route behind one that takes all',
    'domains: [{host: a.example, routes: [{repository: "**"}, {repository: app}]}]',
    `domains[0].routes[1].repository: "app" (${file} line 1): is never reached: domains[0].routes[0].repository "**" matches all that it does`,
  ],
  [
    'a public URL of another host',
    'domains: [{host: a.example, publicUrl: https://b.example}]',
    `domains[0].publicUrl: "https://b.example" (${file} line 1): leads clients to another host than a.example`,
  ],
  [
    'one public URL for many hosts',
    'domains: [{host: "*.a.example", publicUrl: https://b.a.example}]',
    `domains[0].publicUrl: "https://b.a.example" (${file} line 1): leads the clients of every host of *.a.example to one of them`,
  ],
  [
    'an upstream without TLS',
    'domains: [{host: a.example, routes: [{repository: a, upstream: http://registry.internal}]}]',
    `domains[0].routes[0].upstream: "http://registry.internal" (${file} line 1): is asked without TLS`,
  ],
  [
    'a certificate of another name',
    `${tls}domains: [{host: a.example, tls: {cert: cr.crt, key: cr.key}}]`,
    `domains[0].tls.cert: "cr.crt" (${file} line 3): is not for a.example`,
  ],
]
test.each(doubts)('allowed with a warning: %s', (_name, yaml, warning) => {
  const loaded = load({ yaml, files })
  expect(loaded).toMatchObject({ ok: true, warnings: [warning] })
})

test('no password of a route shows, wherever it was put', () => {
  const yaml = inRoute(
    '{repository: app, credentials: {username: "a\\nb", password: "hunter2\\n"}, x: hunter2}',
  )
  const text = JSON.stringify(load({ yaml: `${yaml}      - hunter2\n` }))
  expect(text).toContain('credentials.password: \\"***\\"')
  expect(text.replaceAll('routes[1]: \\"hunter2\\"', '')).not.toContain('hunter2')
})

test('300 domains with 10 routes each load in no time', () => {
  const routes = Array.from(
    { length: 10 },
    (_, at) => `{repository: r${at}/**, upstream: https://r${at}.example}`,
  )
  const domain = (at: number) =>
    `  - {host: d${at}.example, tls: {cert: cr.crt, key: cr.key}, routes: [${routes.join(', ')}]}`
  const yaml = `${tls}domains:\n${Array.from({ length: 300 }, (_, at) => domain(at)).join('\n')}`
  const before = process.cpuUsage()
  const config = configOf({ yaml, files })
  // Not by the clock, which tells what else the machine does.
  const { user, system } = process.cpuUsage(before)
  expect(config.domains).toHaveLength(300)
  expect(config.upstreams).toHaveLength(10)
  expect((user + system) / 1000).toBeLessThan(5000)
})
