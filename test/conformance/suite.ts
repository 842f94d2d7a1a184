/** The conformance suite of the OCI distribution specification, either generation: builds it, runs it, reads its report. */
import { existsSync, readFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { runGo } from '../support/go.ts'
import { run, temporaryFolder } from '../support/processes.ts'

export type Status = 'passed' | 'failed' | 'skipped'
export type Case = { name: string; part: string; status: Status }

export type Suite = {
  /** The cases in their order. `repositories`: two of them, for content and for mounts. */
  run(host: string, repositories: readonly [string, string], name: string): Promise<Case[]>
}

const runTimeoutMs = 300_000
const reportFile = 'junit.xml'
const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#34': '"', '#39': "'" }
const decode = (text: string): string => text.replace(/&(#?\w+);/g, (all, name) => entities[name] ?? all)

/** `test`: a program of `go test`, until 1.1.1; `program`: what took its place after it. */
type Kind = 'test' | 'program'

function settings(kind: Kind, host: string, [first, second]: readonly string[], reports: string) {
  if (kind === 'program')
    return {
      OCI_REGISTRY: host,
      OCI_TLS: 'disabled',
      OCI_REPO1: first,
      OCI_REPO2: second,
      OCI_VERSION: '1.1',
      // A manifest that was pulled through the front is confirmed at the registry once a day, not at each request.
      OCI_API_MANIFESTS_ATOMIC: 'false',
      OCI_RESULTS_DIR: reports,
    }
  return {
    OCI_ROOT_URL: `http://${host}`,
    OCI_NAMESPACE: first,
    OCI_CROSSMOUNT_NAMESPACE: second,
    OCI_TEST_PULL: '1',
    OCI_TEST_PUSH: '1',
    OCI_TEST_CONTENT_DISCOVERY: '1',
    OCI_TEST_CONTENT_MANAGEMENT: '1',
    OCI_REPORT_DIR: reports,
  }
}

/** What of the suite a case belongs to, as its name has it. */
function partOf(kind: Kind, name: string): string {
  if (kind === 'test') return /^\S+ \S+ \S+ \S+ (Content \w+|\w+)/.exec(name)?.[1] ?? 'other'
  const [, data = '', step = ''] = name.split('/')
  // Requests on blobs alone are grouped by algorithm, all others by what was pushed.
  return / blobs$/.test(data) ? 'blobs' : step || data
}

function readReport(kind: Kind, file: string): Case[] {
  const rows = readFileSync(file, 'utf8').matchAll(
    /<testcase name="([^"]*)" classname="[^"]*" (?:time="[^"]*" )?status="(\w+)"/g,
  )
  const named = [...rows].map(([, name = '', status]) => ({ name: decode(name), status }))
  // The report of its own making is no case.
  const cases = named.filter(({ name }) => name.startsWith('OCI '))
  return cases.map(({ name, status }) => {
    const known = status === 'passed' || status === 'skipped' ? status : 'failed'
    return { name, part: partOf(kind, name), status: known }
  })
}

/** Builds the suite of a checked-out folder, which stays as it is. Throws when it is none. */
export async function buildSuite(folder: string, reportsFolder: string): Promise<Suite> {
  const source = [resolve(folder, 'conformance'), resolve(folder)].find((path) =>
    existsSync(join(path, 'go.mod')),
  )
  if (source === undefined || basename(source) !== 'conformance')
    throw new Error(
      `${folder} is no checkout of opencontainers/distribution-spec: conformance/go.mod is missing`,
    )
  const kind: Kind = existsSync(join(source, 'main.go')) ? 'program' : 'test'
  const program = join(temporaryFolder('suite'), 'conformance')
  await runGo(source, kind === 'test' ? ['test', '-c', '-o', program, '.'] : ['build', '-o', program, '.'])
  return {
    async run(host, repositories, name) {
      const reports = join(reportsFolder, name)
      const inherited = Object.keys(process.env).filter((each) => each.startsWith('OCI_'))
      const env = {
        ...Object.fromEntries(inherited.map((each) => [each, undefined])),
        ...settings(kind, host, repositories, reports),
      }
      // Ends with a failure when a case fails, so only its report counts.
      const { stdout, stderr } = await run(program, [], {
        env,
        cwd: temporaryFolder('suite'),
        timeoutMs: runTimeoutMs,
      })
      const file = join(reports, reportFile)
      if (!existsSync(file)) throw new Error(`the suite left no report\n${(stdout + stderr).slice(-4000)}`)
      return readReport(kind, file)
    },
  }
}
