/** What every session store promises of what it knows beyond one session, as tests. */
import { expect, test } from 'vitest'
import { factOf } from '../../src/sessionizer/fact.ts'
import { joinKeyOf } from '../../src/sessionizer/join-index.ts'
import type { Attempt } from '../../src/sessionizer/memory/attempt-history.ts'
import { createTagHistory, type TagSighting } from '../../src/sessionizer/memory/tag-history.ts'
import { tagKeyOf } from '../../src/sessionizer/memory-notes.ts'
import type { SessionStore } from '../../src/sessionizer/store.ts'
import { createRandom } from './random.ts'
import { samplePackageEvent } from './sample-events.ts'
import { digestOf, hexId, manifestRequest, type RequestFields, recordId, startMs } from './session-facts.ts'
import type { OpenStore } from './session-store-behaviour.ts'

const fact = factOf(manifestRequest(recordId(0), 'HEAD', '1.0'))!
const [tagKey, joinKey] = [tagKeyOf(fact.context), joinKeyOf(fact)]
const [dayMs, graceMs] = [86_400_000, 600_000]
const midnight = Date.parse('2026-03-02T00:00:00.000Z')

const byTime = (a: TagSighting, b: TagSighting) =>
  a.timeMs - b.timeMs || `${a.tag} ${a.digest}`.localeCompare(`${b.tag} ${b.digest}`)

const sightings = async (store: SessionStore) =>
  (await store.loadTags(tagKey)).sort(byTime).map(({ tag, digest, timeMs }) => {
    const name = ['A', 'B', 'C'].find((one) => digestOf(one) === digest) ?? digest
    return `${timeMs - startMs} ${tag} ${name}`
  })

let sequence = 0
function seen(at: number, tag: string, name: string, fields: RequestFields = {}) {
  sequence += 1
  return manifestRequest(recordId(sequence), 'HEAD', tag, { at, digest: digestOf(name), ...fields })
}

function check(at: number, fields: { tag?: string; digest?: string } = {}) {
  sequence += 1
  const time = new Date(midnight + at).toISOString()
  return samplePackageEvent(sequence, {
    ...{ id: hexId(`check ${sequence}`), type: 'check', kind: 'check', tag: 't', digest: digestOf('A') },
    ...{ started_at: time, ended_at: time, batch_id: null, checks: null, fail_reason: null, ...fields },
  })
}

export function testSessionMemory(open: OpenStore): void {
  test('tags: of each second, digest and tag the first sight, in whatever order', async () => {
    const sha512 = `sha512:${'ab'.repeat(64)}`
    const entries = [
      seen(300, '1.0', 'A'),
      seen(100, '1.0', 'A'),
      seen(999, '1.0', 'A'),
      seen(1000, '1.0', 'A'),
      seen(500, '1.0', 'B'),
      seen(100, 'ü'.repeat(40), 'A'),
      seen(2000, 'long', 'A', { digest: sha512 }),
      seen(3000, '1.0', 'A', { upstream: 'other.example' }),
      seen(3000, '1.0', 'A', { status: 404 }),
      seen(3000, digestOf('A'), 'A'),
    ]
    for (const order of [entries, entries.toReversed()]) {
      const store = await open()
      for (const entry of order) await store.addEntries([entry])
      await store.addEntries(order)
      expect(await sightings(store)).toEqual([
        '100 1.0 A',
        `100 ${'ü'.repeat(40)} A`,
        '500 1.0 B',
        '1000 1.0 A',
        `2000 long ${sha512}`,
      ])
    }
  })

  test('tags: once thinned only changes are left, and what comes too late is refused and told', async () => {
    let refused = 0
    const store = await open({
      onTagsRefused: (count) => {
        refused += count
      },
    })
    const names = ['A', 'A', 'B', 'B', 'B', 'A', 'A', 'A']
    await store.addEntries(names.map((name, second) => seen(second * 1000, '1.0', name)))
    await store.addEntries([seen(500, 'other', 'C')])
    await store.thinTags(startMs + 7500)
    expect(await sightings(store)).toEqual([
      '0 1.0 A',
      '500 other C',
      '2000 1.0 B',
      '5000 1.0 A',
      '7000 1.0 A',
    ])
    expect(refused).toBe(0)
    await store.addEntries([seen(6999, '1.0', 'C'), seen(7000, '1.0', 'C'), seen(8000, '1.0', 'A')])
    expect(refused).toBe(1)
    await store.thinTags(startMs + 6000)
    await store.thinTags(startMs + 9000)
    await store.thinTags(startMs + 9000)
    expect(await sightings(store)).toEqual([
      '0 1.0 A',
      '500 other C',
      '2000 1.0 B',
      '5000 1.0 A',
      '7000 1.0 C',
      '8000 1.0 A',
    ])
  })

  test('tags: thinned at any time, and by two at once, they answer as if they were not', async () => {
    const store = await open()
    const random = createRandom(11)
    const all = Array.from({ length: 400 }, (_, second) =>
      seen(second * 500, `t${random.below(8)}`, ['A', 'B', 'C'][random.below(3)] as string),
    )
    const full = createTagHistory()
    for (const entry of all) {
      full.note({ tag: entry.reference ?? '', digest: entry.digest ?? '', timeMs: Date.parse(entry.time) })
    }
    for (let at = 0; at < all.length; at += 40) {
      await store.addEntries(all.slice(at, at + 40).toSorted(() => random.next() - 0.5))
      const horizon = startMs + at * 500
      await Promise.all([store.thinTags(horizon), store.thinTags(horizon - 3000), store.thinTags(horizon)])
    }
    const rows = await store.loadTags(tagKey)
    expect(rows.length).toBeLessThan(340)
    const thinned = createTagHistory(rows)
    for (let ask = 0; ask < 500; ask += 1) {
      const [digest, timeMs] = [digestOf(['A', 'B', 'C'][ask % 3] as string), startMs + random.below(200_000)]
      expect(thinned.tagAt(digest, timeMs)).toBe(full.tagAt(digest, timeMs))
    }
  })

  test('attempts: one for each session and tag, when it asked first and when it was answered first', async () => {
    const ask = (session: string, at: number, status: number, tag = '1.0') =>
      seen(at, tag, 'A', { session_id: hexId(session), status })
    const entries = [
      ask('a', 0, 429),
      ask('a', 20, 200),
      ask('a', 30, 200),
      ask('b', 5, 404),
      ask('b', 9, 404),
      ask('b', 6, 404, 'ü'.repeat(40)),
      ask('c', 7, 401),
    ]
    for (const order of [entries, entries.toReversed()]) {
      const store = await open()
      for (const entry of order) await store.addEntries([entry])
      await store.addEntries(order)
      const attempts = (await store.loadAttempts(joinKey)).sort((a, b) => a.timeMs - b.timeMs)
      expect(attempts).toEqual([
        { sessionId: hexId('a'), tag: '1.0', timeMs: startMs, answeredMs: startMs + 20 },
        { sessionId: hexId('b'), tag: '1.0', timeMs: startMs + 5, answeredMs: null },
        { sessionId: hexId('b'), tag: 'ü'.repeat(40), timeMs: startMs + 6, answeredMs: null },
      ] satisfies Attempt[])
    }
  })

  test('attempts: of a storm the newest', async () => {
    const store = await open()
    const storm = Array.from({ length: 2500 }, (_, at) =>
      seen(at, '1.0', 'A', { session_id: hexId(`${at}`) }),
    )
    for (let at = 0; at < storm.length; at += 500) await store.addEntries(storm.slice(at, at + 500))
    const times = (await store.loadAttempts(joinKey)).map(({ timeMs }) => timeMs - startMs)
    expect(times.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 1024 }, (_, at) => at + 1476))
  })

  test('checks: a summary at the end of the day, the same until it is forgotten; then the day is over', async () => {
    const store = await open()
    const [first, second, third] = [check(-7000), check(-5000, { digest: digestOf('B') }), check(-6000)]
    const [other, next] = [check(-1, { tag: 'u' }), check(1)]
    await store.addChecks([second, other])
    expect(await store.addChecks([third, first, second, next, third])).toEqual({ late: 0, full: 0 })
    await store.addChecks([samplePackageEvent(1)])
    expect(await store.dueChecks(midnight + graceMs - 1, 100)).toEqual([])
    const due = await store.dueChecks(midnight + graceMs, 100)
    expect(due.map(({ type, tag, checks }) => ({ type, tag, checks })).toSorted()).toEqual(
      expect.arrayContaining([
        {
          ...{ type: 'check_summary', tag: 't' },
          checks: {
            ...{ count: 3, first_at: first.started_at, last_at: second.started_at },
            digests: [digestOf('A'), digestOf('B')],
          },
        },
        {
          ...{ type: 'check_summary', tag: 'u' },
          checks: {
            ...{ count: 1, first_at: other.started_at, last_at: other.started_at },
            digests: [digestOf('A')],
          },
        },
      ]),
    )
    expect(due).toHaveLength(2)
    // Its event may have been published already: nothing is added, not even by a node whose clock is behind.
    expect(await store.dueChecks(midnight - dayMs, 100)).toEqual(due)
    expect(await store.addChecks([check(-3), second])).toEqual({ late: 1, full: 0 })
    expect(await store.dueChecks(midnight + graceMs, 100)).toEqual(due)
    await store.forgetChecks(due)
    await store.forgetChecks(due)
    expect(await store.dueChecks(midnight + graceMs, 100)).toEqual([])
    const later = await store.dueChecks(midnight + dayMs + graceMs, 100)
    expect(later.map(({ checks }) => checks?.count)).toEqual([1])
  })

  test('checks: of many at once each counts once', async () => {
    const store = await open()
    const checks = Array.from({ length: 60 }, (_, at) => check(-1000 - at))
    const batches = Array.from({ length: 8 }, (_, from) => checks.slice(from * 7, from * 7 + 20))
    await Promise.all(batches.map((batch) => store.addChecks(batch)))
    const due = await store.dueChecks(midnight + graceMs, 100)
    expect(due.map(({ checks: seenChecks }) => seenChecks?.count)).toEqual([60])
  })
}
