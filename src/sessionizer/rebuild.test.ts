/**
 * What decides an event is what was requested and when: not how the requests were cut into batches, how often and in
 * which order they came, by which node or worker, nor when their sessions were looked at.
 */
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { hexId, manifestRequest, recordId, startMs } from '../../test/support/session-facts.ts'
import { type OpenStore, rules } from '../../test/support/session-store-behaviour.ts'
import { testSessionTraffic } from '../../test/support/session-traffic-behaviour.ts'
import type { PackageEvent } from '../record/events.ts'
import { createRebuild } from './rebuild.ts'
import { createSessionLoop } from './session-loop.ts'
import { createSqliteStore } from './sqlite-store.ts'
import { needsManifests, summarise } from './summarise.ts'

const log = { info() {}, warn() {}, error() {} }
const byId = (events: Iterable<PackageEvent>) =>
  [...events].toSorted((a, b) => (a.id < b.id ? -1 : Number(a.id > b.id)))

const open: OpenStore = async (options) =>
  createSqliteStore({ database: new DatabaseSync(':memory:'), sessions: rules, tombstoneMs: 1e9, ...options })

testSessionTraffic(open, 30)

test('summaries of checks, of the days that were over', async () => {
  const store = createSqliteStore({
    database: new DatabaseSync(':memory:'),
    sessions: rules,
    tombstoneMs: 1e9,
  })
  const all = createRebuild(rules)
  const published: PackageEvent[] = []
  let nowMs = startMs
  const loop = createSessionLoop({
    ...{ store, summarise, needsManifests, node: 'node', sessions: rules, log, intervalMs: 0 },
    publish: async (events) => {
      published.push(...events)
    },
    watermark: () => nowMs,
  })
  // From noon to noon: the second day is not over.
  for (let hour = 0; hour < 24; hour += 1) {
    const fields = { at: hour * 3_600_000, session_id: hexId(`poll ${hour}`) }
    const poll = manifestRequest(recordId(hour), 'HEAD', hour % 3 === 0 ? 'a' : 'b', fields)
    await store.addEntries([poll])
    all.addRequest(poll)
    nowMs = startMs + fields.at + 20_000
    await loop.sweep()
  }
  expect(byId(published)).toEqual(byId(all.events()))
  const counts = published.flatMap(({ checks }) => (checks === null ? [] : [checks.count]))
  expect(counts.toSorted()).toEqual([4, 8])
})
