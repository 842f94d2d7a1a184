/** A HAProxy that ends TLS before one server on plain HTTP. */
import { readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Certificates } from './certificates.ts'
import { freePort, removeFolder, startProcess, temporaryFolder } from './processes.ts'

export type Haproxy = {
  /** host:port on TLS. */
  host: string
  stop(): Promise<void>
}

/** `to`: host:port; the settings are those of docs/clients.md. */
export async function startHaproxy(to: string, { cert, key }: Certificates): Promise<Haproxy> {
  const folder = temporaryFolder('haproxy')
  const host = `127.0.0.1:${await freePort()}`
  const both = join(folder, 'both.pem')
  writeFileSync(both, readFileSync(cert, 'utf8') + readFileSync(key, 'utf8'))
  writeFileSync(
    join(folder, 'haproxy.cfg'),
    `defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend tls
  bind ${host} ssl crt ${both}
  option forwardfor
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
  default_backend waybill
backend waybill
  server waybill ${to}
`,
  )
  const server = await startProcess({
    command: 'haproxy',
    args: ['-db', '-f', join(folder, 'haproxy.cfg')],
    ready: () => accepts(host),
  })
  return {
    host,
    async stop() {
      await server.stop('SIGTERM')
      removeFolder(folder)
    },
  }
}

function accepts(host: string): Promise<boolean> {
  const [address, port] = host.split(':')
  return new Promise((resolve) => {
    const socket = connect(Number(port), address)
    const end = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.on('connect', () => end(true))
    socket.on('error', () => end(false))
  })
}
