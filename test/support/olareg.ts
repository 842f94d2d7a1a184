/** A second real registry, olareg: it serves referrers, pages of tags and SHA-512, which Debian's has not. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runGo } from './go.ts'
import { freePort, startProcess, temporaryFolder } from './processes.ts'

export type Olareg = { url: string; host: string; stop(): Promise<void> }

const source = fileURLToPath(new URL('../../tools/olareg', import.meta.url))
let built: Promise<string> | null = null

async function build(): Promise<string> {
  const file = join(temporaryFolder('olareg'), 'olareg')
  await runGo(source, ['build', '-o', file, 'github.com/olareg/olareg/cmd/olareg'])
  return file
}

/** Empty, in memory. The first call of a process builds it: some seconds, with Go's cache one. */
export async function startOlareg(): Promise<Olareg> {
  built ??= build()
  const command = await built
  const port = await freePort()
  const host = `127.0.0.1:${port}`
  const server = await startProcess({
    command,
    args: ['serve', '--addr', '127.0.0.1', '--port', String(port), '--store-type', 'mem'].concat(
      // The suite takes away what it pushed, and asks whether it is gone.
      ['--api-delete', '--api-blob-delete'],
    ),
    ready: () =>
      fetch(`http://${host}/v2/`, { signal: AbortSignal.timeout(2000) })
        .then(({ status }) => status === 200)
        .catch(() => false),
  })
  return {
    url: `http://${host}`,
    host,
    async stop() {
      await server.stop('SIGKILL')
    },
  }
}
