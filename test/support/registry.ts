/** A real registry (distribution) on plain HTTP, and images pushed to it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Image, type ImageOptions, writeImage } from './image.ts'
import { freePort, removeFolder, startProcess, temporaryFolder } from './processes.ts'
import { skopeoPush } from './skopeo.ts'

export type Registry = {
  url: string
  /** host:port */
  host: string
  pid: number
  stop(): Promise<void>
  /** Log lines, one access line for each request among them. */
  output(): string
  pause(): void
  resume(): void
}

/** `headers`: added to every answer. `auth`: of its config. `remote`: URL of a registry that it caches; then nothing can be pushed. */
export async function startRegistry(
  options: {
    storage?: 'memory' | 'filesystem'
    headers?: Record<string, string[]>
    remote?: string
    auth?: object
  } = {},
): Promise<Registry> {
  const folder = temporaryFolder('registry')
  const host = `127.0.0.1:${await freePort()}`
  const file = join(folder, 'config.yml')
  const driver =
    options.storage === 'filesystem'
      ? { filesystem: { rootdirectory: join(folder, 'data') } }
      : { inmemory: {} }
  // JSON is YAML.
  const config = {
    version: 0.1,
    log: { level: 'warn' },
    storage: { ...driver, delete: { enabled: true } },
    ...(options.remote === undefined ? {} : { proxy: { remoteurl: options.remote } }),
    ...(options.auth && { auth: options.auth }),
    http: { addr: host, secret: 'test', headers: options.headers ?? {} },
  }
  writeFileSync(file, JSON.stringify(config))
  const server = await startProcess({
    command: 'docker-registry',
    args: ['serve', file],
    env: { OTEL_TRACES_EXPORTER: 'none' },
    ready: () =>
      fetch(`http://${host}/v2/`, { signal: AbortSignal.timeout(2000) })
        .then(({ status }) => status === (options.auth ? 401 : 200))
        .catch(() => false),
  })
  return {
    url: `http://${host}`,
    host,
    pid: server.pid,
    async stop() {
      // It drains for as long as connections are open, which a test need not wait for.
      await server.stop('SIGKILL')
      removeFolder(folder)
    },
    output: server.output,
    pause: () => server.signal('SIGSTOP'),
    resume: () => server.signal('SIGCONT'),
  }
}

/** Writes an image and pushes it as `name:tag`; all its digests and sizes. */
export async function pushImage(
  registry: { host: string; credentials?: string },
  name: string,
  tag: string,
  options: ImageOptions = {},
): Promise<Image> {
  const folder = temporaryFolder('image')
  const image = writeImage(folder, name, tag, options)
  await skopeoPush(folder, tag, `${registry.host}/${name}:${tag}`, registry.credentials)
  removeFolder(folder)
  return image
}
