/** A Waybill before an upstream with one manifest, for tests of what clients and operators see of a fault. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RunningScene } from './fault-rows.ts'
import { type FaultUpstream, startFaultUpstream } from './fault-upstream.ts'
import { freePort, run, temporaryFolder } from './processes.ts'
import { startRecordingWaybill } from './pulled-waybill.ts'
import { command, startWaybill, type Waybill } from './waybill.ts'

const manifest = JSON.stringify({
  schemaVersion: 2,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  config: {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: `sha256:${'c'.repeat(64)}`,
    size: 9,
  },
  layers: [],
})
const digest = `sha256:${createHash('sha256').update(manifest).digest('hex')}`

/** Two starts at a time: each takes a core for a second, and whatever has a deadline would be late. */
let starts: Promise<unknown>[] = []
export async function takeTurn<Result>(start: () => Promise<Result>): Promise<Result> {
  const before = starts.at(-2) ?? Promise.resolve()
  const started = before.then(start)
  starts = [...starts.slice(-1), started.catch(() => undefined)]
  return started
}

/** `app:v1`, and nothing else. */
export async function startOneManifest(): Promise<FaultUpstream> {
  const upstream = await startFaultUpstream()
  const headers = {
    'Content-Type': 'application/vnd.oci.image.manifest.v1+json',
    'Docker-Content-Digest': digest,
  }
  for (const reference of ['v1', digest]) {
    upstream.answer(`/v2/app/manifests/${reference}`, { headers, body: manifest })
  }
  return upstream
}

/** The status of `app:v1`, asked for as clients do. */
export async function askManifest(waybill: Pick<Waybill, 'url'>): Promise<number> {
  const signal = AbortSignal.timeout(20_000)
  const grant = await fetch(`${waybill.url}/token?scope=repository:app:pull`, { signal })
  const { token } = (await grant.json()) as { token: string }
  const response = await fetch(`${waybill.url}/v2/app/manifests/v1`, {
    headers: { Authorization: `Bearer ${token}`, 'User-Agent': 'skopeo/1.14.0' },
    signal,
  })
  await response.arrayBuffer()
  return response.status
}

export type SceneOptions = {
  upstream?: FaultUpstream
  args?: readonly string[]
  settings?: string
  data?: string
  env?: Record<string, string>
}

/** What all scenes that run have in common. */
export async function startScene(
  options: SceneOptions = {},
): Promise<RunningScene & { upstream: FaultUpstream }> {
  const { upstream = await startOneManifest(), ...rest } = options
  const waybill = await takeTurn(() => startRecordingWaybill(upstream.url, rest))
  return {
    upstream,
    waybill,
    ask: () => askManifest(waybill),
    cleanUp: () => upstream.stop(),
  }
}

/** `serve` with flags that are refused; `before`: of the command line, as `setpriv` and its words. */
export async function startRefused(
  args: readonly string[],
  before: readonly string[] = [],
): Promise<{ code: number; stderr: string }> {
  const [first = command, ...words] = [...before, command, 'serve', ...args]
  const { code, stderr } = await takeTurn(() => run(first, words, { timeoutMs: 30_000 }))
  return { code, stderr }
}

/** Flags of a start that meets nobody; `flags`: instead of these, or more. */
export async function freeFlags(flags: Record<string, string> = {}): Promise<string[]> {
  return Object.entries({
    '--listen': `127.0.0.1:${await freePort()}`,
    '--admin': `127.0.0.1:${await freePort()}`,
    '--data': temporaryFolder('data'),
    ...flags,
  }).flat()
}

/** `serve` with a config file that is refused. */
export function startWithSettings(settings: string): Promise<{ code: number; stderr: string }> {
  const file = join(temporaryFolder('config'), 'waybill.yaml')
  writeFileSync(file, settings)
  return startRefused(['--config', file])
}

/** For faults that need another Waybill. */
export function startOther(): Promise<Waybill> {
  return takeTurn(() => startWaybill())
}
