/** A test authority and a server certificate of it, made by openssl. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run, temporaryFolder } from './processes.ts'

/** Paths of PEM files. */
export type Certificates = { folder: string; ca: string; cert: string; key: string }

async function openssl(folder: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await run('openssl', args, { cwd: folder, timeoutMs: 20_000 })
  if (code !== 0) throw new Error(`openssl ${args[0]} failed\n${stderr}`)
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** Valid for 127.0.0.1, localhost and the given DNS names; removed when the test process ends. */
export async function createCertificates(names: readonly string[] = []): Promise<Certificates> {
  const folder = temporaryFolder('tls')
  const alternatives = ['IP:127.0.0.1', 'DNS:localhost', ...names.map((name) => `DNS:${name}`)]
  writeFileSync(
    join(folder, 'server.ext'),
    `subjectAltName=${alternatives.join(',')}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n`,
  )
  const ca = ['-keyout', 'ca.key', '-out', 'ca.crt', '-days', '2', '-subj', '/CN=Waybill test authority']
  await openssl(folder, 'req', '-x509', ...newKey, ...ca)
  await openssl(folder, 'req', ...newKey, '-keyout', 'tls.key', '-out', 'tls.csr', '-subj', '/CN=localhost')
  const signing = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'server.ext']
  await openssl(folder, 'x509', '-req', '-in', 'tls.csr', ...signing, '-out', 'tls.crt', '-days', '2')
  const [authority, cert, key] = ['ca.crt', 'tls.crt', 'tls.key'].map((name) => join(folder, name))
  return { folder, ca: authority!, cert: cert!, key: key! }
}
