/** The parts of `make conformance` that decide what it says: which server gets what, and which cases are lost. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { compare } from './conformance/report.ts'
import { type Splitter, startSplitter } from './conformance/splitter.ts'
import type { Status } from './conformance/suite.ts'
import { type FaultUpstream, startFaultUpstream } from './support/fault-upstream.ts'
import { send } from './support/http-client.ts'
import { pushBlob } from './support/push.ts'
import { type Registry, startRegistry } from './support/registry.ts'

let registry: Registry
let front: FaultUpstream
let splitter: Splitter

beforeAll(async () => {
  ;[registry, front] = await Promise.all([startRegistry(), startFaultUpstream()])
  const renaming = { front: 'public', registry: 'inner' }
  splitter = await startSplitter({ front: front.url, registry: registry.url, renaming })
})
afterAll(async () => {
  await splitter?.stop()
  await front?.stop()
  await registry?.stop()
})

test('what is pushed goes to the registry under its name there, and reads to the front as they are', async () => {
  const { digest, bytes } = await pushBlob(splitter.url, 'public/app', Buffer.from('pushed through it'))
  expect(splitter.toFront()).toBe(0)
  expect((await send(`${registry.url}/v2/inner/app/blobs/${digest}`)).body.equals(bytes)).toBe(true)

  const upload = await send(`${splitter.url}/v2/public/app/blobs/uploads/`, { method: 'POST' })
  expect(upload.headers['location']).toContain('/v2/public/app/blobs/uploads/')
  const place = new URL(upload.headers['location'] ?? '', splitter.url).href
  expect((await send(place)).status).toBe(204)
  expect(front.seen).toEqual([])

  const path = `/v2/public/app/blobs/${digest}`
  front.answer(path, { headers: { 'X-From': 'front' }, body: 'of the front' })
  for (const method of ['GET', 'HEAD']) {
    const answer = await send(`${splitter.url}${path}`, { method })
    expect(answer.headers['x-from']).toBe('front')
    expect(answer.headers['content-length']).toBe('12')
  }
  expect(front.seen.map(({ method, url, headers }) => [method, url, headers.host])).toEqual([
    ['GET', path, splitter.host],
    ['HEAD', path, splitter.host],
  ])
})

test('a case is lost when fewer of its name pass, in whatever order they were run', () => {
  const run = (...cases: [name: string, status: Status][]) => ({
    name: 'run',
    reads: 0,
    cases: cases.map(([name, status]) => ({ name, part: 'part', status })),
  })
  const direct = run(['a', 'passed'], ['a', 'failed'], ['b', 'passed'], ['c', 'failed'], ['d', 'passed'])
  const same = run(['d', 'passed'], ['c', 'skipped'], ['a', 'failed'], ['a', 'passed'], ['b', 'passed'])
  expect(compare(direct, same)).toEqual([])
  expect(compare(direct, run(['a', 'passed'], ['b', 'skipped'], ['c', 'passed']))).toEqual([
    { name: 'b', direct: 1, here: 0 },
    { name: 'd', direct: 1, here: 0 },
  ])
})
