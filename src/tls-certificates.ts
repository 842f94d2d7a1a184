/**
 * When the certificates in use end.
 */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Listener } from './config/types.ts'

export type CertificateEnd = { host: string; expiresAtMs: number }

/** Read once: what a listener serves is what was in the file when it started. */
export function readCertificateEnds(listen: readonly Listener[]): () => CertificateEnd[] {
  const ends = listen.flatMap(({ host, port, tls }) => {
    if (!tls) return []
    const { validTo } = new X509Certificate(readFileSync(tls.cert))
    return [{ host: `${host}:${port}`, expiresAtMs: Date.parse(validTo) }]
  })
  return () => ends
}
