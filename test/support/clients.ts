/** Five real clients behind one interface: what they pull, and everything that arrived by the digest of its bytes. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startContainerd } from './containerd.ts'
import { startContainersTool, writeContainersSettings } from './containers-tool.ts'
import { startDockerEngine } from './docker.ts'
import { removeFolder, run, temporaryFolder } from './processes.ts'

type Result = { code: number; stdout: string; stderr: string }

export const clientNames = ['docker', 'containerd', 'podman', 'buildah', 'skopeo'] as const
export type ClientName = (typeof clientNames)[number]

export type Client = {
  name: ClientName
  /** Major and minor. */
  version: string
  /** All of its version, as it says it of itself. */
  release: string
  pull(reference: string): Promise<Result>
  /**
   * SHA-256 of each file that the client has of images (of all, or of this one), layers compressed or not as
   * it keeps them.
   */
  arrived(reference: string): Promise<Set<string>>
  stop(): Promise<void>
}

export type ClientsOptions = {
  /** host:port of fronts on plain HTTP. */
  plain: readonly string[]
  /** Names of fronts on TLS; without a port, as `proxy` gives them a place. */
  names?: readonly string[]
  /** PEM file of the authority of `names`. */
  ca?: string
  /** URL of a proxy that knows where `names` are. */
  proxy?: string
}

type Start = (options: ClientsOptions) => Promise<Omit<Client, 'name' | 'version' | 'release'>>

export async function startClient(name: ClientName, options: ClientsOptions): Promise<Client> {
  const commands = { docker: ['dockerd', '--version'], containerd: ['containerd', '--version'] } as const
  const [command, flag] = name === 'docker' || name === 'containerd' ? commands[name] : [name, '--version']
  // Debian's package, as `startDockerEngine` takes it.
  const debian = existsSync(`/usr/sbin/${command}`) ? `/usr/sbin/${command}` : command
  const { stdout } = await run(debian, [flag])
  const [release = 'unknown', version = 'unknown'] = /\b(\d+\.\d+)\.\d+[^\s,]*/.exec(stdout) ?? []
  return { name, version, release, ...(await starts[name](options)) }
}

export async function startClients(options: ClientsOptions): Promise<Map<ClientName, Client>> {
  const clients = await Promise.all(clientNames.map((name) => startClient(name, options)))
  return new Map(clients.map((client) => [client.name, client]))
}

const proxyOf = ({ proxy }: ClientsOptions): Record<string, string> =>
  proxy === undefined ? {} : { HTTPS_PROXY: proxy, NO_PROXY: '' }

const starts: Record<ClientName, Start> = {
  async docker(options) {
    const engine = await startDockerEngine({
      insecureRegistries: options.plain,
      certs: options.ca === undefined ? [] : [options.ca],
      env: proxyOf(options),
    })
    const inspect = async (reference: string, format: string) =>
      (await engine.docker(['image', 'inspect', '--format', format, reference])).stdout.trim()
    return {
      pull: (reference) => engine.pull(reference),
      async arrived(reference) {
        const id = await inspect(reference, '{{.Id}}')
        const saved = await digestsOfArchive((file) => engine.docker(['save', '--output', file, id]))
        // It verifies the digest that it was given and keeps no copy of the manifest.
        const resolved = JSON.parse(await inspect(reference, '{{json .RepoDigests}}')) as string[]
        return new Set([...saved, ...resolved.map((each) => each.split('@')[1] ?? '')])
      },
      stop: () => engine.stop(),
    }
  },

  async containerd(options) {
    const containerd = await startContainerd({ env: proxyOf(options) })
    const hosts = temporaryFolder('hosts')
    const trust = options.ca === undefined ? '' : `ca = "${options.ca}"\n`
    for (const host of [...options.plain, ...(options.names ?? [])]) {
      const server = `${options.plain.includes(host) ? 'http' : 'https'}://${host}`
      mkdirSync(join(hosts, host))
      writeFileSync(
        join(hosts, host, 'hosts.toml'),
        `server = "${server}"\n[host."${server}"]\ncapabilities = ["pull", "resolve"]\n${trust}`,
      )
    }
    return {
      pull: (reference) => containerd.pull(reference, { args: ['--hosts-dir', hosts] }),
      arrived: async () => digestsOfFolder(containerd.blobs),
      async stop() {
        await containerd.stop()
        removeFolder(hosts)
      },
    }
  },

  podman: (options) => startOnStorage('podman', options),
  buildah: (options) => startOnStorage('buildah', options),

  async skopeo(options) {
    const folder = temporaryFolder('skopeo')
    const { plain, ca } = options
    const settings = writeContainersSettings(folder, {
      insecureRegistries: plain,
      ...(ca === undefined ? {} : { ca }),
      env: proxyOf(options),
    })
    const copies = new Map<string, string>()
    return {
      // It keeps nothing between two copies, so each goes to a place of its own.
      async pull(reference) {
        const copy = temporaryFolder('copy')
        copies.set(reference, copy)
        return run(
          'skopeo',
          [
            ...[
              '--policy',
              settings.policy,
              '--registries-conf',
              settings.registries,
              'copy',
              '--all',
              '--preserve-digests',
              '--quiet',
            ],
            ...['--src-cert-dir', settings.certDir, `docker://${reference}`, `oci:${copy}:copy`],
          ],
          { env: settings.env, timeoutMs: 120_000 },
        )
      },
      arrived: async (reference) => digestsOfFolder(copies.get(reference) ?? ''),
      async stop() {
        for (const each of [folder, ...copies.values()]) removeFolder(each)
      },
    }
  },
}

async function startOnStorage(command: 'podman' | 'buildah', options: ClientsOptions): ReturnType<Start> {
  const tool = startContainersTool(command, {
    insecureRegistries: options.plain,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    env: proxyOf(options),
  })
  const ids = new Map<string, string>()
  return {
    async pull(reference) {
      const pulled = await tool.pull(reference)
      ids.set(reference, pulled.stdout.trim())
      return pulled
    },
    async arrived(reference) {
      const saved = await digestsOfArchive((file) => tool.save(ids.get(reference) ?? '', file))
      return new Set([...saved, ...digestsOfFolder(tool.manifests)])
    },
    stop: tool.stop,
  }
}

async function digestsOfArchive(save: (file: string) => Promise<Result>): Promise<Set<string>> {
  const folder = temporaryFolder('archive')
  const saved = await save(join(folder, 'archive.tar'))
  if (saved.code !== 0) throw new Error(`not saved\n${saved.stderr}`)
  const content = join(folder, 'content')
  mkdirSync(content)
  await run('tar', ['-xf', join(folder, 'archive.tar'), '-C', content])
  const digests = digestsOfFolder(content)
  removeFolder(folder)
  return digests
}

function digestsOfFolder(folder: string): Set<string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  )
  return new Set(
    files.map((entry) => {
      const hash = createHash('sha256').update(readFileSync(join(entry.parentPath, entry.name)))
      return `sha256:${hash.digest('hex')}`
    }),
  )
}
