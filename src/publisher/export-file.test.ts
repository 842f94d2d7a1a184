/** Exports that are not what they should be are refused line by line, and never half used. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { sampleManifest, sampleRequestEvent } from '../../test/support/sample-events.ts'
import { readExport } from './export-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'waybill-export-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function write(...lines: (string | object)[]): string {
  const path = join(folder, `${Math.random()}.ndjson`)
  writeFileSync(
    path,
    lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'),
  )
  return path
}

async function read(stream: 'requests' | 'manifests', path: string) {
  const taken: unknown[] = []
  const problems = await readExport(path, stream, (entry) => void taken.push(entry))
  return { taken, problems }
}

test('each line is an entry; empty lines and what a compacted topic deleted are passed over', async () => {
  const [first, second] = [sampleManifest(1), sampleManifest(2)]
  const path = write(first, '', 'null', second, '')
  expect(await read('manifests', path)).toEqual({ taken: [first, second], problems: [] })
  const odd = { ...sampleRequestEvent(1), reference: 'a\u2028b' }
  const windows = write(`${JSON.stringify(odd)}\r`, sampleRequestEvent(2))
  expect(await read('requests', windows)).toEqual({ taken: [odd, sampleRequestEvent(2)], problems: [] })
})

test('fields that this version does not read may be missing, or be new', async () => {
  const { first_byte_ms: _, ...older } = sampleRequestEvent(1)
  const newer = { ...older, weight: 7 }
  expect((await read('requests', write(older, newer))).problems).toEqual([])
})

const request = sampleRequestEvent(1)
const { status: _, ...withoutStatus } = request
const manifest = sampleManifest(1)

test.each<['requests' | 'manifests', string | object, string]>([
  ['requests', '{"schema":', 'is no JSON'],
  ['requests', '[1]', 'expected a JSON object'],
  ['requests', manifest, 'schema: "waybill.manifest/1": expected "waybill.request-event/1"'],
  ['requests', {}, 'schema: none: expected "waybill.request-event/1"'],
  ['requests', withoutStatus, 'status: is missing'],
  ['requests', { ...request, time: 'yesterday' }, 'time: expected an RFC 3339 time'],
  ['requests', { ...request, bytes_sent: '12' }, 'bytes_sent: expected a number, 0 or more'],
  ['requests', { ...request, session_method: 'ip' }, 'session_method: expected one of token, client'],
  ['requests', { ...request, client: null }, 'client: expected an object'],
  ['manifests', { ...manifest, digest: 'latest' }, 'digest: expected a digest'],
  [
    'manifests',
    { ...manifest, layers: [{ digest: manifest.digest }] },
    'layers: expected a list of descriptors',
  ],
  ['manifests', { ...manifest, config: 'none' }, 'config: expected a descriptor'],
])('wrong in %s: %j', async (stream, line, problem) => {
  const right = stream === 'requests' ? request : manifest
  const path = write(right, line)
  expect((await read(stream, path)).problems).toEqual([`${path} line 2: ${problem}`])
})

test('many wrong lines are told of in few', async () => {
  const path = write(...Array.from({ length: 25 }, () => '{'))
  const { problems } = await read('requests', path)
  expect(problems).toHaveLength(11)
  expect(problems[9]).toBe(`${path} line 10: is no JSON`)
  expect(problems[10]).toBe(`${path}: 15 more lines are wrong`)
})

test('a file that is not there', async () => {
  const path = join(folder, 'none.ndjson')
  expect((await read('requests', path)).problems).toEqual([`${path}: cannot be read: ENOENT`])
})
