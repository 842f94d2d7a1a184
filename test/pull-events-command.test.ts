/** What a user sees of pulls by `waybill events`: CSV, a time to begin at, and new events as they come. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PackageEvent } from '../src/record/events.ts'
import type { Image } from './support/image.ts'
import { run, startProcess, temporaryFolder } from './support/processes.ts'
import { bytesOf, eventOf, eventWithinMs, sessionIdle } from './support/pulls.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { skopeoCopy } from './support/skopeo.ts'
import { command, startWaybill, type Waybill } from './support/waybill.ts'

let registry: Registry
let waybill: Waybill
let image: Image
let first: PackageEvent
let second: PackageEvent

async function pull(tag: string): Promise<void> {
  const source = `${waybill.host}/app:${tag}`
  const copied = await skopeoCopy(source, temporaryFolder('copy'), { all: false })
  expect(copied, copied.stderr).toMatchObject({ code: 0 })
}

async function events(...args: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await run(command, ['events', '--data', waybill.data, ...args])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return stdout.split('\n').filter((line) => line !== '')
}

beforeAll(async () => {
  registry = await startRegistry()
  image = await pushImage(registry, 'app', '1.0')
  for (const tag of ['2.0', '3.0']) await pushImage(registry, 'app', tag, { layers: 1 })
  waybill = await startWaybill({ args: ['--upstream', registry.url, ...sessionIdle] })
  await pull('1.0')
  first = await eventOf(waybill, 'app')
  await pull('2.0')
  second = await eventOf(waybill, 'app', 2)
})
afterAll(async () => {
  await waybill.stop()
  await registry.stop()
})

test('--format csv: a line of names, and one for each event, oldest first', async () => {
  const [names = '', ...rows] = (await events('--format', 'csv')).map((line) => line.replace(/\r$/, ''))
  const columns = names.split(',')
  expect(columns.slice(0, 4)).toEqual(['schema', 'id', 'session_ids', 'session_method'])
  expect(columns).toContain('counts_hub_pulls')
  expect(rows).toHaveLength(2)
  const cell = (row: number, name: string) => rows[row]?.split(',')[columns.indexOf(name)]
  expect(cell(0, 'id')).toBe(first.id)
  expect(cell(0, 'tag')).toBe('1.0')
  expect(cell(0, 'bytes_sent')).toBe(String(bytesOf(image)))
  expect(cell(0, 'client_tool')).toBe('skopeo')
  expect(cell(1, 'tag')).toBe('2.0')
})

test('--since: a time or a duration', async () => {
  const ids = async (since: string) =>
    (await events('--since', since)).map((line) => (JSON.parse(line) as PackageEvent).id)
  expect(await ids('1h')).toEqual([first.id, second.id])
  expect(await ids(first.ended_at)).toEqual([first.id, second.id])
  expect(await ids(new Date(Date.parse(first.ended_at) + 1).toISOString())).toEqual([second.id])
  expect(await ids(new Date(Date.parse(second.ended_at) + 1).toISOString())).toEqual([])
})

test('--follow: what is there, then each new event within seconds of its pull, until it is told to end', async () => {
  const follower = await startProcess({ command, args: ['events', '--data', waybill.data, '--follow'] })
  const tags = () =>
    follower
      .stdout()
      .split('\n')
      .slice(0, -1)
      .map((line) => (JSON.parse(line) as PackageEvent).tag)
  await expect.poll(tags, { timeout: 10_000 }).toEqual(['1.0', '2.0'])
  await pull('3.0')
  await expect.poll(tags, { timeout: eventWithinMs }).toEqual(['1.0', '2.0', '3.0'])
  expect(await follower.stop('SIGINT')).toEqual({ code: 0, signal: null })
  expect(follower.stderr()).toBe('')
})
