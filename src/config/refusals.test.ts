import { expect, test } from 'vitest'
import { type Case, problemsOf } from './load-fixture.ts'

const file = '/etc/waybill.yaml'

const refused: readonly (Case & { name: string; lines: readonly string[] })[] = [
  {
    name: 'a key in the wrong group',
    yaml: 'manifestBytes: 1MiB',
    lines: [`manifestBytes: unknown key (${file} line 1): did you mean limits.manifestBytes?`],
  },
  {
    name: 'a key like no other',
    yaml: 'geo: {frobnicate: 1}',
    lines: [
      `geo.frobnicate: unknown key (${file} line 1): expected one of city, asn, company, overrides, detail`,
    ],
  },
  {
    name: 'upper case in a key',
    yaml: 'publicURL: https://cr.example.io',
    lines: [`publicURL: unknown key (${file} line 1): did you mean publicUrl?`],
  },
  {
    name: 'a flag without a value, before another flag and at the end',
    args: ['--data', '--redis', 'redis://h', '--blobs='],
    lines: ['--data: has no value: expected a folder', '--blobs: has no value: expected redirect or stream'],
  },
  {
    name: 'a word that belongs to no flag',
    args: ['--auth', 'open', 'extra', '-x'],
    lines: [
      '"extra": unexpected argument; expected flags like --upstream URL',
      '"-x": unexpected argument; expected flags like --upstream URL',
    ],
  },
  {
    name: 'a flag given twice',
    args: ['--node-x', '1', '--data', 'a', '--data', 'b'],
    lines: ['--node-x: unknown flag: see "waybill serve --help"', 'data: "a" and "b" (--data): given twice'],
  },
  {
    name: 'a key given twice',
    yaml: 'node: a\nlog:\n  maxAge: 1h\n  maxAge: 2h\nnode: b',
    lines: [
      `log.maxAge: given twice (${file} line 4): first on line 3`,
      `node: given twice (${file} line 5): first on line 1`,
    ],
  },
  {
    name: 'values of the wrong shape',
    yaml: 'upstream: [a]\nlog: 5\ndata: {a: b}\nnode:\nlisten: []\nkafka: {brokers: []}',
    lines: [
      `upstream: a list (${file} line 1): expected the URL of a registry, like https://ghcr.io or https://ghcr.io/acme-org`,
      `log: "5" (${file} line 2): expected a map of maxBytes, maxAge`,
      `data: a map (${file} line 3): expected a folder`,
      `node: null (${file} line 4): expected 1 to 64 letters, digits, ".", "_" and "-"`,
      `listen: an empty list (${file} line 5): expected HOST:PORT, like 127.0.0.1:8080, localhost:8080 or [::1]:8080`,
      `kafka.brokers: an empty list (${file} line 6): expected HOST:PORT, like kafka-1.example.io:9092`,
    ],
  },
  {
    name: 'a file that is not there',
    args: ['--config', 'w.yaml'],
    lines: ['config: "w.yaml" (--config): no such file; expected a YAML file'],
  },
  {
    name: 'text that is no YAML, of which nothing is quoted',
    yaml: 'redis:\n  url: "redis://:hunter2@h\n}',
    lines: [`config: not valid YAML (${file} line 3): Missing closing "quote`],
  },
  {
    name: 'YAML that is no map',
    yaml: '- a',
    lines: [`config: no map (${file} line 1): expected settings like "upstream: https://ghcr.io"`],
  },
  {
    name: 'the front as its own upstream',
    args: ['--upstream', 'https://cr.example.io/x', '--public-url', 'https://CR.example.io:443'],
    lines: [
      'upstream: "https://cr.example.io/x" (--upstream): expected a registry, not this front itself: upstream and publicUrl are the same',
    ],
  },
  {
    name: 'a listener as upstream, under another of its names',
    args: ['--upstream', 'http://localhost:5000', '--listen', '0.0.0.0:5000'],
    lines: [
      'upstream: "http://localhost:5000" (--upstream): expected a registry, not this front itself: it listens on 0.0.0.0:5000',
    ],
  },
  {
    name: 'the admin server on the port of a listener',
    args: ['--admin', '0.0.0.0:8080'],
    lines: [
      'admin: "0.0.0.0:8080" (--admin): expected another port than that of the listener 127.0.0.1:8080',
    ],
  },
  {
    name: 'the same listener twice',
    args: ['--listen', '[::1]:80', '--listen', '[::1]:80'],
    lines: ['listen[1]: "[::1]:80" (--listen): given twice'],
  },
  {
    name: 'an idle time beyond the longest session',
    yaml: 'sessions: {idle: 2m, max: 1m}',
    lines: [`sessions.idle: "2m" (${file} line 1): expected no more than sessions.max`],
  },
  {
    name: 'Redis without its URL, TLS that is off and on',
    yaml: 'redis: {cluster: on}',
    lines: [
      `redis.url: missing (redis.cluster is set, ${file} line 1): expected redis:// or rediss:// with host, and port, user, password and database where needed`,
    ],
  },
  {
    name: 'Redis with TLS on and off, and a database in a cluster',
    yaml: 'redis: {url: "rediss://:hunter2@h/3", tls: off, cluster: true}',
    lines: [
      `redis.tls: "off" (${file} line 1): expected on, as the URL starts with rediss://`,
      `redis.url: "rediss://***@h/3" (${file} line 1): expected no database but 0, as a Redis Cluster has no other`,
    ],
  },
  {
    name: 'half a sign-in, and one topic for two streams',
    yaml: 'kafka:\n  brokers: [h:1]\n  sasl: {mechanism: plain}\n  eventsTopic: x\n  manifestsTopic: x',
    lines: [
      `kafka.manifestsTopic: "x" (${file} line 5): expected another topic than that of kafka.eventsTopic`,
      `kafka.sasl.username: missing (kafka.sasl.mechanism is set, ${file} line 3): expected one line of text`,
      `kafka.sasl.password: missing (kafka.sasl.mechanism is set, ${file} line 3): expected one line of text`,
    ],
  },
  {
    name: 'a secret beside its file',
    yaml: 'redis: {url: redis://h, urlFile: /u}',
    files: { '/u': 'redis://h' },
    lines: [`redis.url: given twice (${file} line 1): expected redis.url or redis.urlFile, not both`],
  },
  {
    name: 'secret files that are missing, empty and wrong',
    yaml: 'redis: {urlFile: gone}\nkafka: {brokers: h:1, sasl: {mechanism: plain, username: u, passwordFile: /empty}}',
    files: { '/empty': '\n' },
    lines: [
      `redis.urlFile: "gone" (${file} line 1): no such file; expected a file with redis:// or rediss:// with host, and port, user, password and database where needed`,
      `kafka.sasl.passwordFile: "/empty" (${file} line 2): is empty; expected a file with one line of text`,
    ],
  },
  {
    name: 'databases and token keys that are none',
    yaml: 'geo: {city: /gone, asn: /text}\ntokenKeys: {file: /keys}',
    files: { '/text': 'hello', '/keys': `${'a'.repeat(64)}\nhunter2\n` },
    lines: [
      `geo.city: "/gone" (${file} line 1): no such file; expected a database file in MaxMind format (.mmdb)`,
      `geo.asn: "/text" (${file} line 1): is no MaxMind database; expected a database file in MaxMind format (.mmdb)`,
      `tokenKeys.file: "/keys" (${file} line 2): line 2 is no key; expected a file with one key of 64 hex digits on each line`,
    ],
  },
]

test.each(refused)('refused: $name', ({ lines, ...given }) => {
  expect(problemsOf(given)).toEqual(lines)
})
