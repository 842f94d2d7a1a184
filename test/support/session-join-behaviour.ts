/** What every session store promises of sessions that are one pull on two tokens, as tests. */
import { expect, test } from 'vitest'
import { factOf } from '../../src/sessionizer/fact.ts'
import { shortDigest } from '../../src/sessionizer/fact-codec.ts'
import { joinEntryOf, joinKeyOf } from '../../src/sessionizer/join-index.ts'
import { compareRenewals, type Renewal } from '../../src/sessionizer/renewed-token.ts'
import type { ClaimedSession, SessionStore } from '../../src/sessionizer/store.ts'
import {
  digestOf,
  heartbeat,
  hexId,
  manifestRequest,
  type RequestFields,
  recordId,
  request,
  startMs,
} from './session-facts.ts'
import { claimOne, closeAll, facts, never, type OpenStore } from './session-store-behaviour.ts'

export function testSessionJoins(open: OpenStore): void {
  type Step = ['HEAD' | 'GET', session: string, reference: string, at: number]
  const digest = digestOf('index')
  const joins: [string, Step[], Record<string, string>][] = [
    [
      'HEAD and GET on two tokens',
      [
        ['HEAD', 's1', '1.0', 0],
        ['GET', 's2', digest, 400],
      ],
      { s1: 's2' },
    ],
    [
      'HEAD by digest',
      [
        ['HEAD', 's1', digest, 0],
        ['GET', 's2', digest, 0],
      ],
      { s1: 's2' },
    ],
    [
      'GET too late',
      [
        ['HEAD', 's1', '1.0', 0],
        ['GET', 's2', digest, 9001],
      ],
      {},
    ],
    [
      'GET before HEAD',
      [
        ['GET', 's2', digest, 0],
        ['HEAD', 's1', '1.0', 1],
      ],
      {},
    ],
    [
      'GET by tag',
      [
        ['HEAD', 's1', '1.0', 0],
        ['GET', 's2', '1.0', 10],
      ],
      {},
    ],
    [
      'one token for all',
      [
        ['HEAD', 's1', '1.0', 0],
        ['GET', 's1', digest, 5],
        ['GET', 's2', digest, 9],
      ],
      {},
    ],
    [
      'another digest',
      [
        ['HEAD', 's1', '1.0', 0],
        ['GET', 's2', digestOf('else'), 10],
      ],
      {},
    ],
    [
      'two clients behind one address, in order',
      [
        ['HEAD', 's1', '1.0', 0],
        ['HEAD', 's3', '1.0', 5],
        ['GET', 's4', digest, 10],
        ['GET', 's2', digest, 11],
      ],
      { s1: 's4', s3: 's2' },
    ],
    [
      'a check between two pulls stays a check',
      [
        ['HEAD', 's1', '1.0', 0],
        ['GET', 's2', digest, 10],
        ['HEAD', 's3', '1.0', 20],
        ['HEAD', 's4', '1.0', 30_000],
        ['GET', 's5', digest, 30_010],
      ],
      { s1: 's2', s4: 's5' },
    ],
    [
      'a HEAD joins one GET only',
      [
        ['HEAD', 's1', '1.0', 0],
        ['HEAD', 's1', digestOf('else'), 1],
        ['GET', 's2', digest, 10],
        ['GET', 's3', digestOf('else'), 11],
      ],
      { s1: 's2' },
    ],
  ]
  test.each(joins)('join: %s', async (_, steps, pairs) => {
    const store = await open()
    const events = steps.map(([method, session, reference, at], index) =>
      manifestRequest(recordId(index), method, reference, { at, session_id: hexId(session) }),
    )
    await store.addEntries(events.toReversed())
    const limits = { upToMs: startMs + 60_000, windowMs: 9000 }
    async function ask(session: string) {
      const own = events.filter((event) => event.session_id === hexId(session)).map((event) => factOf(event)!)
      const kinds = [...new Set(own.map((fact) => joinEntryOf(fact)!.kind))]
      const joinKey = joinKeyOf(own[0]!)
      return store.pair({ joinKey, sessionId: hexId(session), kinds, limits, keepMs: 0 })
    }
    const sessions = [...new Set(steps.map(([, session]) => session))]
    // The second time everything is decided, and comes again.
    for (const round of [sessions.toReversed(), sessions]) {
      for (const session of round) {
        const source = sessions.filter((one) => pairs[one] === session).map(hexId)[0] ?? null
        const target = pairs[session] === undefined ? null : hexId(pairs[session])
        expect(await ask(session), session).toEqual({ target, source, renewals: [] })
      }
      await store.addEntries(events)
    }
  })

  test('moved facts are in their new session, and later ones follow', async () => {
    const store = await open()
    const [from, to] = [hexId('from'), hexId('to')]
    const head = manifestRequest(recordId(1), 'HEAD', '1.0', { session_id: from })
    const get = manifestRequest(recordId(2), 'GET', digest, { session_id: to, at: 50 })
    const late = manifestRequest(recordId(3), 'HEAD', '1.0', { session_id: from, at: 60, node: 'another' })
    await store.addEntries([head, get])
    const loaded = (await store.load(from))!
    await store.move({ from, to, facts: loaded.facts })
    await store.move({ from, to, facts: loaded.facts })
    await store.addEntries([head, late, get])
    expect(await store.openSessions()).toBe(1)
    expect(await store.load(from)).toBeNull()
    expect(facts(await store.load(to))).toEqual([head, get, late].map((event) => factOf(event)))
    await store.closeSession(closeAll((await claimOne(store, never)) as ClaimedSession))
    await store.move({ from, to, facts: loaded.facts })
    await store.addEntries([head, late])
    expect(await store.openSessions()).toBe(0)
  })

  test('what was counted before its session was moved is not counted again', async () => {
    const store = await open()
    const [from, to] = [hexId('from'), hexId('to')]
    const session_id = from
    const counted = [1, 70_000].map((sequence) =>
      manifestRequest(recordId(sequence), 'HEAD', '1.0', { session_id }),
    )
    const moved = manifestRequest(recordId(2), 'HEAD', '1.0', { session_id, at: 90_000 })
    await store.addEntries(counted)
    await store.closeSession(closeAll((await claimOne(store, never)) as ClaimedSession))
    await store.addEntries([moved])
    await store.move({ from, to, facts: (await store.load(from))!.facts })
    await store.addEntries([...counted, moved])
    expect(facts(await store.load(to)).map(({ id }) => id)).toEqual([recordId(2)])
    await store.closeSession(closeAll((await claimOne(store, never)) as ClaimedSession))
    await store.addEntries([...counted, moved])
    expect(await store.openSessions()).toBe(0)
  })

  test('facts that come during a move stay to be moved', async () => {
    const store = await open()
    const [from, to] = [hexId('from'), hexId('to')]
    await store.addEntries([manifestRequest(recordId(1), 'HEAD', '1.0', { session_id: from })])
    const loaded = (await store.load(from))!
    await store.addEntries([manifestRequest(recordId(2), 'HEAD', '1.0', { session_id: from })])
    await store.move({ from, to, facts: loaded.facts })
    expect(facts(await store.load(from)).map(({ id }) => id)).toEqual([recordId(2)])
    await store.move({ from, to, facts: (await store.load(from))!.facts })
    expect(await store.load(from)).toBeNull()
    expect(facts(await store.load(to))).toHaveLength(2)
  })

  const blob = (sequence: number, session: string, at: number, fields: RequestFields = {}) =>
    request(recordId(sequence), { at, session_id: hexId(session), ...fields })
  async function renewalsOf(store: SessionStore, upTo = 60_000): Promise<Renewal[]> {
    const limits = { upToMs: startMs + upTo, windowMs: 9000 }
    const joinKey = joinKeyOf(factOf(blob(1, 'any', 0))!)
    const ask = { joinKey, sessionId: hexId('any'), kinds: [], limits, keepMs: 0 }
    return (await store.pair(ask)).renewals.toSorted(compareRenewals)
  }

  test('a token that began with a blob is known by its first, until a manifest is known that came before', async () => {
    const store = await open()
    const head = (session: string, at: number) =>
      manifestRequest(recordId(at + 9000), 'HEAD', '1.0', { at, session_id: hexId(session) })
    const late = { duration_ms: 20_000 }
    const entries = [
      ...[
        blob(1, 'b1', 300),
        blob(2, 'b1', 200),
        heartbeat(recordId(3), { at: 250, session_id: hexId('b1') }),
      ],
      ...[head('h', 100), blob(4, 'h', 150), blob(5, 'g', 50, late), head('g', 60)],
      ...[blob(6, 'c', 70, { session_method: 'client' }), blob(7, 'later', 70_000)],
      ...[blob(8, 'm', 90), head('m', 80), blob(9, 'same', 110), head('same', 110)],
    ]
    const wanted = [
      {
        sessionId: hexId('g'),
        digest: shortDigest(digestOf('layer')),
        time: startMs + 50,
        partner: undefined,
      },
      {
        sessionId: hexId('b1'),
        digest: shortDigest(digestOf('layer')),
        time: startMs + 200,
        partner: undefined,
      },
    ]
    // In whatever batches and order they come.
    for (const order of [entries, entries.toReversed()]) {
      for (const entry of order) await store.addEntries([entry])
      expect(await renewalsOf(store)).toEqual(wanted)
    }
    await store.addEntries(entries)
    expect(await renewalsOf(store)).toEqual(wanted)
  })

  test('what was decided of a renewed token stays', async () => {
    const store = await open()
    await store.addEntries([blob(1, 'b1', 0), blob(2, 'b2', 10)])
    const joinKey = joinKeyOf(factOf(blob(1, 'b1', 0))!)
    const decide = (session: string, partner: string | null) =>
      store.decideRenewal({ joinKey, sessionId: hexId(session), partner })
    expect(await decide('b1', hexId('a'))).toBe(hexId('a'))
    expect(await decide('b1', null)).toBe(hexId('a'))
    expect(await decide('b2', null)).toBeNull()
    expect(await decide('b2', hexId('a'))).toBeNull()
    expect(await decide('unknown', hexId('a'))).toBeUndefined()
    await store.addEntries([blob(1, 'b1', 0), blob(3, 'b1', 5), blob(2, 'b2', 10)])
    const known = (await renewalsOf(store)).map(({ sessionId, partner }) => [sessionId, partner])
    expect(known).toEqual([
      [hexId('b1'), hexId('a')],
      [hexId('b2'), null],
    ])
    // Long after, they are told once more, and forgotten.
    expect(await renewalsOf(store, 3_600_000)).toHaveLength(2)
    expect(await renewalsOf(store, 3_600_000)).toHaveLength(0)
  })

  test('who began something lately is found, and whoever goes on with it', async () => {
    const store = await open()
    const began = (session: string, at: number) =>
      manifestRequest(recordId(at), 'GET', '1.0', { at, session_id: hexId(session) })
    const all = [began('old', 0), began('long', 1), began('new', 3_000_000)]
    await store.addEntries([...all, blob(9, 'blob', 5)])
    const joinKey = joinKeyOf(factOf(all[0]!)!)
    const pairAt = (session: string, at: number) =>
      store.pair({
        ...{ joinKey, sessionId: hexId(session), kinds: ['c'] },
        limits: { upToMs: startMs + at, windowMs: 9000 },
        keepMs: startMs + at + 60_000,
      })
    for (let at = 60_000; at <= 3_000_000; at += 60_000) await pairAt('long', at)
    const found = await store.beginners(joinKey)
    expect(found).toContain(hexId('long'))
    expect(found).toContain(hexId('new'))
    expect(found).not.toContain(hexId('blob'))
  })
}
