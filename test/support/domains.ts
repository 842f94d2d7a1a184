/** A Waybill with a config file that can be rewritten, and what its TLS listeners show. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { createCertificate } from '../../src/config/certificate-fixture.ts'
import { temporaryFolder } from './processes.ts'
import { startWaybill, type Waybill } from './waybill.ts'

const dayMs = 86_400_000

export type CertificateFiles = { cert: string; key: string }

/** Writes a new self-signed pair for `name` into two files; again with the same folder: another pair. */
export function writeCertificate(
  folder: string,
  name: string,
  validFor: { fromMs?: number; toMs?: number } = {},
): CertificateFiles {
  const { fromMs = Date.now() - dayMs, toMs = Date.now() + dayMs } = validFor
  const pair = createCertificate(fromMs, toMs, name)
  const files = { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) }
  writeFileSync(files.cert, pair.cert)
  writeFileSync(files.key, pair.key)
  return files
}

export type ConfiguredWaybill = Waybill & {
  port: number
  /** Rewrites the file and sends SIGHUP. */
  reload(config: object): void
}

/** `config`: what the file says; JSON is YAML. */
export async function startConfigured(
  config: object,
  args: readonly string[] = [],
): Promise<ConfiguredWaybill> {
  const file = join(temporaryFolder('config'), 'waybill.yaml')
  const write = (next: object): void => writeFileSync(file, JSON.stringify(next))
  write(config)
  const waybill = await startWaybill({ args: ['--config', file, '--session-idle', '2s', ...args] })
  return {
    ...waybill,
    port: Number(waybill.host.slice(waybill.host.lastIndexOf(':') + 1)),
    reload(next) {
      write(next)
      process.kill(waybill.pid, 'SIGHUP')
    },
  }
}

/** A connection whose handshake is done. */
export function openTls(port: number, servername: string, host = '127.0.0.1'): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const name = servername === '' ? {} : { servername }
    const socket = connect({ host, port, ...name, rejectUnauthorized: false }, () => resolve(socket))
    socket.on('error', reject)
  })
}

/** Common name and fingerprint of the certificate that is shown. */
export async function shownCertificate(port: number, servername: string, host?: string): Promise<string> {
  const socket = await openTls(port, servername, host)
  const { subject, fingerprint256 } = socket.getPeerCertificate()
  socket.destroy()
  return `${subject.CN} ${fingerprint256}`
}

/** Status of a request on an open connection. */
export function askOn(socket: TLSSocket, host: string, path = '/v2/'): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.once('data', (data: Buffer) => resolve(data.toString('latin1').split(' ')[1] ?? ''))
    socket.once('close', () => reject(new Error('closed')))
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
  })
}
