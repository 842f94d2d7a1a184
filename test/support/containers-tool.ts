/** podman and buildah on storage of their own: their command line and what they keep are the same. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { removeLeftovers } from './containerd.ts'
import { removeFolder, run, temporaryFolder } from './processes.ts'

type Result = { code: number; stdout: string; stderr: string }

export type ContainersToolOptions = {
  /** host:port of registries on plain HTTP. */
  insecureRegistries?: readonly string[]
  /** host:port of a registry on plain HTTP that stands for Docker Hub. */
  hubMirror?: string
  /** PEM file of an authority to trust besides the system's. */
  ca?: string
  env?: Record<string, string>
}

export type ContainersTool = {
  /** The id that it prints is the digest of the image's config. */
  pull(reference: string): Promise<Result>
  /** Where it keeps what it logged in with. */
  credentials: string
  /** Any other words of its command line, say `['logout', host]`. */
  run(args: readonly string[]): Promise<Result>
  /** Writes a pulled image, layers uncompressed, as an archive of Docker's. */
  save(id: string, file: string): Promise<Result>
  /** Manifests and configs as they were fetched, each a file. */
  manifests: string
  stop(): Promise<void>
}

/** Files that stand for the machine's own settings of podman, buildah and skopeo; `env` names them. */
export function writeContainersSettings(
  folder: string,
  { insecureRegistries = [], hubMirror, ca, env = {} }: ContainersToolOptions,
): { env: Record<string, string>; registries: string; certDir: string; policy: string } {
  const registries = join(folder, 'registries.conf')
  const entries = insecureRegistries.map((host) => `[[registry]]\nlocation = "${host}"\ninsecure = true\n`)
  if (hubMirror) {
    const mirror = `[[registry.mirror]]\nlocation = "${hubMirror}"\ninsecure = true\n`
    entries.push(`[[registry]]\nlocation = "docker.io"\n${mirror}`)
  }
  writeFileSync(registries, entries.join(''))
  writeFileSync(join(folder, 'auth.json'), '{}')
  const policy = join(folder, 'policy.json')
  writeFileSync(policy, '{"default": [{"type": "insecureAcceptAnything"}]}')
  const certDir = join(folder, 'authorities')
  mkdirSync(certDir)
  if (ca) copyFileSync(ca, join(certDir, 'ca.crt'))
  return {
    env: { CONTAINERS_REGISTRIES_CONF: registries, REGISTRY_AUTH_FILE: join(folder, 'auth.json'), ...env },
    registries,
    certDir,
    policy,
  }
}

/** Root alone gets by without namespaces, which the vfs driver needs none of. */
export function startContainersTool(
  command: 'podman' | 'buildah',
  options: ContainersToolOptions = {},
): ContainersTool {
  const folder = temporaryFolder(command)
  const { env, certDir, policy } = writeContainersSettings(folder, options)
  const storage = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run')]
  const tool = (args: readonly string[]) =>
    run(command, ['--storage-driver', 'vfs', ...storage, ...args], { env, timeoutMs: 120_000 })
  // podman asks the registry in any case.
  const always = command === 'buildah' ? ['--policy', 'always'] : []
  return {
    pull: (reference) =>
      tool(['pull', '--quiet', ...always, '--cert-dir', certDir, '--signature-policy', policy, reference]),
    credentials: env['REGISTRY_AUTH_FILE'] ?? '',
    run: tool,
    save: (id, file) =>
      command === 'podman'
        ? tool(['save', '--quiet', '--format', 'docker-archive', '--output', file, id])
        : tool(['push', '--quiet', '--signature-policy', policy, id, `docker-archive:${file}`]),
    manifests: join(folder, 'root', 'vfs-images'),
    async stop() {
      await removeLeftovers(folder)
      removeFolder(folder)
    },
  }
}
