/**
 * Listeners and their certificates: what is bound where, and that each key fits its certificate.
 */
import { formatHostPort, type HostPort } from './addresses.ts'
import { resolveCertificate } from './certificates.ts'
import type { ReadFile } from './files.ts'
import { problem } from './findings.ts'
import type { SettledValues } from './settled-values.ts'
import type { Listener } from './types.ts'

type Surroundings = { readonly readFile: ReadFile; readonly nowMs: number }

export function resolveListeners(values: SettledValues, surroundings: Surroundings): Listener[] {
  if (values.isGiven('tls.cert')) values.miss('tls.key', 'tls.cert')
  if (values.isGiven('tls.key')) values.miss('tls.cert', 'tls.key')
  const shared = resolveCertificate(values, values.found('tls.cert'), values.found('tls.key'), surroundings)
  const found = values.foundAll('listen')
  const listeners: Listener[] = values.all('listen').map((address, index) => {
    const cert = found[index]?.members?.get('tls.cert')
    const key = found[index]?.members?.get('tls.key')
    const given = cert ?? key
    if (given !== undefined && (cert === undefined || key === undefined)) {
      const place = given.key.replace(/\.tls\.\w+$/, cert === undefined ? '.tls.cert' : '.tls.key')
      values.problems.push(problem(place, 'missing', given.source, 'expected certificate and key together'))
    }
    return { ...address, tls: resolveCertificate(values, cert, key, surroundings) ?? shared }
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

/** Every address of the machine; `::` takes IPv4 too. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}

/** Port 0 is any free port: it never clashes. */
function overlaps(a: HostPort, b: HostPort): boolean {
  return a.port !== 0 && a.port === b.port && (a.host === b.host || isWildcard(a.host) || isWildcard(b.host))
}
