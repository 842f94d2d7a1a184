/** A HAProxy before one front or several. */
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort, removeFolder, startProcess, temporaryFolder } from './processes.ts'

export type Haproxy = { url: string; host: string; stop(): Promise<void> }

export type HaproxyOptions = {
  /** host:port */
  backends: readonly string[]
  mode?: 'http' | 'tcp'
  /** `send-proxy`, `send-proxy-v2`, …: added to each server. */
  server?: string
  /** PEM file with key and certificate: TLS ends here. */
  certificate?: string
  /** Lines of the frontend. */
  frontend?: string
  /** Lines of the backend. */
  backend?: string
}

export async function startHaproxy(options: HaproxyOptions): Promise<Haproxy> {
  const { backends, mode = 'http', server = '', certificate } = options
  const folder = temporaryFolder('haproxy')
  const port = await freePort()
  const file = join(folder, 'haproxy.cfg')
  writeFileSync(
    file,
    `global
  maxconn 4000
defaults
  mode ${mode}
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout http-request 10s
frontend front
  bind 127.0.0.1:${port}${certificate ? ` ssl crt ${certificate}` : ''}
${options.frontend ?? ''}
  default_backend back
backend back
${options.backend ?? ''}
${backends.map((address, number) => `  server s${number} ${address} ${server}`).join('\n')}
`,
  )
  const running = await startProcess({
    command: 'haproxy',
    args: ['-db', '-f', file],
    ready: () => accepts(port),
  })
  return {
    url: `${certificate ? 'https' : 'http'}://127.0.0.1:${port}`,
    host: `127.0.0.1:${port}`,
    async stop() {
      await running.stop('SIGKILL')
      removeFolder(folder)
    },
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
