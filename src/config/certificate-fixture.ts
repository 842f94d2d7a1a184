/**
 * Makes certificates for tests: self-signed, in memory, so that no key lies in the repository.
 */
import { generateKeyPairSync, sign } from 'node:crypto'

// DER by hand: X.690 8.1, RFC 5280 4.1.
function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  const { length } = content
  const head = length < 128 ? [tag, length] : [tag, 0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from(head), content])
}

const sequence = (...contents: Uint8Array[]) => der(0x30, ...contents)
const hex = (digits: string) => Buffer.from(digits, 'hex')
const commonNameOid = hex('0603550403')
const ecdsaWithSha256 = sequence(hex('06082a8648ce3d040302'))

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')
  return der(0x18, Buffer.from(digits, 'latin1'))
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

/** PEM texts of a certificate for `localhost` and of its key. */
export function createCertificate(fromMs: number, toMs: number): { cert: string; key: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const name = sequence(der(0x31, sequence(commonNameOid, der(0x0c, Buffer.from('localhost')))))
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
