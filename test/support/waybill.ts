/** Waybill itself, as its users start it. */
import { fileURLToPath } from 'node:url'
import type { PackageEvent } from '../../src/record/events.ts'
import { type Exit, freePort, run, startProcess, temporaryFolder } from './processes.ts'

export type Waybill = {
  url: string
  /** host:port of the traffic port. */
  host: string
  /** URL of the admin server. */
  admin: string
  /** The data folder; it stays until the test process ends. */
  data: string
  pid: number
  stdout(): string
  stderr(): string
  /** SIGTERM; the exit code, null when it had to be killed after 60 s. */
  stop(): Promise<number | null>
  /** SIGKILL, as a crash. */
  kill(): Promise<void>
  exited: Promise<Exit>
  /** The package events of the embedded store, through the command. */
  events(): Promise<PackageEvent[]>
}

export type WaybillOptions = {
  /** Flags of `serve`; `--listen`, `--admin` and `--data` are added where they are missing. */
  args?: readonly string[]
  env?: Record<string, string | undefined>
  /** Data folder, to start again on what another run left. */
  data?: string
  /** host:port on plain HTTP that the config file listens on, so that no `--listen` is added. */
  listens?: string
}

export const command = fileURLToPath(new URL('../../bin/waybill', import.meta.url))

/** The settings of the one who runs the tests must not reach into them. */
function cleanEnvironment(env: WaybillOptions['env']): Record<string, string | undefined> {
  const inherited = Object.keys(process.env).filter((name) => name.startsWith('WAYBILL_'))
  return { ...Object.fromEntries(inherited.map((name) => [name, undefined])), ...env }
}

export async function startWaybill(options: WaybillOptions = {}): Promise<Waybill> {
  const given = options.args ?? []
  const added: string[] = []
  const setting = async (flag: string, fallback: () => string | Promise<string>): Promise<string> => {
    const at = given.indexOf(flag)
    if (at >= 0) return given[at + 1] ?? ''
    const value = await fallback()
    added.push(flag, value)
    return value
  }
  const host = options.listens ?? (await setting('--listen', async () => `127.0.0.1:${await freePort()}`))
  const adminHost = await setting('--admin', async () => `127.0.0.1:${await freePort()}`)
  const data = await setting('--data', () => options.data ?? temporaryFolder('data'))
  const env = cleanEnvironment(options.env)
  const admin = `http://${adminHost}`

  const server = await startProcess({
    command,
    args: ['serve', ...added, ...given],
    env,
    ready: () =>
      fetch(`${admin}/readyz`, { signal: AbortSignal.timeout(2000) })
        .then(async (response) => {
          await response.arrayBuffer()
          return response.status === 200
        })
        .catch(() => false),
  })
  return {
    url: `${given.includes('--tls-cert') ? 'https' : 'http'}://${host}`,
    host,
    admin,
    data,
    pid: server.pid,
    stdout: server.stdout,
    stderr: server.stderr,
    stop: async () => (await server.stop('SIGTERM', 60_000)).code,
    async kill() {
      await server.stop('SIGKILL')
    },
    exited: server.exited,
    async events() {
      const { code, stdout, stderr } = await run(command, ['events', '--data', data, '--format', 'ndjson'], {
        env,
      })
      if (code !== 0) throw new Error(`waybill events ended with ${code}\n${stderr}`)
      return stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as PackageEvent)
    },
  }
}
