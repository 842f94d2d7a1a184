/** An nginx with one worker, to measure Waybill against. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Certificates } from './certificates.ts'
import { freePort, removeFolder, startProcess, temporaryFolder } from './processes.ts'

export type Nginx = {
  url: string
  host: string
  /** Of the worker, which does all the work: measure this one's CPU time. */
  pid: number
  masterPid: number
  /** Buffered: lines come when 64 KiB are full, and at the end. */
  accessLog: string
  stop(): Promise<void>
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return text === '' ? [] : text.split(' ').map(Number)
}

/** `server` goes into the one `server {}` block, `http` before it (an `upstream {}` block, say). */
export async function startNginx(server: string, http = ''): Promise<Nginx> {
  const folder = temporaryFolder('nginx')
  const port = await freePort()
  const accessLog = join(folder, 'access.log')
  mkdirSync(join(folder, 'tmp'))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `  ${name}_temp_path ${join(folder, 'tmp', name)};\n`)
    .join('')
  // Workers started by root would change to a user who may not enter the folder.
  const user = process.getuid?.() === 0 ? 'user root;\n' : ''
  writeFileSync(
    join(folder, 'nginx.conf'),
    `${user}worker_processes 1;
daemon off;
pid ${join(folder, 'nginx.pid')};
error_log stderr warn;
events { worker_connections 4096; }
http {
${temporary}  access_log ${accessLog} combined buffer=64k;
  keepalive_requests 1000000000;
${http}
  server {
    listen 127.0.0.1:${port} backlog=4096;
${server}
  }
}
`,
  )
  let worker = 0
  const master = await startProcess({
    command: 'nginx',
    args: ['-e', 'stderr', '-p', folder, '-c', join(folder, 'nginx.conf')],
    // SIGKILL would leave the worker behind.
    deathSignal: 'SIGTERM',
    ready: async () => {
      if (!(await accepts(port))) return false
      worker = childrenOf(masterPid())[0] ?? 0
      return worker !== 0
    },
  })
  function masterPid(): number {
    return Number(readFileSync(join(folder, 'nginx.pid'), 'utf8'))
  }
  return {
    url: `http://127.0.0.1:${port}`,
    host: `127.0.0.1:${port}`,
    pid: worker,
    masterPid: master.pid,
    accessLog,
    async stop() {
      await master.stop('SIGTERM')
      removeFolder(folder)
    },
  }
}

export type NginxProxy = Pick<Nginx, 'url' | 'host' | 'stop'>

/**
 * One that ends TLS before `to`, with the settings of docs/operations.md. `forwardedFor`: what it says of the
 * client; `upstream`: lines of the `upstream {}` block.
 */
export async function startTlsNginx(
  to: string,
  { cert, key }: Pick<Certificates, 'cert' | 'key'>,
  { forwardedFor = '$remote_addr', upstream = '' } = {},
): Promise<NginxProxy> {
  const host = `127.0.0.1:${await freePort()}`
  const { stop } = await startNginx(
    `    listen ${host} ssl;
    ssl_certificate ${cert};
    ssl_certificate_key ${key};
    location / {
      proxy_pass http://waybill;
      proxy_http_version 1.1;
      proxy_buffering off;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For ${forwardedFor};
      proxy_set_header X-Forwarded-Proto $scheme;
    }`,
    `upstream waybill { server ${to} max_fails=0; ${upstream} }`,
  )
  return { url: `https://${host}`, host, stop }
}

/** Any HTTP answer at all: what the configuration answers is not ours to know. */
async function accepts(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/`, {
    method: 'HEAD',
    redirect: 'manual',
    signal: AbortSignal.timeout(1000),
  })
    .then(() => true)
    .catch(() => false)
}
