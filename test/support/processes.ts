/**
 * Starts, watches and ends the real processes of the integration tests, so that none outlives a test run,
 * crashed or not.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

export type Exit = { code: number | null; signal: NodeJS.Signals | null }

export type ProcessOptions = {
  command: string
  args?: readonly string[]
  /** Added to the environment of the tests; undefined takes a variable away. */
  env?: Record<string, string | undefined>
  cwd?: string
  /** Gets stdout and stderr as they come. */
  logFile?: string
  /** Asked with all output so far until it says true; each of its own calls must end by itself. */
  ready?: (text: string) => boolean | Promise<boolean>
  readyTimeoutMs?: number
  /** What the kernel sends when the test process dies; SIGTERM for those that have children to end. */
  deathSignal?: 'SIGKILL' | 'SIGTERM'
}

export type RunningProcess = {
  pid: number
  /** stdout and stderr in order of arrival, the last 4 MiB. */
  output(): string
  stdout(): string
  stderr(): string
  signal(signal: NodeJS.Signals): void
  /** Sends the signal (SIGTERM), after `timeoutMs` (10 s) SIGKILL, and waits for the end. */
  stop(signal?: NodeJS.Signals, timeoutMs?: number): Promise<Exit>
  exited: Promise<Exit>
}

const outputCharacters = 4 * 1024 * 1024
// Below Linux's ephemeral range (32768-60999): no outgoing connection takes a port between choice and use.
const firstPort = 10_000
const lastPort = 32_000
// Files that run at once draw from ranges of their own, so that none takes a port that another is about to use.
const portRanges = 16
const { VITEST_POOL_ID = '0' } = process.env
const portsInRange = Math.floor((lastPort - firstPort) / portRanges)
const firstOfRange = firstPort + (Number(VITEST_POOL_ID) % portRanges) * portsInRange
// Debian keeps daemons in sbin, which the PATH of an ordinary user need not have.
const { PATH = '' } = process.env
const searchPath = `${PATH}:/usr/local/sbin:/usr/sbin:/sbin`
// prctl(2) PR_SET_PDEATHSIG through util-linux: it works even when this process is killed.
const guard = existsSync('/usr/bin/setpriv') ? '/usr/bin/setpriv' : null

const running = new Set<ChildProcess>()
const portsGiven = new Set<number>()

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

// Reads folders until its input ends with this process, however that ends (Vitest kills its workers, so
// 'exit' need not come), then takes away mounts and folders. Those that got SIGTERM may still be writing.
const sweep = `
list=$(cat)
printf '%s\n' "$list" | while IFS= read -r folder; do
  [ -d "$folder" ] || continue
  for attempt in 1 2 3 4 5 6 7 8 9 10; do
    grep -F " $folder/" /proc/self/mountinfo | cut -d ' ' -f 5 | sort -r | xargs -r -n 1 umount -l
    rm -rf -- "$folder" && break
    sleep 1
  done
done`
let sweeper: ChildProcess | null = null

function sweepLater(folder: string): void {
  if (!sweeper) {
    // Of its own session: what ends the tests must not end it.
    sweeper = spawn('sh', ['-c', sweep], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
    sweeper.unref()
    if (sweeper.stdin && 'unref' in sweeper.stdin) (sweeper.stdin as Socket).unref()
  }
  sweeper.stdin?.write(`${folder}\n`)
}

function spawnGuarded(options: ProcessOptions): ChildProcess {
  const args = [...(options.args ?? [])]
  const env: NodeJS.ProcessEnv = { ...process.env, PATH: searchPath, ...options.env }
  for (const [name, value] of Object.entries(env)) if (value === undefined) delete env[name]
  const death = (options.deathSignal ?? 'SIGKILL').slice(3)
  const [command, words] = guard
    ? [guard, ['--pdeathsig', death, '--', options.command, ...args]]
    : [options.command, args]
  const child = spawn(command, words, {
    cwd: options.cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  child.on('close', () => running.delete(child))
  return child
}

export async function startProcess(options: ProcessOptions): Promise<RunningProcess> {
  const child = spawnGuarded(options)
  const texts = { all: '', stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      texts.all = (texts.all + text).slice(-outputCharacters)
      texts[name] = (texts[name] + text).slice(-outputCharacters)
      if (options.logFile) appendFileSync(options.logFile, text)
    })
  }
  let ended: Exit | null = null
  const exited = new Promise<Exit>((resolve) => {
    const end = (exit: Exit) => {
      ended ??= exit
      resolve(ended)
    }
    child.on('error', (error) => {
      texts.all += String(error)
      end({ code: null, signal: null })
    })
    child.on('close', (code, signal) => end({ code, signal }))
  })

  const started: RunningProcess = {
    pid: child.pid ?? 0,
    output: () => texts.all,
    stdout: () => texts.stdout,
    stderr: () => texts.stderr,
    signal: (signal) => void child.kill(signal),
    async stop(signal = 'SIGTERM', timeoutMs = 10_000) {
      if (ended) return ended
      child.kill(signal)
      // A paused process takes no signal but SIGKILL until it goes on.
      child.kill('SIGCONT')
      const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
      const exit = await exited
      clearTimeout(timer)
      return exit
    },
    exited,
  }

  const deadline = performance.now() + (options.readyTimeoutMs ?? 60_000)
  while (options.ready) {
    if (ended) throw new Error(`${options.command} ended before it was ready\n${texts.all.slice(-4000)}`)
    if (await options.ready(texts.all)) break
    if (performance.now() > deadline) {
      await started.stop('SIGKILL')
      throw new Error(`${options.command} was not ready in time\n${texts.all.slice(-4000)}`)
    }
    await Promise.race([exited, delay(20)])
  }
  return started
}

/** Runs a command to its end; throws when it does not end in `timeoutMs` (60 s). */
export async function run(
  command: string,
  args: readonly string[],
  options: { timeoutMs?: number; env?: Record<string, string | undefined>; cwd?: string } = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { timeoutMs = 60_000, ...rest } = options
  const child = await startProcess({ command, args, ...rest })
  const timer = new AbortController()
  const exit = await Promise.race([
    child.exited,
    delay(timeoutMs, null, { signal: timer.signal, ref: false }).catch(() => null),
  ])
  timer.abort()
  if (exit?.code == null) {
    await child.stop('SIGKILL')
    const why =
      exit === null ? `did not end in ${timeoutMs} ms` : `died of ${exit.signal ?? 'a failed start'}`
    throw new Error(`${command} ${why}\n${child.output().slice(-4000)}`)
  }
  return { code: exit.code, stdout: child.stdout(), stderr: child.stderr() }
}

/** Whether a process runs; a zombie, which only waits for its parent to notice, does not. */
export function isAlive(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0] !== 'Z'
  } catch {
    return false
  }
}

/** A port of 127.0.0.1 that nothing listens on, never given twice by one process. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = firstOfRange + randomInt(portsInRange)
    if (portsGiven.has(port)) continue
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer()
      server.once('error', () => resolve(false))
      server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)))
    })
    if (!free) continue
    portsGiven.add(port)
    return port
  }
  throw new Error('no free port')
}

/** A new empty folder, removed by `removeFolder` or when this process ends. */
export function temporaryFolder(name = 'test'): string {
  const folder = mkdtempSync(join(tmpdir(), `waybill-${name}-`))
  sweepLater(folder)
  return folder
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
}
