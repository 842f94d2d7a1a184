/** A HAProxy before one server or several. */
import { readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Certificates } from './certificates.ts'
import { freePort, removeFolder, startProcess, temporaryFolder } from './processes.ts'

export type Haproxy = {
  url: string
  /** host:port */
  host: string
  stop(): Promise<void>
}

export type HaproxyOptions = {
  /** host:port of each. */
  backends: readonly string[]
  mode?: 'http' | 'tcp'
  /** `send-proxy`, `send-proxy-v2`, …: added to each server. */
  server?: string
  /** TLS ends here. */
  tls?: Pick<Certificates, 'cert' | 'key'>
  /** Lines of the frontend. */
  frontend?: readonly string[]
  /** Lines of the backend. */
  backend?: readonly string[]
}

export async function startHaproxy(options: HaproxyOptions): Promise<Haproxy> {
  const { backends, mode = 'http', server = '', tls, frontend = [], backend = [] } = options
  const folder = temporaryFolder('haproxy')
  const port = await freePort()
  const host = `127.0.0.1:${port}`
  const bundle = join(folder, 'bundle.pem')
  if (tls) writeFileSync(bundle, readFileSync(tls.cert, 'utf8') + readFileSync(tls.key, 'utf8'))
  const file = join(folder, 'haproxy.cfg')
  const lines = [
    ...['global', '  maxconn 4000'],
    ...['defaults', `  mode ${mode}`, '  timeout connect 5s', '  timeout client 30s'],
    ...['  timeout server 30s', '  timeout http-request 10s'],
    ...['frontend front', `  bind ${host}${tls ? ` ssl crt ${bundle}` : ''}`],
    ...frontend.map((line) => `  ${line}`),
    ...['  default_backend back', 'backend back'],
    ...backend.map((line) => `  ${line}`),
    ...backends.map((address, number) => `  server s${number} ${address} ${server}`),
  ]
  writeFileSync(file, lines.map((line) => `${line}\n`).join(''))
  const running = await startProcess({
    command: 'haproxy',
    args: ['-db', '-f', file],
    ready: () => accepts(port),
  })
  return {
    url: `${tls ? 'https' : 'http'}://${host}`,
    host,
    async stop() {
      // It would wait for connections that are kept.
      await running.stop('SIGKILL')
      removeFolder(folder)
    },
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.on('connect', () => end(true))
    socket.on('error', () => end(false))
  })
}
