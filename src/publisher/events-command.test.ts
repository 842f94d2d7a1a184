/** `waybill events`: order, --since, both formats, and following a store that is being written. */
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { hexId, samplePackageEvent } from '../../test/support/sample-events.ts'
import { csvHeader } from './csv.ts'
import { type ReadEventsOptions, readEvents } from './events-command.ts'
import { createSqlitePublisher } from './sqlite.ts'

const nowMs = Date.parse('2026-02-03T12:00:00.000Z')
let folder: string
let path: string
let writer: DatabaseSync | null = null

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-events-'))
  path = join(folder, 'waybill.db')
})
afterEach(() => {
  writer?.close()
  writer = null
  rmSync(folder, { recursive: true, force: true })
})

function createStore() {
  writer = new DatabaseSync(path)
  writer.exec('PRAGMA journal_mode = WAL')
  return createSqlitePublisher({
    database: writer,
    retention: { eventsMs: 86_400_000, requestsMs: 0, maxBytes: 0 },
    now: () => nowMs,
    log: { info: () => undefined },
    onPublished: () => undefined,
  })
}

const eventAt = (n: number, minutesAgo: number) =>
  samplePackageEvent(n, { ended_at: new Date(nowMs - minutesAgo * 60_000).toISOString() })

async function read(options: Partial<ReadEventsOptions> = {}) {
  const lines: string[] = []
  const result = await readEvents(
    { path, sinceMs: null, follow: false, format: 'ndjson', ...options },
    (line) => void lines.push(line),
    new AbortController().signal,
  )
  return { lines, result }
}

const numbersOf = (lines: string[]) =>
  lines.map((line) => Number.parseInt((JSON.parse(line) as { id: string }).id, 16))

test('oldest first by end and id, whatever the order in which they were stored', async () => {
  const store = createStore()
  // More than one page of the reader, in a scrambled order, with equal times among them.
  const numbers = Array.from({ length: 1_300 }, (_, n) => (n * 733) % 1_300)
  store.publishEvents(numbers.map((n) => eventAt(n, 10_000 - Math.floor(n / 7))))
  const { lines, result } = await read()
  expect(result).toEqual({ ok: true, count: 1_300 })
  expect(numbersOf(lines)).toEqual(Array.from({ length: 1_300 }, (_, n) => n))
  expect(JSON.parse(lines[0]!)).toEqual(eventAt(0, 10_000))
  expect(lines.every((line) => line.indexOf('\n') === line.length - 1)).toBe(true)
})

test('a listing begins at its start, inclusive', async () => {
  createStore().publishEvents([eventAt(1, 121), eventAt(2, 120), eventAt(3, 1)])
  expect(numbersOf((await read({ sinceMs: nowMs - 2 * 3_600_000 })).lines)).toEqual([2, 3])
})

test('CSV has its header once, with no event too', async () => {
  const store = createStore()
  expect((await read({ format: 'csv' })).lines).toEqual([`${csvHeader}\r\n`])
  store.publishEvents([eventAt(1, 2), eventAt(2, 1)])
  const { lines } = await read({ format: 'csv' })
  expect(lines[0]).toBe(`${csvHeader}\r\n`)
  expect(lines.every((line) => /[^\r]\r\n$/.test(line))).toBe(true)
  expect(lines.slice(1).map((line) => line.split(',')[1])).toEqual([hexId(1), hexId(2)])
})

test('no store, a store without events yet, and a file that is none: a message that names the file', async () => {
  expect((await read()).result).toMatchObject({
    ok: false,
    error: expect.stringContaining(`${path}: no events`),
  })
  expect(existsSync(path)).toBe(false)
  writer = new DatabaseSync(path)
  writer.exec('CREATE TABLE sessions (id TEXT)')
  expect((await read()).result).toMatchObject({
    ok: false,
    error: expect.stringContaining(`${path}: no events`),
  })
  expect((await read({ path: folder })).result).toMatchObject({
    ok: false,
    error: expect.stringContaining(folder),
  })
})

test('following gives every event once, late and old ones among them, and ends on the signal', async () => {
  const store = createStore()
  store.publishEvents([eventAt(1, 10), eventAt(2, 5)])
  const lines: string[] = []
  const abort = new AbortController()
  const reading = readEvents(
    { path, sinceMs: nowMs - 30 * 60_000, follow: true, format: 'ndjson', pollMs: 5 },
    (line) => void lines.push(line),
    abort.signal,
  )
  await expect.poll(() => numbersOf(lines)).toEqual([1, 2])
  // Older than what was printed already; one too old for --since; a repeat; more than one page.
  store.publishEvents([eventAt(3, 20), eventAt(4, 40), eventAt(2, 5)])
  await expect.poll(() => numbersOf(lines)).toEqual([1, 2, 3])
  const many = Array.from({ length: 1_200 }, (_, n) => 1_000 + n)
  store.publishEvents(many.map((n) => eventAt(n, 1)))
  await expect.poll(() => lines.length).toBe(1_203)
  expect(numbersOf(lines)).toEqual([1, 2, 3, ...many])
  abort.abort()
  expect(await reading).toEqual({ ok: true, count: 1_203 })
})

test('following goes on after retention emptied the store', async () => {
  const store = createStore()
  store.publishEvents([eventAt(1, 3 * 24 * 60), eventAt(2, 3 * 24 * 60)])
  const lines: string[] = []
  const abort = new AbortController()
  const reading = readEvents(
    { path, sinceMs: null, follow: true, format: 'ndjson', pollMs: 5 },
    (line) => void lines.push(line),
    abort.signal,
  )
  await expect.poll(() => numbersOf(lines)).toEqual([1, 2])
  expect(store.trim().events.age).toBe(2)
  store.publishEvents([eventAt(3, 1)])
  await expect.poll(() => numbersOf(lines)).toEqual([1, 2, 3])
  abort.abort()
  await reading
})

test('a slow reader of the output is waited for', async () => {
  createStore().publishEvents([eventAt(1, 2), eventAt(2, 1)])
  const gate = Promise.withResolvers<void>()
  const lines: string[] = []
  const reading = readEvents(
    { path, sinceMs: null, follow: false, format: 'ndjson' },
    (line) => {
      lines.push(line)
      return gate.promise
    },
    new AbortController().signal,
  )
  await new Promise((resolve) => setImmediate(resolve))
  expect(lines).toHaveLength(1)
  gate.resolve()
  await reading
  expect(lines).toHaveLength(2)
})

test('a store that is not there is told from one that cannot be read', async () => {
  const options: ReadEventsOptions = { path, sinceMs: null, follow: false, format: 'ndjson' }
  const read = () => readEvents(options, () => undefined, new AbortController().signal)
  expect(await read()).toMatchObject({ error: expect.stringContaining('no events are stored here yet') })
  symlinkSync(path, path)
  expect(await read()).toMatchObject({ error: expect.stringContaining('cannot be read (ELOOP)') })
})
