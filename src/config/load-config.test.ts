import fc from 'fast-check'
import { expect, test } from 'vitest'
import { checkFile, findDataFolder, loadConfig } from './load-config.ts'
import { configOf, load, problemsOf, surroundingsOf } from './load-fixture.ts'

const file = '/etc/waybill.yaml'

test('the order is flag, variable, file, default', () => {
  const yaml = 'logLevel: error'
  const env = { WAYBILL_LOG_LEVEL: 'warn' }
  expect(configOf({}).logLevel).toBe('info')
  expect(configOf({ yaml }).logLevel).toBe('error')
  expect(configOf({ yaml, env }).logLevel).toBe('warn')
  expect(configOf({ yaml, env, args: ['--log-level', 'debug'] }).logLevel).toBe('debug')
})

test('a list is replaced as a whole, never joined', () => {
  const yaml = 'listen: [127.0.0.1:1, 127.0.0.1:2]'
  const { listen } = configOf({ yaml, args: ['--listen', '127.0.0.1:3'] })
  expect(listen).toEqual([{ host: '127.0.0.1', port: 3, tls: null }])
})

test('the config file is named by the flag, else by the variable', () => {
  const files = { '/a.yaml': 'node: a', '/b.yaml': 'node: b' }
  const env = { WAYBILL_CONFIG: '/b.yaml' }
  expect(configOf({ files, env }).node).toBe('b')
  expect(configOf({ files, env, args: ['--config=/a.yaml'] }).node).toBe('a')
})

test('every problem of every source comes at once, strongest source first', () => {
  const problems = problemsOf({
    args: ['--upstream', 'ghcr.io', '--lissten', '127.0.0.1:1', '--workers=0'],
    env: { WAYBILL_ADMIN: 'nowhere', WAYBILL_UPSTRAEM: 'https://user:secret@ghcr.io' },
    yaml: [
      'sesions: {idle: 5s}',
      'sessions:',
      '  idle: soon',
      '  mx: 3h',
      'trustedProxies: [10.0.0.0/8, 10.0.0.0/33]',
      'domains: []',
      'kafka: {sasl: {username: me}}',
    ].join('\n'),
  })
  expect(problems).toEqual([
    '--lissten: unknown flag: did you mean --listen?',
    'upstream: "ghcr.io" (--upstream): expected a URL that starts with https:// or http://',
    'threads.workers: "0" (--workers): expected auto, a whole number from 1 to 128, or MIN-MAX like 1-4',
    'admin: "nowhere" (WAYBILL_ADMIN): expected HOST:PORT, like 127.0.0.1:8080, localhost:8080 or [::1]:8080',
    'WAYBILL_UPSTRAEM: unknown variable: did you mean WAYBILL_UPSTREAM?',
    `sesions: unknown key (${file} line 1): did you mean sessions?`,
    `sessions.idle: "soon" (${file} line 3): expected a duration from 100ms to 30m, written like 500ms, 2s, 30m, 24h or 7d`,
    `sessions.mx: unknown key (${file} line 4): did you mean sessions.max?`,
    `trustedProxies[1]: "10.0.0.0/33" (${file} line 5): expected an address or a range, like 192.0.2.1, 10.0.0.0/8 or fd00::/8`,
    `domains: an empty list (${file} line 6): expected a list; each a map of host, publicUrl, auth, recording, blobs, tls, routes`,
    `kafka.brokers: missing (kafka.sasl.username is set, ${file} line 7): expected HOST:PORT, like kafka-1.example.io:9092`,
  ])
})

test('no secret shows in a problem, wherever it was put', () => {
  const secret = 'hunter2'
  const loaded = load({
    args: [
      '--redis',
      `redis:/${secret}@h`,
      `redis://:${secret}@h`,
      '--upstream',
      `https://me:${secret}@ghcr.io`,
    ],
    env: {
      WAYBILL_KAFKA: `${secret}@h`,
      WAYBILL_REDIS_PASSWORD: secret,
      WAYBILL_PUBLIC_URL: `https://h/?t=${secret}`,
    },
    yaml: `redis: {url: "http://${secret}@h", password: ${secret}}\nkafka: {sasl: {password: "${secret}\\n"}, ${'x'}: ${secret}}`,
  })
  const text = JSON.stringify(loaded)
  expect(loaded.ok).toBe(false)
  expect(text).toContain('kafka.sasl.password: \\"***\\"')
  expect(text).not.toContain(secret)
})

test.each([
  '!hunter2',
  '|hunter2',
  '@hunter2',
  '"\\uhunter2"',
  '"x" hunter2',
  '}hunter2',
  '[a]hunter2',
  '*hunter2',
  '{a: hunter2: b}',
  '\n%hunter2',
])('a password that breaks the YAML is not quoted: %j', (password) => {
  const problems = problemsOf({
    yaml: `kafka:\n  brokers: h:1\n  sasl: {mechanism: plain, username: u}\nredis:\n  url: ${password}\n`,
  })
  expect(problems.join('\n')).toMatch(/\(\/etc\/waybill.yaml line \d+\)/)
  expect(problems.join('\n')).not.toMatch(/hunt/)
})

test('words of the YAML parser that quote the file are replaced by ours', () => {
  expect(problemsOf({ yaml: '%hunter2 1\n---\nnode: a' })).toEqual([
    'config: not valid YAML (/etc/waybill.yaml line 1): a line that starts with "%"',
  ])
  expect(problemsOf({ yaml: 'node: !hunter2' })).toEqual([
    'config: not valid YAML (/etc/waybill.yaml line 1): an unknown tag; text that starts with "!" needs quotes',
  ])
})

test('a second document is no silent one', () => {
  expect(problemsOf({ yaml: 'auth: open\n---\nauth: token' })).toEqual([
    'config: not valid YAML (/etc/waybill.yaml line 2): a second document',
  ])
})

test('a problem is one line whatever the value holds', () => {
  const [line, ...others] = problemsOf({ args: ['--upstream', `a\n\u001b[31m\u2028${'b'.repeat(500)}`] })
  expect(others).toEqual([])
  expect(line).not.toMatch(/[\p{Cc}\p{Zl}]/u)
  expect(line!.length).toBeLessThan(300)
})

test('empty variables and the links of container platforms are no settings', () => {
  const env = {
    WAYBILL_REDIS: '',
    WAYBILL_PORT: 'tcp://192.0.2.1:80',
    WAYBILL_SERVICE_HOST: '192.0.2.1',
    WAYBILL_SERVICE_PORT_HTTP: '80',
    WAYBILL_REDIS_PORT_6379_TCP_ADDR: '192.0.2.1',
    OTHER: 'x',
  }
  expect(configOf({ env }).redis).toBeNull()
  expect(problemsOf({ env: { WAYBILL_PORT: '80' } })).toEqual([
    'WAYBILL_PORT: unknown variable: see "waybill serve --help"',
  ])
})

test('checkFile looks at the file alone', () => {
  const surroundings = surroundingsOf({ '/w.yaml': 'data: d\nblobs: teleport' })
  expect(checkFile('/w.yaml', surroundings)).toEqual({
    ok: false,
    problems: ['blobs: "teleport" (/w.yaml line 2): expected redirect or stream'],
  })
  expect(checkFile('/w.yaml', surroundingsOf({ '/w.yaml': '' }))).toMatchObject({ ok: true, warnings: [] })
})

test('the data folder is found for other commands, whatever else is wrong', () => {
  const surroundings = surroundingsOf({ '/srv/w.yaml': 'data: d\nblobs: teleport' })
  const find = (argv: string[], env: Record<string, string>) => findDataFolder({ ...surroundings, argv, env })
  expect(find([], { WAYBILL_CONFIG: '/srv/w.yaml' })).toEqual({ ok: true, data: '/srv/d' })
  expect(find(['--data', 'x'], {})).toEqual({ ok: true, data: '/home/waybill/x' })
  expect(find([], {})).toEqual({ ok: true, data: '/home/waybill/data' })
  expect(find([], { WAYBILL_CONFIG: '/gone' })).toMatchObject({ ok: false })
})

test('random YAML and random arguments never throw', () => {
  const key = fc.constantFrom(
    'upstream',
    'listen',
    'tls',
    'redis',
    'url',
    'kafka',
    'ssl',
    'sasl',
    'ca',
    'sessions',
    'idle',
    'address',
    'urlFile',
    'brokers',
    'x',
    '<<',
    '1',
    '? [a]',
  )
  const scalar = fc.constantFrom(
    'on',
    '~',
    '5',
    '1e400',
    '[::1]:80',
    '&a b',
    '*a',
    '!!binary aGk=',
    '"\\x00"',
    '|\n  x',
    'https://h',
    '{a: 1}',
    '[1, {address: b}]',
    '',
  )
  const line = fc.tuple(fc.nat(3), key, scalar).map(([depth, k, v]) => `${'  '.repeat(depth)}${k}: ${v}`)
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.array(line).map((lines) => lines.join('\n')),
  )
  fc.assert(
    fc.property(
      text,
      fc.array(fc.oneof(fc.string(), fc.constantFrom('--listen', '--data', '--config'))),
      (yaml, argv) => {
        const surroundings = surroundingsOf({ '/w.yaml': yaml })
        const fromFile = loadConfig({ ...surroundings, argv: ['--config=/w.yaml'], env: {} })
        const lines = fromFile.ok ? fromFile.warnings : fromFile.problems
        expect(lines.filter((one) => /[\n\r]/.test(one))).toEqual([])
        loadConfig({ ...surroundings, argv, env: {} })
      },
    ),
    { seed: 7, numRuns: 2000 },
  )
  expect(problemsOf({ yaml: '['.repeat(100_000) })).not.toEqual([])
})
