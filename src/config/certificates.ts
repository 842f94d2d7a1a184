/**
 * A certificate and its key: both can be read, belong together, and are for the name that they serve.
 */
import { resolve } from 'node:path'
import { type ReadFile, tryReadCertificates, tryReadPrivateKey } from './files.ts'
import { type Found, problem } from './findings.ts'
import { settings } from './schema.ts'
import type { SettledValues } from './settled-values.ts'
import type { Listener } from './types.ts'

type Surroundings = { readonly readFile: ReadFile; readonly nowMs: number }

/** `host`: the name that it is for, `*.` before a suffix; undefined: any. */
export function resolveCertificate(
  values: Pick<SettledValues, 'problems' | 'warnings'>,
  cert: Found | undefined,
  key: Found | undefined,
  { readFile, nowMs }: Surroundings,
  host?: string,
): Listener['tls'] {
  const certPath = cert === undefined ? null : resolve(cert.source.dir, String(cert.value))
  const keyPath = key === undefined ? null : resolve(key.source.dir, String(key.value))
  const certContent = certPath === null ? null : tryReadCertificates(readFile, certPath)
  const keyContent = keyPath === null ? null : tryReadPrivateKey(readFile, keyPath)
  const refuse = (found: Found, why: string, name: 'tls.cert' | 'tls.key'): void => {
    const tail = `${why}; expected ${settings[name].kind.expected}`
    values.problems.push(problem(found.key, found.shown, found.source, tail))
  }
  if (cert && certContent?.ok === false) refuse(cert, certContent.why, 'tls.cert')
  if (key && keyContent?.ok === false) refuse(key, keyContent.why, 'tls.key')
  if (!cert || !key || certPath === null || keyPath === null) return null
  if (certContent?.ok && keyContent?.ok) {
    const leaf = certContent.content.certificates[0]!
    if (!leaf.checkPrivateKey(keyContent.content)) {
      const tail = `does not belong to the certificate in ${cert.shown}`
      values.problems.push(problem(key.key, key.shown, key.source, tail))
    }
    const warn = (tail: string) => values.warnings.push(problem(cert.key, cert.shown, cert.source, tail))
    if (Date.parse(leaf.validTo) < nowMs) warn(`has expired on ${leaf.validTo}`)
    // Any one name below a suffix stands for all of them.
    const name = host?.replace(/^\*\./, 'any-name.')
    if (name !== undefined && leaf.checkHost(name) === undefined) warn(`is not for ${host}`)
  }
  return { cert: certPath, key: keyPath }
}
