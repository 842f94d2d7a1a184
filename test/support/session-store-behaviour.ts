/** What every session store promises, as tests: run against each of them. */
import { expect, test } from 'vitest'
import { factOf } from '../../src/sessionizer/fact.ts'
import { claimFacts, mostFacts, type SessionRules } from '../../src/sessionizer/schedule.ts'
import type { ClaimedSession, CloseRequest, SessionStore } from '../../src/sessionizer/store.ts'
import type { Fact } from '../../src/sessionizer/types.ts'
import {
  digestOf,
  heartbeat,
  hexId,
  imageManifest,
  manifestRequest,
  type RequestFields,
  recordId,
  request,
  startMs,
} from './session-facts.ts'

export const rules: SessionRules = {
  idleMs: 60_000,
  idleHeadMs: 10_000,
  idleBuilderMs: 1_800_000,
  maxMs: 86_400_000,
  latenessMs: 1e13,
}

export type OpenStore = (options?: {
  leaseMs?: number
  tombstoneMs?: number
  manifestMs?: number
  sessions?: SessionRules
  onTagsRefused?(count: number): void
  /** Where a method takes several calls: see `RedisStoreOptions`. */
  beforeCall?(): void
}) => Promise<SessionStore>

export const never = startMs + 1e10

export function facts(session: { facts: readonly { fact: Fact }[] } | undefined | null): Fact[] {
  return session?.facts.map(({ fact }) => fact) ?? []
}

export async function claimOne(
  store: SessionStore,
  watermarkMs: number,
): Promise<ClaimedSession | undefined> {
  const claimed = await store.claimDue({ watermarkMs, max: 64 })
  expect(claimed.length).toBeLessThan(2)
  return claimed[0]
}

export function closeAll(session: ClaimedSession, fields: Partial<CloseRequest> = {}): CloseRequest {
  return {
    sessionId: session.sessionId,
    lease: session.lease,
    arrivals: session.arrivals,
    countedIds: facts(session).map(({ id }) => id),
    earlier: [],
    watermarkMs: startMs + 100_000,
    closedThroughMs: startMs + 60_000,
    remaining: null,
    ...fields,
  }
}

export function testSessionStore(open: OpenStore): void {
  test('facts come back as they were put in', async () => {
    const store = await open()
    const long = 'x'.repeat(200)
    const events = [
      request(recordId(1)),
      manifestRequest(recordId(2), 'HEAD', '1.0', { at: 5, outcome: 'cache', duration_ms: 3 }),
      manifestRequest(recordId(3), 'GET', `sha512:${'ab'.repeat(64)}`, { at: 10, size: null, bytes_sent: 0 }),
      manifestRequest(recordId(4), 'GET', long, { at: 20, digest: null, status: 404, outcome: 'reject' }),
      request(recordId(5), {
        at: 30,
        status: 206,
        offset: 7e12,
        size: 8e12,
        bytes_sent: 1e12,
        aborted: true,
      }),
      request(recordId(6), { at: 40, class: 'tags', reference: null, digest: null, outcome: 'local' }),
      request(recordId(7), { at: 50, class: 'referrers', outcome: 'redirect', status: 307, bytes_sent: 0 }),
      request(recordId(8), {
        at: 60,
        node: 'front-ü',
        company: null,
        domain: null,
        upstream: null,
        upstream_repository: null,
        client: { tool: null, version: long, automation: 'no', via: 'cache:mirror' },
        geo: { country: null, region: null, city: 'Nowhere' },
        network: { asn: null, organization: null, type: null, cloud_provider: null, cloud_region: null },
        data: { city_built_at: null, asn_built_at: '2026-02-26' },
        privacy: { key_epoch: 'e', key_scope: 'shared' },
      }),
      heartbeat(recordId(9), { at: 70, duration_ms: 20_000 }),
    ]
    await store.addEntries(events)
    const claimed = await claimOne(store, never)
    expect(facts(claimed)).toEqual(events.map((event) => factOf(event)))
    expect(claimed?.facts.every(({ late }) => !late)).toBe(true)
  })

  test('only reads of a repository in a session are facts', async () => {
    const store = await open()
    await store.addEntries([
      request(recordId(1), { session_id: null, session_method: null }),
      request(recordId(2), { class: 'ping', repository: null }),
      request(recordId(3), { class: 'other' }),
      request(recordId(4), { method: 'DELETE' }),
    ])
    expect(await store.openSessions()).toBe(0)
  })

  test('repeats and orders of arrival make no difference', async () => {
    const store = await open()
    const end = request(recordId(2), { at: 1000, duration_ms: 40_000 })
    const beats = [10_000, 20_000, 30_000].map((duration_ms) =>
      heartbeat(recordId(2), { at: 1000, duration_ms, bytes_sent: duration_ms }),
    )
    const other = heartbeat(recordId(3), { at: 2000, duration_ms: 500 })
    const [first, second, third] = beats as [(typeof beats)[0], (typeof beats)[0], (typeof beats)[0]]
    await store.addEntries([third, request(recordId(1))])
    await store.addEntries([first, other, second, request(recordId(1)), request(recordId(1))])
    expect(facts(await store.load(hexId('session')))).toEqual(
      [request(recordId(1)), third, other].map((event) => factOf(event)),
    )
    await store.addEntries([end])
    await store.addEntries([third, end])
    expect(facts(await store.load(hexId('session')))).toEqual(
      [request(recordId(1)), end, other].map((event) => factOf(event)),
    )
  })

  const many = Array.from({ length: 256 }, (_, at) => ({ at: at * 10 }))
  const checks: [string, RequestFields[], number][] = [
    ['client session', [{ session_method: 'client' }], 60_000],
    ['client session, by the last end', [{ session_method: 'client', at: 5, duration_ms: 1000 }], 61_005],
    ['HEADs only', [{ session_method: 'client', method: 'HEAD' }], 10_000],
    ['HEADs only on a token', [{ method: 'HEAD' }, { method: 'HEAD', at: 2000 }], 12_000],
    ['token session, early', [{ method: 'HEAD' }, { at: 2000 }], 7000],
    ['builder', [{ session_method: 'client', client: { tool: 'buildkit' } }], 1_800_000],
    ['builder on a token', [{ client: { tool: 'kaniko' } }], 5000],
    [
      'never idle: once a minute',
      [0, 20_000, 40_000, 60_000].map((at) => ({ session_method: 'client' as const, at })),
      60_000,
    ],
    ['never idle: every 256 facts', many.map(({ at }) => ({ session_method: 'client' as const, at })), 2550],
  ]
  test.each(checks)('check of a %s', async (_, fields, checkMs) => {
    const store = await open()
    // In the reverse order: the check is of the facts, not of their arrival.
    for (const [index, one] of [...fields.entries()].reverse()) {
      await store.addEntries([request(recordId(index), one)])
    }
    expect(await claimOne(store, startMs + checkMs - 1)).toBeUndefined()
    expect(facts(await claimOne(store, startMs + checkMs))).toHaveLength(fields.length)
  })

  test('a claimed session is nobody else’s until its lease runs out', async () => {
    const store = await open({ leaseMs: 150 })
    await store.addEntries([request(recordId(1))])
    const first = await claimOne(store, never)
    expect(first).toBeDefined()
    expect(await claimOne(store, never)).toBeUndefined()
    await store.addEntries([request(recordId(2))])
    expect(await claimOne(store, never)).toBeUndefined()
    await expect.poll(() => claimOne(store, never), { timeout: 3000 }).toBeDefined()
    expect(await store.openSessions()).toBe(1)
    // The first owner is too late now; nothing is lost.
    expect(await store.closeSession(closeAll(first as ClaimedSession))).toBe(false)
    expect(facts(await store.load(hexId('session')))).toHaveLength(2)
  })

  test('a released session can be claimed again from the given time', async () => {
    const store = await open()
    await store.addEntries([request(recordId(1))])
    const claimed = (await claimOne(store, never)) as ClaimedSession
    await store.release({ ...claimed, nextCheckMs: never + 10 })
    expect(await claimOne(store, never + 9)).toBeUndefined()
    expect(facts(await claimOne(store, never + 10))).toHaveLength(1)
  })

  test('closing forgets what was read and nothing else', async () => {
    const store = await open()
    await store.addEntries([request(recordId(1)), request(recordId(2), { at: 10 })])
    const claimed = (await claimOne(store, never)) as ClaimedSession
    await store.addEntries([request(recordId(3), { at: 70_000 }), request(recordId(4), { at: 20 })])
    expect(await store.closeSession(closeAll(claimed))).toBe(true)
    expect(await store.closeSession(closeAll(claimed))).toBe(false)
    expect(await store.openSessions()).toBe(1)
    const rest = (await claimOne(store, startMs + 75_000)) as ClaimedSession
    expect(facts(rest).map(({ id }) => id)).toEqual([recordId(4), recordId(3)])
    expect(await store.closeSession(closeAll(rest))).toBe(true)
    expect(await store.openSessions()).toBe(0)
    expect(await store.load(hexId('session'))).toBeNull()
  })

  test('what was counted never counts again; what comes late says so', async () => {
    const store = await open()
    // Ids whose last two bytes overlap when they stand side by side.
    const counted = [0x0102, 0x0201, 0x1_0102].map((sequence) => request(recordId(sequence)))
    await store.addEntries([...counted, heartbeat(recordId(9))])
    const claimed = (await claimOne(store, never)) as ClaimedSession
    await store.closeSession(closeAll(claimed))
    await store.addEntries([...counted, request(recordId(9), { duration_ms: 5 })])
    expect(await store.openSessions()).toBe(0)
    await store.addEntries([
      ...counted,
      request(recordId(0x0202), { at: 59_999 }),
      request(recordId(0x2_0102), { at: 60_000 }),
    ])
    const next = (await claimOne(store, never)) as ClaimedSession
    expect(next.facts.map(({ fact, late }) => [fact.id, late])).toEqual([
      [recordId(0x0202), true],
      [recordId(0x2_0102), false],
    ])
    await store.closeSession(closeAll(next, { closedThroughMs: null }))
    await store.addEntries([request(recordId(0x0202)), request(recordId(0x2_0102)), ...counted])
    expect(await store.openSessions()).toBe(0)
  })

  test('after a pass the rest stays and is looked at when asked', async () => {
    const store = await open()
    await store.addEntries([request(recordId(1)), manifestRequest(recordId(2), 'HEAD', '1.0', { at: 40 })])
    const claimed = (await claimOne(store, startMs + 6000)) as ClaimedSession
    const earlier = [
      {
        type: 'pull' as const,
        kind: 'full' as const,
        session_method: 'token' as const,
        session_ids: [hexId('session'), hexId('other')],
        started_at: new Date(startMs).toISOString(),
        ended_at: new Date(startMs + 5).toISOString(),
        tag: '1.0',
        digest: digestOf('index'),
      },
    ]
    const state = { firstMs: startMs + 40, lastMs: startMs + 40, flags: 4 }
    const remaining = { state, nextCheckMs: startMs + 10_040 }
    await store.closeSession(
      closeAll(claimed, {
        countedIds: [recordId(1)],
        earlier,
        remaining,
        watermarkMs: startMs + 6000,
        closedThroughMs: null,
      }),
    )
    expect(await claimOne(store, startMs + 10_039)).toBeUndefined()
    await store.addEntries([
      request(recordId(1)),
      // It ended before the pass: late. Then two that did not.
      request(recordId(3), { at: 5000, duration_ms: 999 }),
      request(recordId(4), { at: 5000, duration_ms: 1000 }),
    ])
    const next = (await claimOne(store, startMs + 11_001)) as ClaimedSession
    expect(next.facts.map(({ fact, late }) => [fact.id, late])).toEqual([
      [recordId(2), false],
      [recordId(3), true],
      [recordId(4), false],
    ])
    expect(next.earlier).toEqual(earlier)
    expect((await store.load(hexId('session')))?.earlier).toEqual(earlier)
  })

  test('what comes during a pass is looked at in its own time', async () => {
    const store = await open()
    await store.addEntries([request(recordId(1))])
    const claimed = (await claimOne(store, startMs + 6000)) as ClaimedSession
    await store.addEntries([request(recordId(2), { at: 30_000 })])
    const state = { firstMs: startMs, lastMs: startMs, flags: 5 }
    const remaining = { state, nextCheckMs: startMs + 60_000 }
    await store.closeSession(
      closeAll(claimed, { countedIds: [], remaining, watermarkMs: startMs + 6000, closedThroughMs: null }),
    )
    expect(await claimOne(store, startMs + 34_999)).toBeUndefined()
    expect(facts(await claimOne(store, startMs + 35_000))).toHaveLength(2)
  })

  test('no session is older than the longest, however busy', async () => {
    const store = await open()
    await store.addEntries([request(recordId(1)), request(recordId(2), { at: rules.maxMs })])
    const claimed = (await claimOne(store, never)) as ClaimedSession
    const state = { firstMs: startMs, lastMs: startMs + rules.maxMs, flags: 1 }
    const watermarkMs = startMs + rules.maxMs - 1000
    const remaining = { state, nextCheckMs: never }
    await store.closeSession(
      closeAll(claimed, { countedIds: [], remaining, watermarkMs, closedThroughMs: null }),
    )
    await store.addEntries([request(recordId(3), { at: rules.maxMs })])
    expect(await claimOne(store, startMs + rules.maxMs - 1)).toBeUndefined()
    expect(facts(await claimOne(store, startMs + rules.maxMs))).toHaveLength(3)
  })

  test('tombstones go when the log that could repeat them is gone', async () => {
    const store = await open({ tombstoneMs: 1 })
    await store.addEntries([request(recordId(1))])
    await store.closeSession(closeAll((await claimOne(store, never)) as ClaimedSession))
    await expect
      .poll(async () => {
        await store.claimDue({ watermarkMs: 0, max: 1 })
        await store.addEntries([request(recordId(1))])
        return store.openSessions()
      })
      .toBe(1)
  })

  test('manifests live as long as they come or are read', async () => {
    const store = await open({ manifestMs: 300 })
    await store.addEntries([imageManifest('a'), imageManifest('b')])
    expect([...(await store.loadManifests([digestOf('a'), digestOf('c')])).values()]).toEqual([
      imageManifest('a'),
    ])
    // Asked for more often than it lives, and long enough for the other to go.
    const until = Date.now() + 500
    await expect
      .poll(async () => [(await store.loadManifests([digestOf('a')])).size, Date.now() > until], {
        interval: 20,
      })
      .toEqual([1, true])
    expect((await store.loadManifests([digestOf('b')])).size).toBe(0)
    await expect
      .poll(async () => (await store.loadManifests([digestOf('a')])).size, { interval: 700 })
      .toBe(0)
  })

  test('the lowest watermark is that of the node that lags', async () => {
    const store = await open()
    expect(await store.lowestWatermark()).toBeNull()
    await store.publishWatermark('a', startMs + 5)
    await store.publishWatermark('b', startMs + 9)
    expect(await store.lowestWatermark()).toBe(startMs + 5)
    await store.publishWatermark('a', startMs + 10)
    expect(await store.lowestWatermark()).toBe(startMs + 9)
    expect(Math.abs((await store.storeTimeMs()) - Date.now())).toBeLessThan(5000)
  })

  test('a claim reads no more than the thread can bear, and leaves the others to be claimed', async () => {
    const store = await open()
    const sizes = { small: 3, large: claimFacts + 10, other: claimFacts + 20, huge: mostFacts + 5 }
    for (const [ring, [name, size]] of Object.entries(sizes).entries()) {
      const fields = { session_id: hexId(name), session_method: 'client' } as const
      // Younger facts first, and several in each ms.
      const all = Array.from({ length: size }, (_, index) =>
        request(recordId(index, ring), { ...fields, at: (size - index) >> 2 }),
      )
      for (let at = 0; at < size; at += 1000) await store.addEntries(all.slice(at, at + 1000))
    }
    const seen: Record<string, number> = {}
    for (let claims = 0; claims < 10; claims++) {
      const claimed = await store.claimDue({ watermarkMs: never, max: 64 })
      const total = claimed.reduce((sum, { facts: { length } }) => sum + length, 0)
      expect(total).toBeLessThanOrEqual(claimFacts + mostFacts)
      for (const session of claimed) {
        seen[session.sessionId] = session.facts.length
        expect(session.more).toBe(session.sessionId === hexId('huge'))
        if (!session.more) continue
        const inOrder = facts(session).map(({ id }) => id)
        const oldest = Array.from({ length: mostFacts + 5 }, (_, index) => index)
          .sort((a, b) => ((mostFacts + 5 - a) >> 2) - ((mostFacts + 5 - b) >> 2) || a - b)
          .slice(0, mostFacts)
        expect(inOrder).toEqual(oldest.map((index) => recordId(index, 3)))
      }
    }
    expect(seen).toEqual({
      [hexId('small')]: 3,
      [hexId('large')]: sizes.large,
      [hexId('other')]: sizes.other,
      [hexId('huge')]: mostFacts,
    })
  })

  test('what was counted in several closes, of several rings, never counts again', async () => {
    const store = await open()
    const sequences = [1, 2, 65_535, 65_536, 65_537, 200_000]
    const rounds = [1, 2, 3].map((round) =>
      [1, 2].flatMap((ring) => sequences.map((sequence) => request(recordId(sequence + 10 * round, ring)))),
    )
    for (const [index, round] of rounds.entries()) {
      await store.addEntries(round)
      const session = await claimOne(store, never)
      expect(session?.facts).toHaveLength(round.length)
      if (session !== undefined) await store.closeSession(closeAll(session))
      for (const known of rounds.slice(0, index + 1)) await store.addEntries(known)
      expect(await store.openSessions()).toBe(0)
    }
  })
}
