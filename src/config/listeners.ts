/**
 * Listeners and their certificates: what is bound where, and that each key fits its certificate.
 */
import { resolve } from 'node:path'
import { formatHostPort, type HostPort } from './addresses.ts'
import { type ReadFile, tryReadCertificates, tryReadPrivateKey } from './files.ts'
import { type Found, problem } from './findings.ts'
import { settingsByKey } from './schema.ts'
import type { SettledValues } from './settled-values.ts'
import type { Listener } from './types.ts'

type Surroundings = { readonly readFile: ReadFile; readonly nowMs: number }
type Tls = Listener['tls']

export function resolveListeners(values: SettledValues, surroundings: Surroundings): Listener[] {
  if (values.isGiven('tls.cert')) values.miss('tls.key', 'tls.cert')
  if (values.isGiven('tls.key')) values.miss('tls.cert', 'tls.key')
  const shared = resolveTls(values, values.found('tls.cert'), values.found('tls.key'), surroundings)
  const found = values.foundAll('listen')
  const listeners: Listener[] = values.all('listen').map((address, index) => {
    const cert = found[index]?.members?.get('tls.cert')
    const key = found[index]?.members?.get('tls.key')
    const given = cert ?? key
    if (given !== undefined && (cert === undefined || key === undefined)) {
      const place = given.key.replace(/\.tls\.\w+$/, cert === undefined ? '.tls.cert' : '.tls.key')
      values.problems.push(problem(place, 'missing', given.source, 'expected certificate and key together'))
    }
    return { ...address, tls: resolveTls(values, cert, key, surroundings) ?? shared }
  })
  for (const [index, { host, port }] of listeners.entries()) {
    const isRepeated = listeners.slice(0, index).some((other) => other.host === host && other.port === port)
    const { key, shown, source } = found[index] ?? {}
    if (!isRepeated || port === 0 || key === undefined || shown === undefined || source === undefined)
      continue
    values.problems.push(problem(key, shown, source, 'given twice'))
  }
  const admin = values.get('admin')
  const clash = listeners.find((listener) => overlaps(listener, admin))
  if (clash !== undefined) {
    values.refuse('admin', `expected another port than that of the listener ${formatHostPort(clash)}`)
  }
  return listeners
}

function resolveTls(
  values: SettledValues,
  cert: Found | undefined,
  key: Found | undefined,
  surroundings: Surroundings,
): Tls {
  const { readFile, nowMs } = surroundings
  const certPath = cert === undefined ? null : resolve(cert.source.dir, String(cert.value))
  const keyPath = key === undefined ? null : resolve(key.source.dir, String(key.value))
  const certContent = certPath === null ? null : tryReadCertificates(readFile, certPath)
  const keyContent = keyPath === null ? null : tryReadPrivateKey(readFile, keyPath)
  if (cert && certContent?.ok === false) refuseFile(values, cert, 'tls.cert', certContent.why)
  if (key && keyContent?.ok === false) refuseFile(values, key, 'tls.key', keyContent.why)
  if (!cert || !key || certPath === null || keyPath === null) return null
  if (certContent?.ok && keyContent?.ok) {
    const leaf = certContent.content.certificates[0]!
    if (!leaf.checkPrivateKey(keyContent.content)) {
      const tail = `does not belong to the certificate in ${cert.shown}`
      values.problems.push(problem(key.key, key.shown, key.source, tail))
    }
    if (Date.parse(leaf.validTo) < nowMs) {
      values.warnings.push(problem(cert.key, cert.shown, cert.source, `has expired on ${leaf.validTo}`))
    }
  }
  return { cert: certPath, key: keyPath }
}

function refuseFile(values: SettledValues, found: Found, key: 'tls.cert' | 'tls.key', why: string): void {
  const expected = settingsByKey.get(key)?.kind.expected
  values.problems.push(problem(found.key, found.shown, found.source, `${why}; expected ${expected}`))
}

/** Every address of the machine; `::` takes IPv4 too. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}

/** Port 0 is any free port: it never clashes. */
function overlaps(a: HostPort, b: HostPort): boolean {
  return a.port !== 0 && a.port === b.port && (a.host === b.host || isWildcard(a.host) || isWildcard(b.host))
}
