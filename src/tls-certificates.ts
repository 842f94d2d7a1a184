/**
 * The certificates in use: read again when their files change, and only taken when they are good. What threads are
 * given is a copy that no writer of the files can touch, held by the process alone and never under a name.
 */
import { createPrivateKey, type KeyObject, randomBytes, X509Certificate } from 'node:crypto'
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Config } from './config/types.ts'
import type { Certificates } from './proxy/types.ts'

type Pair = { cert: string; key: string }
type Log = Record<'info' | 'error', (fields: object, message: string) => void>
export type CertificateEnd = { host: string; expiresAtMs: number }

export type CertificateStore = {
  /** As threads shall load them. */
  current(): Certificates
  ends(): CertificateEnd[]
  /** Names whose file holds something else than what is shown, and why it was not taken. */
  problems(): { host: string; why: string }[]
  /** The listeners and domains of another config. */
  use(config: Pick<Config, 'listen' | 'domains'>): void
  /** Looks at the files; true: there are new ones among them. */
  look(): boolean
  /** Nobody loads what `current` gave before its last call. */
  release(): void
  close(): void
}

/** What uWebSockets.js (BoringSSL) can serve of what Node reads; OpenSSL's names of the NIST curves. */
const curves: readonly (string | undefined)[] = ['prime256v1', 'secp384r1', 'secp521r1']
const pinFolder = '/proc/self/fd'

type Entry = Pair & {
  /** State of the files that was taken, and that which was looked at last. */
  taken: string
  seen: string
  pinned: number | null
  expiresAtMs: number
  /** What was seen has been found of no use. */
  judged: boolean
  why: string | null
}

/** `folder`: where the copy is made, under a name that is gone before anything is written. */
export function createCertificateStore(options: {
  config: Pick<Config, 'listen' | 'domains'>
  folder: string
  log: Log
  now?: () => number
}): CertificateStore {
  const { folder, log, now = Date.now } = options
  const entries = new Map<string, Entry>()
  let stale: number[] = []
  let config = options.config

  const pin = (content: Buffer): number | null => {
    if (!existsSync(pinFolder)) return null
    const file = join(folder, `.certificate-${randomBytes(8).toString('hex')}`)
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL
    const descriptor = openSync(file, flags, 0o600)
    unlinkSync(file)
    writeSync(descriptor, content)
    return descriptor
  }

  const take = (entry: Entry, signature: string, { content, expiresAtMs }: Loaded): void => {
    if (entry.pinned !== null) stale.push(entry.pinned)
    entry.pinned = pin(content)
    Object.assign(entry, { taken: signature, seen: signature, expiresAtMs, why: null, judged: false })
  }

  const entryOf = (pair: Pair): Entry => {
    const id = `${pair.cert}\n${pair.key}`
    const known = entries.get(id)
    if (known) return known
    const entry: Entry = {
      ...pair,
      taken: '',
      seen: '',
      pinned: null,
      expiresAtMs: Number.NaN,
      judged: false,
      why: null,
    }
    entries.set(id, entry)
    const signature = signatureOf(pair)
    const loaded = tryLoad(pair, Number.NEGATIVE_INFINITY)
    // The config has judged it; what has changed since then is for the first look.
    if (loaded.ok) take(entry, signature, loaded)
    return entry
  }

  const shown = (pair: Pair): Pair => {
    const { pinned } = entryOf(pair)
    // One file for both: each reader of PEM takes its own blocks.
    const path = `${pinFolder}/${pinned}`
    return pinned === null ? pair : { cert: path, key: path }
  }

  const uses = (): { host: string; pair: Pair }[] => [
    ...config.listen.flatMap(({ host, port, tls }) => (tls ? [{ host: `${host}:${port}`, pair: tls }] : [])),
    ...config.domains.flatMap(({ host, tls }) => (host !== null && tls ? [{ host, pair: tls }] : [])),
  ]

  const lookAt = (entry: Entry): boolean => {
    const signature = signatureOf(entry)
    if (signature === entry.taken) {
      Object.assign(entry, { seen: signature, why: null, judged: false })
      return false
    }
    const isSecondLook = signature === entry.seen
    if (isSecondLook && entry.judged) return false
    entry.seen = signature
    entry.judged = isSecondLook
    const loaded = tryLoad(entry, now())
    if (loaded.ok) {
      take(entry, signature, loaded)
      log.info(
        { file: entry.cert, expires: new Date(entry.expiresAtMs).toISOString() },
        'a certificate was replaced',
      )
      return true
    }
    // Certificate and key are two files: between the two writes they do not fit, which is no error.
    if (isSecondLook) {
      entry.why = loaded.why
      log.error({ file: entry.cert, why: loaded.why }, 'a new certificate is of no use: the old one stays')
    }
    return false
  }

  const store: CertificateStore = {
    current: () => ({
      listen: config.listen.map(({ tls }) => tls && shown(tls)),
      names: config.domains.flatMap(({ host, tls }) =>
        host !== null && tls ? [{ host, ...shown(tls) }] : [],
      ),
    }),
    ends: () => uses().map(({ host, pair }) => ({ host, expiresAtMs: entryOf(pair).expiresAtMs })),
    problems: () =>
      uses().flatMap(({ host, pair }) => {
        const { why } = entryOf(pair)
        return why === null ? [] : [{ host, why }]
      }),
    use(next) {
      config = next
      const used = new Set(uses().map(({ pair }) => entryOf(pair)))
      for (const [id, entry] of entries) {
        if (used.has(entry)) continue
        if (entry.pinned !== null) stale.push(entry.pinned)
        entries.delete(id)
      }
    },
    look: () => [...entries.values()].map(lookAt).some(Boolean),
    release() {
      for (const descriptor of stale) closeSync(descriptor)
      stale = []
    },
    close() {
      for (const { pinned } of entries.values()) if (pinned !== null) stale.push(pinned)
      entries.clear()
      store.release()
    },
  }
  store.use(config)
  return store
}

/** Follows links: whoever replaces a file, a link or a folder on the way changes it (certbot, Kubernetes). */
function signatureOf({ cert, key }: Pair): string {
  return [cert, key]
    .map((path) => {
      try {
        const { dev, ino, size, mtimeMs, ctimeMs } = statSync(path)
        return [dev, ino, size, mtimeMs, ctimeMs].join(':')
      } catch (error) {
        return String((error as NodeJS.ErrnoException).code)
      }
    })
    .join(' ')
}

type Loaded = { content: Buffer; expiresAtMs: number }

function tryLoad({ cert, key }: Pair, nowMs: number): ({ ok: true } & Loaded) | { ok: false; why: string } {
  const refuse = (why: string) => ({ ok: false, why }) as const
  let content: Buffer
  let leaf: X509Certificate
  let privateKey: KeyObject
  try {
    content = Buffer.concat([readFileSync(cert), Buffer.from('\n'), readFileSync(key)])
  } catch (error) {
    return refuse(`cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
  try {
    leaf = new X509Certificate(readFileSync(cert))
  } catch {
    return refuse('holds no certificate')
  }
  try {
    privateKey = createPrivateKey(readFileSync(key))
  } catch {
    return refuse('has no private key, or one with a passphrase')
  }
  if (!leaf.checkPrivateKey(privateKey)) return refuse('does not belong to its private key')
  const expiresAtMs = Date.parse(leaf.validTo)
  if (expiresAtMs <= nowMs) return refuse(`has expired on ${leaf.validTo}`)
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = leaf.publicKey
  const isServable =
    type === 'rsa' || type === 'ed25519' || (type === 'ec' && curves.includes(details?.namedCurve))
  return isServable ? { ok: true, content, expiresAtMs } : refuse('has a kind of key that cannot be served')
}
