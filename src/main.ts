/**
 * The command `waybill`.
 */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseCommand } from './config/command-line.ts'
import { readEnvironment } from './config/environment.ts'
import { checkFile, findDataFolder, findSessionRules, loadConfig } from './config/load-config.ts'
import { installGeo } from './geo/install.ts'
import { compileOverrides } from './geo/overrides.ts'
import { readEvents } from './publisher/events-command.ts'
import { takeOutput } from './quiet-output.ts'
import { rebuildEvents } from './rebuild-command.ts'
import { serve } from './serve.ts'
import { StartError } from './threads.ts'
import { version } from './version.ts'

const argv = process.argv.slice(2)
const surroundings = {
  env: readEnvironment(),
  readFile: (path: string) => readFileSync(path),
  cpuCount: availableParallelism(),
  cwd: process.cwd(),
  nowMs: Date.now(),
}

function print(text: string): void {
  process.stdout.write(text)
}

/** Waits while the reader of a pipe is behind. */
function printAll(line: string): void | Promise<void> {
  if (process.stdout.write(line)) return
  return new Promise((next) => {
    for (const name of ['drain', 'error'] as const) process.stdout.once(name, () => next())
  })
}

function stopSignal(): AbortSignal {
  const stop = new AbortController()
  process.on('SIGINT', () => stop.abort())
  process.on('SIGTERM', () => stop.abort())
  // `waybill events | head` closes the pipe: that is no error.
  process.stdout.on('error', () => stop.abort())
  return stop.signal
}

/** One line for each problem, no stack; 2 is the exit code of what the caller can mend. */
function refuse(problems: readonly string[]): 2 {
  for (const problem of problems) process.stderr.write(`waybill: ${problem}\n`)
  return 2
}

async function runServe(args: readonly string[]): Promise<number> {
  // A data folder that was there before may be open to others; what is written into it is not.
  process.umask(0o077)
  const load = () => loadConfig({ ...surroundings, argv: args, nowMs: Date.now() })
  const loaded = load()
  if (!loaded.ok) return refuse(loaded.problems)
  const mistakes = checkOverrides(loaded.config.geo.overrides)
  if (mistakes.length > 0) return refuse(mistakes)
  let reload = (): void => undefined
  // From now on, as the signal would end a process that does not listen for it.
  process.on('SIGHUP', () => reload())
  // Until there is something to stop in order: what is on disk is whole at any moment.
  let stop = (_name: 'SIGTERM' | 'SIGINT'): void => process.exit(0)
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => stop(name))
  try {
    return await serve({
      config: loaded.config,
      warnings: loaded.warnings,
      load,
      printLine: takeOutput(),
      onStarted(shutdown, reloader) {
        reload = () => void reloader.reload()
        stop = (name) => shutdown.signal(name)
      },
    })
  } catch (error) {
    if (error instanceof StartError) return refuse([error.message])
    throw error
  }
}

async function runEvents(
  command: Extract<ReturnType<typeof parseCommand>, { command: 'events' }>,
): Promise<number> {
  const found = findDataFolder({
    ...surroundings,
    argv: command.data === null ? [] : ['--data', command.data],
  })
  if (!found.ok) return refuse(found.problems)
  const { sinceMs, follow, format } = command
  const options = { path: join(found.data, 'waybill.db'), sinceMs, follow, format }
  const result = await readEvents(options, printAll, stopSignal())
  return result.ok ? 0 : refuse([result.error])
}

/** The config's own reader does not know what is in the list. */
function checkOverrides(path: string | null): string[] {
  if (path === null) return []
  const compiled = compileOverrides(readFileSync(path, 'utf8'), null)
  return 'problems' in compiled
    ? compiled.problems.map((problem) => `geo.overrides: ${path}: ${problem}`)
    : []
}

async function runGeoInstall(
  command: Extract<ReturnType<typeof parseCommand>, { command: 'geo-install' }>,
): Promise<number> {
  const { argv: args, ifMissing, cloud, cloudFiles } = command
  const found = findDataFolder({ ...surroundings, argv: args })
  if (!found.ok) return refuse(found.problems)
  if (ifMissing) {
    const loaded = loadConfig({ ...surroundings, argv: args })
    // What is wrong is told by `serve`, beside which this runs; own databases need no others.
    if (!loaded.ok || (loaded.config.geo.city !== null && loaded.config.geo.asn !== null)) return 0
  }
  const problems = await installGeo({
    folder: join(found.data, 'geo'),
    ifMissing,
    cloud,
    cloudFiles,
    tell: (line) => process.stderr.write(`waybill: geo: ${line}\n`),
  })
  for (const problem of problems) process.stderr.write(`waybill: ${problem}\n`)
  return problems.length > 0 ? 1 : 0
}

async function runRebuild(
  command: Extract<ReturnType<typeof parseCommand>, { command: 'rebuild' }>,
): Promise<number> {
  const found = findSessionRules({ ...surroundings, argv: command.argv })
  if (!found.ok) return refuse(found.problems)
  const { requests, manifests, format } = command
  const options = { requests, manifests, format, sessions: found.sessions }
  const result = await rebuildEvents(options, printAll, stopSignal())
  return result.ok ? 0 : refuse(result.problems)
}

async function run(): Promise<number> {
  const command = parseCommand(argv, surroundings.nowMs)
  if ('problems' in command) return refuse(command.problems)
  switch (command.command) {
    case 'serve':
      return runServe(command.argv)
    case 'events':
      return runEvents(command)
    case 'geo-install':
      return runGeoInstall(command)
    case 'rebuild':
      return runRebuild(command)
    case 'check': {
      const loaded = checkFile(command.file, surroundings)
      if (!loaded.ok) return refuse(loaded.problems)
      const mistakes = checkOverrides(loaded.config.geo.overrides)
      if (mistakes.length > 0) return refuse(mistakes)
      for (const warning of loaded.warnings) process.stderr.write(`waybill: warning: ${warning}\n`)
      print('ok\n')
      return 0
    }
    case 'version':
      print(`${version}\n`)
      return 0
    case 'help':
      if (command.asked) print(command.text)
      else process.stderr.write(command.text)
      return command.asked ? 0 : 2
  }
}

// exit() and not only exitCode: a thread that does not end in time must not keep the process.
process.exit(await run())
