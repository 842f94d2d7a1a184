/**
 * Makes certificates for tests: self-signed, in memory, so that no key lies in the repository.
 */
import { generateKeyPairSync, sign } from 'node:crypto'

// DER by hand: X.690 8.1, RFC 5280 4.1.
function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  const { length } = content
  // DER wants the shortest form, and BoringSSL insists on it.
  const long = length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...(length < 128 ? [length] : long)]), content])
}

const sequence = (...contents: Uint8Array[]) => der(0x30, ...contents)
const hex = (digits: string) => Buffer.from(digits, 'hex')
const commonNameOid = hex('0603550403')
const ecdsaWithSha256 = sequence(hex('06082a8648ce3d040302'))

/** UTCTime, as RFC 5280 4.1.2.5 wants it up to 2049; BoringSSL refuses any other. */
function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')
  return der(0x17, Buffer.from(digits.slice(2), 'latin1'))
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

/** PEM texts of a certificate for `commonName` and of its key. */
export function createCertificate(
  fromMs: number,
  toMs: number,
  commonName = 'localhost',
): { cert: string; key: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const name = sequence(der(0x31, sequence(commonNameOid, der(0x0c, Buffer.from(commonName)))))
  const body = sequence(
    hex('a003020102'),
    hex('020101'),
    ecdsaWithSha256,
    name,
    sequence(time(fromMs), time(toMs)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
  )
  const signature = der(0x03, hex('00'), sign('sha256', body, privateKey))
  const cert = pem('CERTIFICATE', sequence(body, ecdsaWithSha256, signature))
  return { cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}
