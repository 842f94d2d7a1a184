/** The embedded store of events: once for each id, kept by age and size, counted right after any end. */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, expect, test } from 'vitest'
import {
  hexId,
  sampleManifest,
  samplePackageEvent,
  sampleRequestEvent,
} from '../../test/support/sample-events.ts'
import { createSqlitePublisher, type SqlitePublisher } from './sqlite.ts'

const dayMs = 86_400_000
const startMs = Date.parse('2026-02-03T00:00:00.000Z')
const folders: string[] = []

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function temporaryFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-sqlite-'))
  folders.push(folder)
  return join(folder, 'waybill.db')
}

function create(options: { path?: string; requestsMs?: number; eventsMs?: number; maxBytes?: number } = {}) {
  const { path = ':memory:', requestsMs = dayMs, eventsMs = 400 * dayMs, maxBytes = 0 } = options
  const database = new DatabaseSync(path)
  database.exec('PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL')
  const published = { events: 0, requests: 0 }
  const clock = { nowMs: startMs }
  const logged: object[] = []
  const publisher = createSqlitePublisher({
    database,
    retention: { eventsMs, requestsMs, maxBytes },
    now: () => clock.nowMs,
    log: { info: (fields) => void logged.push(fields) },
    onPublished: (stream, count) => {
      published[stream] += count
    },
  })
  const ids = (table: string) =>
    (database.prepare(`SELECT id FROM ${table} ORDER BY id`).all() as { id: string }[]).map(({ id }) => id)
  return { database, publisher, published, clock, logged, ids }
}

const at = (ms: number) => new Date(startMs + ms).toISOString()
const eventAt = (n: number, ms: number) => samplePackageEvent(n, { ended_at: at(ms) })
const requestAt = (n: number, ms: number) => sampleRequestEvent(n, { time: at(ms) })

test('an event delivered again is one row, and the first stays', () => {
  const { publisher, database, published, ids } = create()
  publisher.publishEvents([eventAt(1, 0), eventAt(2, 0)])
  publisher.publishEvents([
    eventAt(2, 0),
    samplePackageEvent(1, { tag: 'later' }),
    eventAt(3, 0),
    eventAt(3, 0),
  ])
  expect(ids('package_events')).toEqual([1, 2, 3].map(hexId))
  expect(published).toEqual({ events: 3, requests: 0 })
  const row = database.prepare('SELECT json FROM package_events WHERE id = ?').get(hexId(1)) as {
    json: string
  }
  expect(JSON.parse(row.json)).toEqual(eventAt(1, 0))
})

test('request events are kept only if configured; heartbeats and manifests never', () => {
  const entries = [
    requestAt(1, 0),
    sampleManifest(2),
    { ...requestAt(3, 0), schema: 'waybill.heartbeat/1' } as const,
  ]
  const on = create({ requestsMs: dayMs })
  on.publisher.publishEntries(entries)
  on.publisher.publishEntries(entries)
  expect(on.ids('request_events')).toEqual([hexId(1)])
  expect(on.published).toEqual({ events: 0, requests: 1 })

  const off = create({ requestsMs: 0 })
  off.publisher.publishEntries(entries)
  expect(off.published).toEqual({ events: 0, requests: 0 })
  expect(off.database.prepare("SELECT name FROM sqlite_schema WHERE name LIKE 'request%'").all()).toEqual([])
})

test('a batch with a row that cannot be stored leaves nothing behind', () => {
  const { publisher, database, published, ids } = create()
  const broken = samplePackageEvent(2, { ended_at: 'never' })
  expect(() => publisher.publishEvents([eventAt(1, 0), broken])).toThrow()
  expect(ids('package_events')).toEqual([])
  expect(published.events).toBe(0)
  expect(database.isTransaction).toBe(false)
  publisher.publishEvents([eventAt(1, 0)])
  expect(ids('package_events')).toEqual([hexId(1)])
})

test('retention by age drops what is older, and nothing else', () => {
  const { publisher, clock, ids } = create({ requestsMs: dayMs, eventsMs: 3 * dayMs })
  publisher.publishEvents([0, 1, 2, 3].map((day) => eventAt(day, day * dayMs)))
  publisher.publishEntries([0, 1, 2, 3].map((day) => requestAt(day, day * dayMs)))
  clock.nowMs = startMs + 4 * dayMs
  expect(publisher.trim()).toEqual({
    events: { age: 1, bytes: 0 },
    requests: { age: 3, bytes: 0 },
    more: false,
  })
  expect(ids('package_events')).toEqual([1, 2, 3].map(hexId))
  expect(ids('request_events')).toEqual([hexId(3)])
})

test('request events of a time when they were kept go once they are off', () => {
  const path = temporaryFile()
  const on = create({ path })
  on.publisher.publishEntries([requestAt(1, 0)])
  on.database.close()
  const off = create({ path, requestsMs: 0 })
  off.clock.nowMs = startMs + 1
  expect(off.publisher.trim().requests.age).toBe(1)
  expect(off.ids('request_events')).toEqual([])
})

/** Calls until nothing more is to do; gives what was dropped for size and how many calls it took. */
function trimAll(publisher: SqlitePublisher) {
  const dropped = { events: 0, requests: 0, calls: 0 }
  for (let more = true; more; dropped.calls++) {
    const trimmed = publisher.trim()
    dropped.events += trimmed.events.bytes
    dropped.requests += trimmed.requests.bytes
    more = trimmed.more
  }
  return dropped
}

test('retention by size drops the oldest, request events first, and no more than needed', () => {
  const maxBytes = 600 * 1024
  const { publisher, logged, ids } = create({ maxBytes })
  publisher.publishEvents(Array.from({ length: 100 }, (_, n) => eventAt(n, n)))
  expect(trimAll(publisher)).toEqual({ events: 0, requests: 0, calls: 1 })
  expect(logged).toEqual([])
  publisher.publishEntries(Array.from({ length: 400 }, (_, n) => requestAt(n, n)))
  const first = trimAll(publisher)
  expect(first.events).toBe(0)
  expect(first.requests).toBeGreaterThan(0)
  expect(ids('package_events')).toHaveLength(100)
  expect(ids('request_events')).toEqual(
    Array.from({ length: 400 - first.requests }, (_, n) => hexId(n + first.requests)),
  )
  expect(publisher.usedBytes()).toBeLessThanOrEqual(maxBytes)
  expect(publisher.usedBytes()).toBeGreaterThan(maxBytes * 0.9)

  // Stored late, but old: it goes first.
  publisher.publishEvents(Array.from({ length: 300 }, (_, n) => eventAt(1000 + n, -1000 + n)))
  const second = trimAll(publisher)
  expect(second.events).toBeGreaterThan(0)
  expect(ids('request_events')).toEqual([])
  const kept = ids('package_events')
  expect(kept.slice(0, 100)).toEqual(Array.from({ length: 100 }, (_, n) => hexId(n)))
  expect(kept[100]).toBe(hexId(1000 + second.events))
  expect(logged.length).toBeGreaterThan(0)
})

test('a long way over the limit: bounded steps that end, and the file shrinks to it', () => {
  const path = temporaryFile()
  const maxBytes = 4 * 1024 * 1024
  const { publisher, ids } = create({ path, maxBytes })
  const total = 14_000
  for (let n = 0; n < total; n += 1_000) {
    publisher.publishEvents(Array.from({ length: 1_000 }, (_, k) => eventAt(n + k, n + k)))
  }
  const { events: dropped, calls } = trimAll(publisher)
  expect(calls).toBeGreaterThan(1)
  const kept = ids('package_events')
  expect(kept).toHaveLength(total - dropped)
  expect(kept[0]).toBe(hexId(dropped))
  expect(publisher.usedBytes()).toBeLessThanOrEqual(maxBytes)
  expect(publisher.usedBytes()).toBeGreaterThan(maxBytes * 0.9)
  for (let call = 0; call < 10; call++) publisher.trim()
  expect(statSync(path).size).toBeLessThan(maxBytes * 1.1)
})

test('whatever else fills the file, trimming ends', () => {
  const { publisher, database, ids } = create({ maxBytes: 100 * 1024 })
  database.exec(`CREATE TABLE other (b BLOB); INSERT INTO other VALUES (zeroblob(${1024 * 1024}))`)
  publisher.publishEvents([eventAt(1, 0)])
  expect(publisher.trim()).toMatchObject({ events: { bytes: 1 }, more: false })
  expect(ids('package_events')).toEqual([])
})

test('tables of a later version are left alone', () => {
  const path = temporaryFile()
  const first = create({ path })
  first.database.exec("UPDATE publisher_meta SET value = 2 WHERE key = 'version'")
  first.database.close()
  expect(() => create({ path })).toThrow('version 2')
})
