/** `waybill events rebuild`: from what a run kept of requests and manifests to the events that it published. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PackageEvent } from '../src/record/events.ts'
import { type Containerd, startContainerd } from './support/containerd.ts'
import { fetchToken, pullByHand, send } from './support/http-client.ts'
import { run, temporaryFolder } from './support/processes.ts'
import { keepRequests } from './support/pulled-waybill.ts'
import { asRoot, eventSource, marker, sessionIdle, settle } from './support/pulls.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { skopeoCopy } from './support/skopeo.ts'
import { command, startWaybill, type Waybill } from './support/waybill.ts'

let registry: Registry
let waybill: Waybill
let containerd: Containerd | null = null

beforeAll(async () => {
  registry = await startRegistry()
  await pushImage(registry, marker.repository, marker.tag, { layers: 1 })
  for (const tag of ['1.0', '2.0']) await pushImage(registry, 'app', tag, { layers: 3 })
  await pushImage(registry, 'tool', '1.0', { single: true })
  const config = join(temporaryFolder('config'), 'waybill.yaml')
  writeFileSync(config, keepRequests)
  waybill = await startWaybill({ args: ['--config', config, '--upstream', registry.url, ...sessionIdle] })
  if (asRoot) containerd = await startContainerd()
})
afterAll(async () => {
  await containerd?.stop()
  await waybill.stop()
  await registry.stop()
})

/** As docs/events.md tells a user to. */
function exportRows(sql: string): string {
  const database = new DatabaseSync(join(waybill.data, 'waybill.db'), { readOnly: true })
  const rows = database.prepare(sql).all() as { line: string }[]
  database.close()
  const path = join(temporaryFolder('export'), 'rows.ndjson')
  writeFileSync(path, rows.map(({ line }) => `${line}\n`).join(''))
  return path
}

const byId = (events: readonly PackageEvent[]) => events.toSorted((a, b) => (a.id < b.id ? -1 : 1))

test('pulls, checks and failures of several clients at once, made again from the requests', async () => {
  const { url, host } = waybill
  const copy = async (image: string, all: boolean) => {
    const { code, stderr } = await skopeoCopy(`${host}/${image}`, temporaryFolder('copy'), { all })
    expect({ code, stderr }).toMatchObject({ code: 0 })
  }
  const ask = async (path: string, method = 'GET', headers: Record<string, string> = {}) =>
    send(`${url}/v2/${path}`, {
      method,
      headers: { authorization: `Bearer ${await fetchToken(url)}`, ...headers },
    })
  await Promise.all([
    pullByHand(url, 'app', '1.0'),
    pullByHand(url, 'app', '1.0'),
    copy('app:1.0', true),
    copy('tool:1.0', false),
    ...(containerd === null ? [] : [containerd.pull(`${host}/app:2.0`, { plainHttp: true })]),
    ask('app/manifests/1.0', 'HEAD'),
    ask('app/manifests/none', 'HEAD'),
    ask('app/tags/list'),
  ])
  // What one session alone does not tell: a second attempt, and the tag of a pull by digest of another client.
  await ask('app/manifests/none', 'HEAD')
  const { headers } = await ask('tool/manifests/1.0', 'HEAD')
  await ask(`tool/manifests/${headers['docker-content-digest']}`, 'GET', { 'user-agent': 'skopeo/1.13.0' })
  const published = await settle(eventSource(waybill))
  // Checks that mark the wait are events too, and the last of them may still come.
  const ofPulls = (events: readonly PackageEvent[]) =>
    byId(events.filter(({ repository }) => repository !== marker.repository))
  expect(ofPulls(published).length).toBe(containerd === null ? 10 : 11)
  const attempts = published.filter(({ tag }) => tag === 'none').map((event) => event.attempts)
  expect(attempts.toSorted()).toEqual([1, 2])
  expect(published.filter(({ kind }) => kind === 'manifest_only')).toMatchObject([
    { client: { tool: 'skopeo' }, tag: '1.0', tag_source: 'inferred' },
  ])

  const requests = exportRows('SELECT json AS line FROM request_events ORDER BY random()')
  const manifests = exportRows('SELECT value AS line FROM session_manifest')
  const files = ['--requests', requests, '--manifests', manifests]
  const rebuild = (...args: string[]) =>
    run(command, ['events', 'rebuild', ...files, ...sessionIdle, ...args])
  const { code, stdout, stderr } = await rebuild()
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const rebuilt = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as PackageEvent)
  expect(ofPulls(rebuilt)).toEqual(ofPulls(published))
  // Its config alone says it.
  expect(rebuilt.find(({ repository }) => repository === 'tool')?.platform).toBe('linux/amd64')
  expect(rebuilt.map(({ ended_at }) => ended_at)).toEqual(rebuilt.map(({ ended_at }) => ended_at).sort())

  const csv = await rebuild('--format', 'csv')
  expect(csv.stdout.split('\r\n')).toHaveLength(rebuilt.length + 2)
  const swapped = await run(command, ['events', 'rebuild', '--requests', manifests, '--manifests', requests])
  expect(swapped).toMatchObject({ code: 2, stdout: '' })
  const [problem] = swapped.stderr.split('\n')
  expect(problem).toBe(
    `waybill: ${manifests} line 1: schema: "waybill.manifest/1": expected "waybill.request-event/1"`,
  )
})
