/** A containerd of its own folders (needs root), and pulls by ctr. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { removeFolder, run, startProcess, temporaryFolder } from './processes.ts'

type Result = { code: number; stdout: string; stderr: string }

export type Containerd = {
  address: string
  pid: number
  /** Blobs as they were fetched, each a file. */
  blobs: string
  /** `args`: further words of `ctr images pull`. */
  pull(
    reference: string,
    options?: { plainHttp?: boolean; platform?: string; args?: readonly string[] },
  ): Promise<Result>
  ctr(args: readonly string[]): Promise<Result>
  stop(): Promise<void>
}

/** `env`: for ctr, which fetches itself: HTTPS_PROXY, say, to give names of a test a place. */
export async function startContainerd(options: { env?: Record<string, string> } = {}): Promise<Containerd> {
  const folder = temporaryFolder('containerd')
  const address = join(folder, 'containerd.sock')
  const file = join(folder, 'config.toml')
  // CRI wants networks, and the `opt` plugin would make a folder outside of ours.
  writeFileSync(
    file,
    `version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[plugins."io.containerd.internal.v1.opt"]
path = "${join(folder, 'opt')}"
`,
  )
  const ctr = (args: readonly string[]) =>
    run('ctr', ['--address', address, '--namespace', 'test', ...args], { ...options, timeoutMs: 120_000 })
  const places = ['--root', join(folder, 'root'), '--state', join(folder, 'state'), '--address', address]
  const server = await startProcess({
    command: 'containerd',
    args: ['--config', file, ...places],
    deathSignal: 'SIGTERM',
    // It answers before all its plugins are there, but says so when they are.
    ready: (text) => text.includes('containerd successfully booted'),
  })
  return {
    address,
    pid: server.pid,
    blobs: join(folder, 'root', 'io.containerd.content.v1.content', 'blobs', 'sha256'),
    pull: (reference, { plainHttp = false, platform, args = [] } = {}) =>
      ctr([
        ...['images', 'pull', '--snapshotter', 'native', ...(plainHttp ? ['--plain-http'] : [])],
        ...(platform ? ['--platform', platform] : []),
        ...[...args, reference],
      ]),
    ctr,
    async stop() {
      await server.stop()
      await removeLeftovers(folder)
      removeFolder(folder)
    },
  }
}

/** Ends shims and takes away mounts under `folder`, so that it can be removed. */
export async function removeLeftovers(folder: string): Promise<void> {
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    const words = readOrEmpty(`/proc/${name}/cmdline`).split('\0')
    const ours = words.some((word) => word.startsWith(`${folder}/`))
    if (ours && words[0]?.includes('containerd-shim')) endIfAlive(Number(name))
  }
  // The fifth field is the mount point; the newest come last and go first.
  const mounts = readOrEmpty('/proc/self/mountinfo')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(`${folder}/`))
  for (const path of mounts.reverse()) await run('umount', ['--lazy', path])
}

function endIfAlive(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself meanwhile.
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
