/** The classic Docker engine on a containerd of its own (needs root), and pulls by the docker command. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { removeLeftovers, startContainerd } from './containerd.ts'
import { removeFolder, run, startProcess, temporaryFolder } from './processes.ts'

type Result = { code: number; stdout: string; stderr: string }

export type DockerEngine = {
  socket: string
  pid: number
  pull(reference: string, options?: { platform?: string }): Promise<Result>
  /** The client's settings, where it keeps what it logged in with. */
  credentials: string
  /** Any other words of the docker command, say `['image', 'rm', reference]`. */
  docker(args: readonly string[]): Promise<Result>
  stop(): Promise<void>
}

export type DockerEngineOptions = {
  /** host:port of registries on plain HTTP. */
  insecureRegistries?: readonly string[]
  /** URL of a registry that stands for Docker Hub. */
  hubMirror?: string
  /**
   * PEM files of authorities to trust besides the system's. They count for names that do not resolve to
   * 127.0.0.0/8: the engine never verifies those.
   */
  certs?: readonly string[]
  /** Added to the engine's environment, say HTTPS_PROXY to give names of a test a place. */
  env?: Record<string, string>
}

// Debian's package first: another engine on the PATH may lack the vfs driver or ask for more of the machine.
const engine = existsSync('/usr/sbin/dockerd') ? '/usr/sbin/dockerd' : 'dockerd'
const systemAuthorities = '/etc/ssl/certs/ca-certificates.crt'

export async function startDockerEngine(options: DockerEngineOptions = {}): Promise<DockerEngine> {
  const folder = temporaryFolder('docker')
  const socket = join(folder, 'docker.sock')
  // Go reads SSL_CERT_FILE; the engine's own way is a folder in /etc, which is not ours.
  const bundle = join(folder, 'authorities.pem')
  const files = [...(existsSync(systemAuthorities) ? [systemAuthorities] : []), ...(options.certs ?? [])]
  writeFileSync(bundle, files.map((file) => readFileSync(file, 'utf8')).join('\n'))
  // Of our own, so that the machine's /etc/docker/daemon.json has no say. Engines before 23 also write a key
  // into /etc/docker unless told where else; later ones refuse the setting.
  const { stdout: version } = await run(engine, ['--version'])
  const old = Number(/version (\d+)/.exec(version)?.[1]) < 23
  const settings = old ? { 'deprecated-key-path': join(folder, 'key.json') } : {}
  writeFileSync(join(folder, 'daemon.json'), JSON.stringify(settings))

  const env = { DOCKER_CONFIG: join(folder, 'client'), DOCKER_HOST: undefined, DOCKER_CONTEXT: undefined }
  const docker = (args: readonly string[]) =>
    run('docker', ['--host', `unix://${socket}`, ...args], { env, timeoutMs: 120_000 })
  const containerd = await startContainerd()
  const server = await startProcess({
    command: engine,
    args: [
      ...['--config-file', join(folder, 'daemon.json'), '--iptables=false', '--ip6tables=false'],
      ...['--bridge=none', '--storage-driver', 'vfs', '--data-root', join(folder, 'data')],
      ...['--exec-root', join(folder, 'exec'), '--pidfile', join(folder, 'docker.pid')],
      ...['--host', `unix://${socket}`, '--containerd', containerd.address],
      ...(options.hubMirror === undefined ? [] : ['--registry-mirror', options.hubMirror]),
      ...(options.insecureRegistries ?? []).flatMap((host) => ['--insecure-registry', host]),
    ],
    env: { SSL_CERT_FILE: bundle, ...options.env },
    deathSignal: 'SIGTERM',
    ready: (text) => text.includes('API listen on'),
  }).catch(async (error: unknown) => {
    await containerd.stop()
    throw error
  })
  return {
    socket,
    pid: server.pid,
    credentials: join(env.DOCKER_CONFIG, 'config.json'),
    pull: (reference, { platform } = {}) =>
      docker(['pull', ...(platform ? ['--platform', platform] : []), reference]),
    docker,
    async stop() {
      await server.stop()
      await containerd.stop()
      await removeLeftovers(folder)
      removeFolder(folder)
    },
  }
}
