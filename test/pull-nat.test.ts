/** Two clients behind one address pull the same image in the same second: two pulls, each complete. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PackageEvent } from '../src/record/events.ts'
import { type Containerd, startContainerd } from './support/containerd.ts'
import { type DockerEngine, startDockerEngine } from './support/docker.ts'
import { temporaryFolder } from './support/processes.ts'
import { asRoot, eventSource, fullPull, marker, sessionIdle, settle } from './support/pulls.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { skopeoCopy } from './support/skopeo.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

let registry: Registry
let waybill: Waybill
beforeAll(async () => {
  registry = await startRegistry()
  await pushImage(registry, marker.repository, marker.tag, { layers: 1 })
  waybill = await startWaybill({ args: ['--upstream', registry.url, ...sessionIdle] })
})
afterAll(async () => {
  await waybill.stop()
  await registry.stop()
})

const tag = '1.0'
type Result = { code: number; stderr: string }

/** The events of two pulls that begin together, after a check that each took all of the image. */
async function pullTwice(
  repository: string,
  pulls: readonly ((source: string) => Promise<Result>)[],
  heads: number,
): Promise<PackageEvent[]> {
  // Large enough that both are mostly at it at the same time.
  const image = await pushImage(registry, repository, tag, { layerBytes: 1024 * 1024 })
  const results = await Promise.all(pulls.map((pull) => pull(`${waybill.host}/${repository}:${tag}`)))
  for (const result of results) expect(result, result.stderr).toMatchObject({ code: 0 })
  const events = (await settle(eventSource(waybill))).filter((event) => event.repository === repository)
  expect(events).toHaveLength(2)
  for (const event of events) expect(event).toMatchObject(fullPull(image, repository, tag, { heads }))
  const [first, second] = [...events].sort((a, b) => a.started_at.localeCompare(b.started_at)) as [
    PackageEvent,
    PackageEvent,
  ]
  expect(first.client.id).toBe(second.client.id)
  expect(first.client.endpoint_id).toBe(second.client.endpoint_id)
  // Less than the idle time apart, so nothing but the tokens tells them apart.
  const gapMs = Date.parse(second.started_at) - Date.parse(first.ended_at)
  expect(gapMs).toBeLessThan(2000)
  return events
}

test('skopeo twice', async () => {
  const copy = (source: string) => skopeoCopy(source, temporaryFolder('copy'), { all: false })
  const events = await pullTwice('nat/skopeo', [copy, copy], 0)
  expect(new Set(events.flatMap(({ session_ids }) => session_ids)).size).toBe(2)
})

test.runIf(asRoot)('two Docker engines', async () => {
  const start = () => startDockerEngine({ insecureRegistries: [waybill.host] })
  const engines: DockerEngine[] = await Promise.all([start(), start()])
  const events = await pullTwice(
    'nat/docker',
    engines.map(
      ({ pull }) =>
        (source) =>
          pull(source),
    ),
    1,
  )
  expect(new Set(events.flatMap(({ session_ids }) => session_ids)).size).toBe(2)
  await Promise.all(engines.map((engine) => engine.stop()))
})

test.runIf(asRoot)('two containerds, four tokens: none is left over and none counts twice', async () => {
  const engines: Containerd[] = await Promise.all([startContainerd(), startContainerd()])
  const events = await pullTwice(
    'nat/containerd',
    engines.map(
      ({ pull }) =>
        (source) =>
          pull(source, { plainHttp: true }),
    ),
    1,
  )
  expect(events.map(({ session_ids }) => session_ids.length)).toEqual([2, 2])
  expect(new Set(events.flatMap(({ session_ids }) => session_ids)).size).toBe(4)
  await Promise.all(engines.map((engine) => engine.stop()))
})
