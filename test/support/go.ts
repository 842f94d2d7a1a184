/** Builds Go programs of others with the machine's Go, which is needed for the conformance runs alone. */
import { spawnSync } from 'node:child_process'
import { run } from './processes.ts'

// Where Go's own archive is unpacked to, as its installation page says; often not on the PATH of a service.
const commands = ['go', '/usr/local/go/bin/go']
// What tools/olareg and the newer conformance suite ask for.
const leastMinor = 24
const buildTimeoutMs = 300_000
export const goMissing = `go is missing: install Go 1.${leastMinor} or newer, https://go.dev/dl`

/** The go command that is new enough; null: there is none. */
export function findGo(): string | null {
  const isUsable = (command: string): boolean => {
    const env = { ...process.env, GOTOOLCHAIN: 'local' }
    const { stdout } = spawnSync(command, ['env', 'GOVERSION'], { env, encoding: 'utf8', timeout: 10_000 })
    return Number(/^go1\.(\d+)/.exec(stdout ?? '')?.[1] ?? 0) >= leastMinor
  }
  return commands.find(isUsable) ?? null
}

/** Runs `go` in a folder, with the locks of that folder as they are. Throws with what it said when it fails. */
export async function runGo(cwd: string, args: readonly string[]): Promise<void> {
  const go = findGo()
  if (go === null) throw new Error(goMissing)
  // No C compiler and no version control of the folder are needed, and no other workspace may be taken.
  const env = { GOFLAGS: '-mod=readonly -buildvcs=false', GOWORK: 'off', CGO_ENABLED: '0' }
  const { code, stderr } = await run(go, args, { cwd, env, timeoutMs: buildTimeoutMs })
  if (code !== 0) throw new Error(`go ${args.join(' ')} in ${cwd} failed\n${stderr.slice(-4000)}`)
}
