/**
 * The one table of settings. Validation, flags, variables, help texts, `schemas/config.json` and the
 * tables of `docs/configuration.md` all come from it.
 */
import { addressRange } from './address-range.ts'
import { listenAddress, publicUrl, redirectHost, upstreamUrl } from './addresses.ts'
import { certificate, domainGroup, privateKey } from './domain-schema.ts'
import { boolean, choice, duration, integer, type Kind, matching, path, size, word } from './kinds.ts'
import { autonomousSystem, countryCode, networkType, rotation } from './privacy-kinds.ts'
import { serviceSettings } from './service-schema.ts'
import { type Group, type Setting, setting } from './setting.ts'
import { threadCount, workerCount } from './threads.ts'

const database = path('FILE', 'a database file in MaxMind format (.mmdb)')
export const settings = {
  upstream: setting(upstreamUrl, {
    help: 'The registry behind the front; a path in it is put before every repository.',
    flag: 'upstream',
    variable: 'WAYBILL_UPSTREAM',
    default: 'https://registry-1.docker.io',
  }),
  listen: setting(listenAddress, {
    help: 'Where clients connect: one address or a list; in the file each may be a map with its own certificate.',
    flag: 'listen',
    variable: 'WAYBILL_LISTEN',
    default: '127.0.0.1:8080',
    list: true,
    needsOne: true,
    members: {
      'tls.cert': setting(certificate, { help: 'Certificate of this listener.' }),
      'tls.key': setting(privateKey, { help: 'Private key of this listener.' }),
    },
  }),
  'tls.cert': setting(certificate, {
    help: 'Certificate of every listener without its own.',
    flag: 'tls-cert',
    variable: 'WAYBILL_TLS_CERT',
    unset: 'plain HTTP',
  }),
  'tls.key': setting(privateKey, {
    help: 'Private key of that certificate.',
    flag: 'tls-key',
    variable: 'WAYBILL_TLS_KEY',
    unset: 'plain HTTP',
  }),
  publicUrl: setting(publicUrl, {
    help: 'The URL that clients know the front by; decides realm, Link and Location.',
    flag: 'public-url',
    variable: 'WAYBILL_PUBLIC_URL',
    unset: 'from each request',
  }),
  admin: setting(listenAddress, {
    help: 'Where metrics and health are served.',
    flag: 'admin',
    variable: 'WAYBILL_ADMIN',
    default: '127.0.0.1:9464',
  }),
  data: setting(path('DIR', 'a folder'), {
    help: 'The data folder: log, embedded store, keys.',
    flag: 'data',
    variable: 'WAYBILL_DATA',
    default: './data',
  }),
  node: setting(
    matching('NAME', '1 to 64 letters, digits, ".", "_" and "-"', '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    {
      help: 'Name of this node in events.',
      unset: 'a random id kept in the data folder',
    },
  ),
  auth: setting(choice(['token', 'open', 'passthrough']), {
    help: 'token: the front hands out tokens of its own; open: it never challenges; passthrough: clients sign in to the registry.',
    flag: 'auth',
    variable: 'WAYBILL_AUTH',
    default: 'token',
  }),
  blobs: setting(choice(['redirect', 'stream']), {
    help: "redirect: hand the registry's own redirect on; stream: follow it and send the bytes.",
    flag: 'blobs',
    variable: 'WAYBILL_BLOBS',
    default: 'redirect',
  }),
  redirectHosts: setting(redirectHost, {
    help: "Hosts that blobs may be redirected to or streamed from; the registry's own is always allowed for stream.",
    list: true,
    unset: 'any https host',
  }),
  trustedProxies: setting(addressRange, {
    help: 'Proxies whose X-Forwarded-For and X-Forwarded-Proto count; read from the right.',
    list: true,
    unset: 'none',
  }),
  proxyProtocol: setting(boolean, {
    help: 'Connections of trusted proxies begin with a PROXY protocol header.',
    default: 'off',
  }),
  streamRanges: setting(addressRange, {
    help: 'Clients that get blobs streamed whatever their route says.',
    list: true,
    unset: 'none',
  }),
  'tokenKeys.file': setting(path('FILE', 'a file with one key of 64 hex digits on each line'), {
    help: 'Keys that tokens are signed with; the first signs, all are accepted.',
    unset: 'one is made and kept in the data folder or in Redis',
  }),
  'threads.proxy': setting(threadCount, {
    help: 'Proxy threads; auto: half the cores.',
    flag: 'proxy-threads',
    variable: 'WAYBILL_PROXY_THREADS',
    default: 'auto',
  }),
  'threads.workers': setting(workerCount, {
    help: 'Pool workers: a fixed number or MIN-MAX; auto: 1 up to one less than the cores, at least 2.',
    flag: 'workers',
    variable: 'WAYBILL_WORKERS',
    default: 'auto',
  }),
  'sessions.idle': setting(duration({ from: '100ms', to: '30m' }), {
    help: 'A session ends after this time without a request; a value that is set caps those of HEADs and builders.',
    flag: 'session-idle',
    variable: 'WAYBILL_SESSION_IDLE',
    unset: '60s; sessions of HEADs only 10s, of builders 30m',
  }),
  'sessions.max': setting(duration({ from: '1s', to: '7d' }), {
    help: 'A session is cut after this time.',
    default: '24h',
  }),
  'sessions.lateness': setting(duration({ from: '0s', to: '1h' }), {
    help: 'How long a session waits for records of a node that has fallen behind.',
    default: '30s',
  }),
  ...serviceSettings,
  'retention.events': setting(duration({ from: '1s', to: '3650d', off: true }), {
    help: 'How long the embedded store keeps package events.',
    default: '400d',
  }),
  'retention.requests': setting(duration({ from: '1s', to: '3650d', off: true }), {
    help: 'How long the embedded store keeps request events.',
    default: 'off',
  }),
  'retention.maxBytes': setting(size({ from: '1MiB', to: '100TiB' }), {
    help: 'Most that the embedded store takes; the oldest goes first.',
    default: '5GiB',
  }),
  'log.maxBytes': setting(size({ from: '1MiB', to: '100TiB' }), {
    help: 'Most that the local log takes.',
    default: '2GiB',
  }),
  'log.maxAge': setting(duration({ from: '1s', to: '90d' }), {
    help: 'How long the local log keeps what is not delivered.',
    default: '24h',
  }),
  'geo.city': setting(database, {
    help: 'City or country database.',
    unset: 'that of `waybill geo install`',
  }),
  'geo.asn': setting(database, {
    help: 'Database of autonomous systems.',
    unset: 'that of `waybill geo install`',
  }),
  'geo.company': setting(database, {
    help: 'Database of companies, or of types of networks.',
    unset: 'none',
  }),
  'geo.overrides': setting(path('FILE', 'a CSV file of range,company,domain,type'), {
    help: 'What the operator knows better of some ranges.',
    unset: 'none',
  }),
  'geo.detail': setting(choice(['country', 'region', 'city']), {
    help: 'How finely events tell where a client is.',
    default: 'region',
  }),
  'privacy.rotation': setting(rotation, {
    help: 'How long a key of pseudonyms lives before it is destroyed.',
    default: '24h',
  }),
  'privacy.keyFile': setting(path('FILE', 'a file with keys of 64 hex digits, one on each line'), {
    help: 'Keys that wrap the keys of pseudonyms in Redis, so that several nodes make the same.',
    unset: 'random keys of this node',
  }),
  'privacy.operator': setting(word, {
    help: 'Who is responsible, for the page /privacy.',
    unset: 'not told',
  }),
  'privacy.contact': setting(word, { help: 'Whom to ask, for the page /privacy.', unset: 'not told' }),
  'privacy.purpose': setting(word, { help: 'What for, for the page /privacy.', unset: 'not told' }),
  'block.countries': setting(countryCode, { help: 'Countries that are refused.', list: true, unset: 'none' }),
  'block.asns': setting(autonomousSystem, { help: 'Networks that are refused.', list: true, unset: 'none' }),
  'block.types': setting(networkType, {
    help: 'Types of networks that are refused.',
    list: true,
    unset: 'none',
  }),
  'block.ranges': setting(addressRange, { help: 'Ranges that are refused.', list: true, unset: 'none' }),
  'block.companies': setting(word, {
    help: 'Companies that are refused, by name or domain.',
    list: true,
    unset: 'none',
  }),
  'limits.headerBytes': setting(size({ from: '4KiB', to: '64KiB' }), {
    help: 'Longest head of a request.',
    default: '16KiB',
  }),
  'limits.connections': setting(integer(1, 1_000_000), {
    help: 'Most client connections.',
    default: '20000',
  }),
  'limits.connectionsPerClient': setting(integer(1, 1_000_000), {
    help: 'Most connections of one client address.',
    default: '512',
  }),
  'limits.upstreamRequests': setting(integer(1, 100_000), {
    help: 'Most requests at a time to the registry.',
    default: '1024',
  }),
  'limits.manifestBytes': setting(size({ from: '1KiB', to: '64MiB' }), {
    help: 'Longest manifest that is kept and read; longer ones are only relayed.',
    default: '8MiB',
  }),
  'limits.manifestCacheBytes': setting(size({ from: '64KiB', to: '64GiB' }), {
    help: 'Size of the manifest cache.',
    default: '64MiB',
  }),
  'limits.firstByteTimeout': setting(duration({ from: '10ms', to: '10m' }), {
    help: 'Longest wait for the first byte of the registry.',
    default: '30s',
  }),
  'limits.minRate': setting(size({ from: '0', to: '1GiB' }), {
    help: 'Bytes per second below which a client counts as gone; 0: never.',
    default: '1KiB',
  }),
  'limits.requestTimeout': setting(duration({ from: '100ms', to: '7d' }), {
    help: 'Longest time of a whole request.',
    default: '6h',
  }),
  logLevel: setting(choice(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']), {
    help: 'Least important line that is logged.',
    flag: 'log-level',
    variable: 'WAYBILL_LOG_LEVEL',
    default: 'info',
  }),
} as const satisfies Readonly<Record<string, Setting>>

export type Key = keyof typeof settings

type Read<S> = S extends { kind: Kind<infer T> } ? T : never
type Missing<S> = S extends { nullable: true } ? null : S extends { default: string } ? never : null

/** What a key holds once defaults are filled in; of a list, what each member holds. */
export type ValueOf<K extends Key> = Read<(typeof settings)[K]> | Missing<(typeof settings)[K]>

/** The same table without the exact types, for those that walk it. */
export const settingsByKey: ReadonlyMap<string, Setting> = new Map<string, Setting>(Object.entries(settings))

/** Keys that hold a list of maps; only in the file. */
export const groupsByKey: ReadonlyMap<string, Group> = new Map([['domains', domainGroup]])

/** The file itself: a flag and a variable, but no key. */
export const configFlag = { flag: 'config', variable: 'WAYBILL_CONFIG' } as const

/**
 * Keys of the contract whose part comes in a later version, with all below them: refused, because an
 * accepted key that does nothing would be a silent wrong answer. Taking one from here switches it on.
 */
export const laterKeys: readonly string[] = []

/** Whether the key, or a group that it is in, comes in a later version. */
export function isLater(key: string): boolean {
  return laterKeys.some((later) => key === later || key.startsWith(`${later}.`))
}
