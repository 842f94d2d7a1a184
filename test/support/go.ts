/** Builds Go programs of others with the machine's Go, which is needed for the conformance runs alone. */
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { run } from './processes.ts'

// Where Go's own archive is unpacked to, as its installation page says; often not on the PATH of a service.
const usualFolder = '/usr/local/go/bin'
const buildTimeoutMs = 300_000

/** Path of the go command; null: there is none. */
export function findGo(): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), usualFolder]
  return folders.map((folder) => join(folder, 'go')).find((file) => existsSync(file)) ?? null
}

/** Runs `go` in a folder, with the locks of that folder as they are. Throws with what it said when it fails. */
export async function runGo(cwd: string, args: readonly string[]): Promise<void> {
  const go = findGo()
  if (go === null) throw new Error('go is missing: install Go 1.24 or newer, https://go.dev/dl')
  // No C compiler and no version control of the folder are needed, and no other workspace may be taken.
  const env = { GOFLAGS: '-mod=readonly -buildvcs=false', GOWORK: 'off', CGO_ENABLED: '0' }
  const { code, stderr } = await run(go, args, { cwd, env, timeoutMs: buildTimeoutMs })
  if (code !== 0) throw new Error(`go ${args.join(' ')} in ${cwd} failed\n${stderr.slice(-4000)}`)
}
