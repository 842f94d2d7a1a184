/**
 * Runs the conformance suite of the OCI distribution specification against a registry, then with Waybill before it
 * in each mode, and fails on a case that only the registry passes: `make conformance SUITE=<folder>`.
 */
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { startConfigured } from '../support/domains.ts'
import { findGo, goMissing } from '../support/go.ts'
import { startOlareg } from '../support/olareg.ts'
import { temporaryFolder } from '../support/processes.ts'
import { startWaybill, type Waybill } from '../support/waybill.ts'
import { compare, printDifferences, printTable, type Run } from './report.ts'
import { type Renaming, startSplitter } from './splitter.ts'
import { buildSuite, type Suite } from './suite.ts'

const modes = ['open', 'token', 'passthrough', 'renamed'] as const
type Mode = (typeof modes)[number]

const help = `Usage: make conformance SUITE=FOLDER [ARGS="options"]

Runs the conformance suite of the OCI distribution specification against a registry, and with Waybill before it in each
mode. Reads go through Waybill, all else to the registry. Ends with 1 when a case passes against the registry and not
through Waybill. Needs Go 1.24 or newer.

SUITE is a checked-out folder: git clone --branch v1.1.1 https://github.com/opencontainers/distribution-spec

  --registry URL   one that runs and takes pushes from everybody, instead of olareg, which is built and started
  --mode NAME      only this one, may be repeated: open, token, passthrough (the values of Waybill's \`auth\`), renamed
                   (token, and repositories that have another name at the registry)
  --reports DIR    keeps what the suite reports of each run
  --help           this text
`

// What the registry calls them; the front may call them otherwise.
const registryPart = 'conformance'
const renaming: Renaming = { front: 'public', registry: registryPart }

class UsageError extends Error {}

function readOptions() {
  const { values } = parseArgs({
    options: {
      suite: { type: 'string', default: '' },
      registry: { type: 'string' },
      mode: { type: 'string', multiple: true, default: [] },
      reports: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  const unknown = values.mode.find((name) => !modes.some((mode) => mode === name))
  if (unknown !== undefined) throw new UsageError(`--mode: ${unknown} is none of ${modes.join(', ')}`)
  if (values.registry !== undefined && !URL.canParse(values.registry))
    throw new UsageError(`--registry: ${values.registry} is no URL`)
  return { ...values, modes: modes.filter((mode) => values.mode.length === 0 || values.mode.includes(mode)) }
}

/** Of its own for each run, so that no run finds what another has left. */
const repositories = (first: string, run: string) => [`${first}/${run}`, `${first}/${run}-mount`] as const

async function startRegistry(
  url: string | undefined,
): Promise<{ url: string; host: string; stop(): Promise<void> }> {
  if (url === undefined) return startOlareg()
  return { url, host: new URL(url).host, stop: async () => {} }
}

function startFront(mode: Mode, registry: string): Promise<Waybill> {
  if (mode !== 'renamed') return startWaybill({ args: ['--upstream', registry, '--auth', mode] })
  const route = {
    repository: `${renaming.front}/**`,
    upstream: registry,
    upstreamRepository: `${renaming.registry}/**`,
  }
  return startConfigured({ domains: [{ host: '127.0.0.1', routes: [route] }] })
}

/** Starts what a run needs and stops it again, the last first, however the run ends. */
async function withServers<Result>(
  work: (
    keep: <Server extends { stop(): Promise<unknown> }>(server: Promise<Server>) => Promise<Server>,
  ) => Promise<Result>,
): Promise<Result> {
  const started: { stop(): Promise<unknown> }[] = []
  try {
    return await work(async (starting) => {
      const server = await starting
      started.push(server)
      return server
    })
  } finally {
    for (const server of started.toReversed()) await server.stop()
  }
}

function runThroughFront(suite: Suite, mode: Mode, registryUrl: string | undefined): Promise<Run> {
  return withServers(async (keep) => {
    const registry = await keep(startRegistry(registryUrl))
    const front = await keep(startFront(mode, registry.url))
    const renamed = mode === 'renamed'
    const upstreams = { front: front.url, registry: registry.url }
    const splitter = await keep(startSplitter({ ...upstreams, ...(renamed && { renaming }) }))
    const names = repositories(renamed ? renaming.front : registryPart, mode)
    const cases = await suite.run(splitter.host, names, mode)
    return { name: mode, cases, reads: splitter.toFront() }
  })
}

function runDirectly(suite: Suite, registryUrl: string | undefined): Promise<Run> {
  return withServers(async (keep) => {
    const registry = await keep(startRegistry(registryUrl))
    const cases = await suite.run(registry.host, repositories(registryPart, 'direct'), 'direct')
    return { name: 'direct', cases, reads: 0 }
  })
}

async function main(): Promise<boolean> {
  const options = readOptions()
  if (options.help) {
    console.log(help)
    return true
  }
  if (options.suite === '')
    throw new UsageError('SUITE is missing: a checked-out folder of opencontainers/distribution-spec')
  if (findGo() === null) throw new UsageError(goMissing)
  const suite = await buildSuite(options.suite, resolve(options.reports ?? temporaryFolder('reports')))
  const direct = await runDirectly(suite, options.registry)
  const runs: Run[] = []
  for (const mode of options.modes) runs.push(await runThroughFront(suite, mode, options.registry))
  printTable([direct, ...runs])
  const differences = runs.map((run) => ({ run, lost: compare(direct, run) }))
  printDifferences(differences)
  return differences.every(({ lost }) => lost.length === 0)
}

try {
  process.exitCode = (await main()) ? 0 : 1
} catch (error) {
  const text = error instanceof Error ? error.message : String(error)
  console.error(`conformance: ${text}${error instanceof UsageError ? `\n\n${help}` : ''}`)
  process.exitCode = 2
}
