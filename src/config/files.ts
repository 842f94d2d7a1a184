/**
 * Reads the files that a config names, and says in a few words why one is of no use.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'

/** Like `readFileSync`: the bytes, or throws a Node error. */
export type ReadFile = (path: string) => Uint8Array

export type Content<T> = { ok: true; content: T } | { ok: false; why: string }

/** Far more than any config, key or certificate chain. */
const maxTextBytes = 1 << 20

const whyByCode: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  EACCES: 'not readable',
  EPERM: 'not readable',
  EISDIR: 'is a folder',
}

export function tryReadBytes(readFile: ReadFile, path: string): Content<Uint8Array> {
  try {
    return { ok: true, content: readFile(path) }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    return { ok: false, why: whyByCode[code] ?? `cannot be read (${code})` }
  }
}

export function tryReadText(readFile: ReadFile, path: string): Content<string> {
  const bytes = tryReadBytes(readFile, path)
  if (!bytes.ok) return bytes
  if (bytes.content.length > maxTextBytes) return { ok: false, why: 'is longer than 1 MiB' }
  try {
    return { ok: true, content: new TextDecoder('utf-8', { fatal: true }).decode(bytes.content) }
  } catch {
    return { ok: false, why: 'is not UTF-8 text' }
  }
}

/** A secret as editors and `kubectl create secret` leave it: the newline at its end is not part of it. */
export function tryReadSecret(readFile: ReadFile, path: string): Content<string> {
  const text = tryReadText(readFile, path)
  if (!text.ok) return text
  const content = text.content.replace(/\r?\n$/, '')
  return content === '' ? { ok: false, why: 'is empty' } : { ok: true, content }
}

const pemCertificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** All certificates of a PEM file, of which there is at least one. */
export function tryReadCertificates(
  readFile: ReadFile,
  path: string,
): Content<{ pem: string; certificates: X509Certificate[] }> {
  const text = tryReadText(readFile, path)
  if (!text.ok) return text
  try {
    const certificates = (text.content.match(pemCertificate) ?? []).map((pem) => new X509Certificate(pem))
    if (certificates.length > 0) return { ok: true, content: { pem: text.content, certificates } }
  } catch {
    // Told below: the reader's own words speak of ASN.1.
  }
  return { ok: false, why: 'holds no PEM certificate' }
}

export function tryReadPrivateKey(
  readFile: ReadFile,
  path: string,
): Content<ReturnType<typeof createPrivateKey>> {
  const text = tryReadText(readFile, path)
  if (!text.ok) return text
  try {
    return { ok: true, content: createPrivateKey(text.content) }
  } catch {
    return { ok: false, why: 'holds no PEM private key, or one with a passphrase' }
  }
}

/** Keys of 32 bytes in hex, one on each line; no line is ever quoted. */
export function tryReadTokenKeys(readFile: ReadFile, path: string): Content<string[]> {
  const text = tryReadText(readFile, path)
  if (!text.ok) return text
  const keys: string[] = []
  for (const [index, line] of text.content.split(/\r?\n/).entries()) {
    const key = line.trim().toLowerCase()
    if (key === '') continue
    if (!/^[0-9a-f]{64}$/.test(key)) return { ok: false, why: `line ${index + 1} is no key` }
    keys.push(key)
  }
  return keys.length > 0 ? { ok: true, content: keys } : { ok: false, why: 'holds no key' }
}

/** Stands before the metadata at the end of every database (MaxMind DB file format 2.0, "Database Metadata"). */
const databaseMarker = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1')

/** The tables of `waybill geo install` begin with it. */
const tableMarker = Buffer.from('WBR1')

export function tryFindDatabase(readFile: ReadFile, path: string): Content<null> {
  const bytes = tryReadBytes(readFile, path)
  if (!bytes.ok) return bytes
  const { buffer, byteOffset, length } = bytes.content
  const content = Buffer.from(buffer, byteOffset, length)
  if (content.subarray(0, tableMarker.length).equals(tableMarker)) return { ok: true, content: null }
  return content.lastIndexOf(databaseMarker) === -1
    ? { ok: false, why: 'is no MaxMind database' }
    : { ok: true, content: null }
}
