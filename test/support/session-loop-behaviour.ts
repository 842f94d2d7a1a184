/** What the session loop promises on any store, as tests. */
import { expect, test } from 'vitest'
import type { LogEntry, PackageEvent } from '../../src/record/events.ts'
import { mostFacts, type SessionRules } from '../../src/sessionizer/schedule.ts'
import {
  createSessionLoop,
  type SessionLoop,
  type SessionLoopOptions,
} from '../../src/sessionizer/session-loop.ts'
import type { SessionStore } from '../../src/sessionizer/store.ts'
import { needsManifests, summarise } from '../../src/sessionizer/summarise.ts'
import {
  digestOf,
  heartbeat,
  hexId,
  imageManifest,
  indexManifest,
  manifestRequest,
  recordId,
  request,
  startMs,
} from './session-facts.ts'
import { type OpenStore, rules } from './session-store-behaviour.ts'

const log = { info() {}, warn() {}, error() {} }

type Bench = {
  store: SessionStore
  loop: SessionLoop
  published: PackageEvent[]
  late: number
  failPublish: boolean
  /** Runs the loop with the watermark so many ms after the start. */
  sweepAt(atMs: number): Promise<number>
}

async function createBench(store: SessionStore, fields: Partial<SessionLoopOptions> = {}): Promise<Bench> {
  let watermarkMs = startMs
  const bench: Bench = {
    store,
    published: [],
    late: 0,
    failPublish: false,
    sweepAt(atMs) {
      watermarkMs = startMs + atMs
      return bench.loop.sweep()
    },
    loop: createSessionLoop({
      store,
      summarise,
      needsManifests,
      publish: async (events) => {
        if (bench.failPublish) throw new Error('no broker')
        bench.published.push(...events)
      },
      watermark: () => watermarkMs,
      node: hexId('node'),
      sessions: rules,
      log,
      metrics: {
        late: (facts) => {
          bench.late += facts
        },
      },
      intervalMs: 0,
      backoffMs: { first: 0, longest: 0 },
      ...fields,
    }),
  }
  return bench
}

/** containerd: HEAD on one token, then all GETs on another; each step 100 ms after the one before. */
function containerdPull(name = '', at = 0): LogEntry[] {
  const session_id = hexId(`get${name}`)
  const image = imageManifest('app')
  const layer = { digest: digestOf('layer'), size: 3_402_100, media_type: 'layer', foreign: false }
  const [ring, step] = [name.length + 1, (index: number) => at + index * 100]
  return [
    { ...image, layers: [layer] },
    indexManifest('index', ['app']),
    manifestRequest(recordId(1, ring), 'HEAD', '1.0', { at, session_id: hexId(`head${name}`) }),
    manifestRequest(recordId(2, ring), 'GET', digestOf('index'), { at: step(1), session_id }),
    manifestRequest(recordId(3, ring), 'GET', digestOf('app'), { at: step(2), session_id }),
    request(recordId(4, ring), {
      at: step(3),
      session_id,
      digest: digestOf('app config'),
      bytes_sent: 1500,
      size: 1500,
    }),
    request(recordId(5, ring), { at: step(4), session_id }),
  ]
}

export function testSessionLoop(open: OpenStore): void {
  test('a pull on two tokens is one event, five seconds after its last byte', async () => {
    const bench = await createBench(await open())
    await bench.store.addEntries(containerdPull().toReversed())
    expect(await bench.sweepAt(5399)).toBe(0)
    expect(await bench.sweepAt(5400)).toBe(1)
    expect(bench.published).toMatchObject([{ type: 'pull', kind: 'full', tag: '1.0', requests: 5 }])
    expect(bench.published[0]?.session_ids.toSorted()).toEqual([hexId('get'), hexId('head')].sort())
    expect(await bench.store.openSessions()).toBe(0)
    // The log can bring everything again.
    await bench.store.addEntries(containerdPull())
    expect(await bench.sweepAt(1e9)).toBe(0)
    expect(await bench.store.openSessions()).toBe(0)
  })

  test('clients behind one address: as many events as pulls and checks', async () => {
    const bench = await createBench(await open())
    for (const [index, name] of ['a', 'bb', 'ccc', 'dddd'].entries()) {
      await bench.store.addEntries(containerdPull(name, index * 40))
    }
    await bench.store.addEntries([
      manifestRequest(recordId(1, 9), 'HEAD', '1.0', { at: 800, session_id: hexId('check') }),
    ])
    await bench.sweepAt(12_000)
    expect(bench.published.map(({ type, tag }) => `${type} ${tag}`).sort()).toEqual([
      'check 1.0',
      ...Array(4).fill('pull 1.0'),
    ])
  })

  /** docker: one token up to some blob, another from there on. A transfer of 25 minutes lies between. */
  function renewedPull(name: string, at: number, layers = ['l1', 'l2', 'l3']): LogEntry[] {
    const ring = name.length
    const blob = (sequence: number, layer: string, session: string, later: number, duration_ms = 10) => {
      const fields = { at: at + later, session_id: hexId(`${session}${name}`), duration_ms }
      return request(recordId(sequence, ring), { ...fields, digest: digestOf(layer) })
    }
    const first = (sequence: number, method: 'HEAD' | 'GET', reference: string, later: number) =>
      manifestRequest(recordId(sequence, ring), method, reference, {
        ...{ at: at + later, session_id: hexId(`first${name}`) },
        digest: reference === '1.0' ? digestOf('big') : reference,
      })
    return [
      {
        ...imageManifest('big'),
        layers: layers.map((layer) => ({
          ...{ digest: digestOf(layer), size: 3_402_100, media_type: 'layer', foreign: false },
        })),
      },
      first(1, 'HEAD', '1.0', 0),
      first(2, 'GET', digestOf('big'), 100),
      blob(3, 'big config', 'first', 200),
      ...Array.from({ length: 74 }, (_, beat) =>
        heartbeat(recordId(4, ring), {
          ...{ at: at + 300, session_id: hexId(`first${name}`), duration_ms: (beat + 1) * 20_000 },
          ...{ digest: digestOf('l1'), bytes_sent: beat },
        }),
      ),
      blob(4, 'l1', 'first', 300, 1_500_000),
      blob(5, 'l2', 'second', 1_500_400),
      blob(6, 'l3', 'second', 1_500_500, 5000),
    ]
  }
  const knownBy = (entries: LogEntry[], atMs: number) =>
    entries.filter((entry) => entry.schema === 'waybill.manifest/1' || endOf(entry) <= startMs + atMs)
  const endOf = (entry: { time: string; duration_ms: number }) => Date.parse(entry.time) + entry.duration_ms

  test('a pull whose token was renewed on the way is one event, also behind one address', async () => {
    const bench = await createBench(await open())
    // The second begins later, and its token is renewed later, while the first one goes on.
    const all = [...renewedPull('a', 0), ...renewedPull('bb', 200)]
    for (let at = 0; at < 1_680_000; at += 60_000) {
      await bench.store.addEntries(knownBy(all, at))
      await bench.sweepAt(at)
    }
    const inOrder = bench.published.toSorted((a, b) => (a.started_at < b.started_at ? -1 : 1))
    expect(inOrder).toMatchObject([
      { type: 'pull', kind: 'full', tag: '1.0', requests: 6 },
      { type: 'pull', kind: 'full', tag: '1.0', requests: 6 },
    ])
    expect(inOrder.map(({ session_ids }) => session_ids)).toEqual(
      ['a', 'bb'].map((name) => [hexId(`first${name}`), hexId(`second${name}`)].sort()),
    )
    expect(await bench.store.openSessions()).toBe(0)
    await bench.store.addEntries(all)
    expect(await bench.sweepAt(1e9)).toBe(0)
  })

  const strangers: [string, (entry: LogEntry[]) => LogEntry[]][] = [
    // Of a blob that the other has: who asks for it is another machine.
    ['what it has', (pull) => pull.slice(0, 4)],
    ['nothing of it', () => [manifestRequest(recordId(1), 'GET', '2.0', { session_id: hexId('first') })]],
  ]
  test.each(strangers)('a token of its own goes on with no pull that wants %s', async (_, of) => {
    const bench = await createBench(await open())
    const blobs = ['big config'].map((name, index) =>
      request(recordId(index, 9), { at: 5000, session_id: hexId('other'), digest: digestOf(name) }),
    )
    await bench.store.addEntries([...of(renewedPull('', 0)), ...blobs])
    await bench.sweepAt(200_000)
    expect(bench.published.map(({ session_ids }) => session_ids.length)).toEqual([1, 1])
  })

  test('an incomplete pull waits for idle, an unfinished transfer keeps it open', async () => {
    const bench = await createBench(await open())
    const pull = containerdPull().slice(0, -1)
    const transfer = { at: 400, session_id: hexId('get'), bytes_sent: 1_000_000 }
    await bench.store.addEntries([...pull, heartbeat(recordId(5), { ...transfer, duration_ms: 20_000 })])
    for (const at of [5400, 25_400, 60_400, 80_399]) expect(await bench.sweepAt(at)).toBe(0)
    await bench.store.addEntries([heartbeat(recordId(5), { ...transfer, duration_ms: 40_000 })])
    expect(await bench.sweepAt(100_399)).toBe(0)
    expect(await bench.sweepAt(100_400)).toBe(1)
    expect(bench.published).toMatchObject([{ kind: 'interrupted', bytes_sent: 1_003_900 }])
  })

  test('a session that never falls idle gives its events all the same', async () => {
    const bench = await createBench(await open())
    const session = { session_method: 'client', session_id: hexId('mirror') } as const
    for (let minute = 0; minute < 10; minute++) {
      for (let second = 0; second < 60; second += 20) {
        const at = (minute * 60 + second) * 1000
        const id = recordId(minute * 60 + second)
        await bench.store.addEntries([manifestRequest(id, 'HEAD', `1.${minute}`, { ...session, at })])
        await bench.sweepAt(at)
      }
    }
    expect(bench.published.length).toBeGreaterThan(20)
    expect(await bench.store.openSessions()).toBe(1)
  })

  test('what cannot be published stays, and is published once it can be', async () => {
    const bench = await createBench(await open())
    await bench.store.addEntries(containerdPull())
    bench.failPublish = true
    expect(await bench.sweepAt(10_000)).toBe(0)
    expect(await bench.store.openSessions()).toBe(1)
    bench.failPublish = false
    expect(await bench.sweepAt(10_000)).toBe(1)
    expect(await bench.store.openSessions()).toBe(0)
  })

  test('facts that come too late never make a second pull', async () => {
    const bench = await createBench(await open())
    const pull = containerdPull()
    await bench.store.addEntries(pull.slice(0, -1))
    await bench.sweepAt(200_000)
    await bench.store.addEntries([
      ...pull.slice(-1),
      manifestRequest(recordId(7), 'GET', digestOf('app'), { at: 700, session_id: hexId('get') }),
    ])
    expect(await bench.sweepAt(400_000)).toBe(0)
    expect([bench.late, await bench.store.openSessions()]).toEqual([2, 0])
    // A root of its own is another pull.
    await bench.store.addEntries([
      manifestRequest(recordId(8), 'GET', '2.0', { at: 800, session_id: hexId('get') }),
    ])
    expect(await bench.sweepAt(400_000)).toBe(1)
    expect(bench.published.map(({ tag }) => tag)).toEqual(['1.0', '2.0'])
    expect(bench.late).toBe(2)
  })

  test('pulls that were over early take nothing of what their token asks for afterwards', async () => {
    const bench = await createBench(await open())
    await bench.store.addEntries([
      manifestRequest(recordId(1), 'HEAD', '1.0', { session_id: hexId('early') }),
      request(recordId(2), { at: 100, session_id: hexId('early'), class: 'tags', reference: null }),
    ])
    expect(await bench.sweepAt(10_101)).toBe(1)
    // Long before the idle time of a session with a GET has passed.
    await bench.store.addEntries([request(recordId(3), { at: 20_000, session_id: hexId('early') })])
    expect(await bench.sweepAt(100_000)).toBe(1)
    expect(bench.published.map(({ type, requests }) => [type, requests])).toEqual([
      ['check', 2],
      ['pull', 1],
    ])
    expect(bench.late).toBe(0)
  })

  test('a pull by digest is called by the tag that another client saw it under', async () => {
    const bench = await createBench(await open())
    const byDigest = (sequence: number, at: number, session: string) =>
      manifestRequest(recordId(sequence), 'GET', digestOf('index'), { at, session_id: hexId(session) })
    const byTag = (sequence: number, at: number, tag: string, name = 'index') => {
      const digest = digestOf(name)
      const client = { id: hexId('another') }
      return manifestRequest(recordId(sequence), 'HEAD', tag, {
        ...{ at, digest, client, session_id: hexId('another') },
      })
    }
    await bench.store.addEntries([byDigest(1, 0, 'a'), byTag(2, 1000, 'latest'), byDigest(3, 2000, 'b')])
    await bench.store.addEntries([byTag(4, 100_000, '1.0'), byTag(5, 200_000, 'latest', 'newer')])
    await bench.sweepAt(150_000)
    await bench.store.addEntries([byDigest(6, 150_000, 'c'), byDigest(7, 250_000, 'd')])
    // Also when what was known was read long ago, and when tags were thinned meanwhile.
    await bench.sweepAt(220_000)
    await bench.sweepAt(400_000)
    const pulls = bench.published
      .filter(({ type }) => type === 'pull')
      .sort((a, b) => (a.started_at < b.started_at ? -1 : 1))
    expect(
      pulls.map(({ started_at, tag, tag_source }) => [started_at.slice(14, 19), tag, tag_source]),
    ).toEqual([
      ['00:00', null, null],
      ['00:02', 'latest', 'inferred'],
      ['02:30', 'latest', 'inferred'],
      ['04:10', '1.0', 'inferred'],
    ])
  })

  test('attempts are counted over all tokens of a client', async () => {
    const bench = await createBench(await open())
    const attempt = (sequence: number, at: number, status: number, tag = '1.0') =>
      manifestRequest(recordId(sequence), 'HEAD', tag, { at, status, session_id: hexId(`n${sequence}`) })
    await bench.store.addEntries([
      attempt(1, 0, 404),
      attempt(2, 20_000, 404),
      attempt(3, 30_000, 404, '2.0'),
    ])
    await bench.sweepAt(60_000)
    await bench.store.addEntries([attempt(4, 60_000, 200), attempt(5, 610_000, 200)])
    await bench.sweepAt(700_000)
    const inOrder = bench.published.toSorted((a, b) => (a.started_at < b.started_at ? -1 : 1))
    const attempts = inOrder.map((event) => [event.tag, event.kind, event.attempts])
    expect(attempts).toEqual([
      ['1.0', 'failed', 1],
      ['1.0', 'failed', 2],
      ['2.0', 'failed', 1],
      ['1.0', 'check', 3],
      ['1.0', 'check', 2],
    ])
  })

  test('a day of checks is one summary more, once it is over, whatever breaks on the way', async () => {
    const bench = await createBench(await open())
    const polls = 30
    const dayMs = 86_400_000
    for (let poll = 0; poll < polls; poll += 1) {
      const session_id = hexId(`poll ${poll}`)
      const at = poll * 600_000
      await bench.store.addEntries([manifestRequest(recordId(poll), 'HEAD', '1.0', { at, session_id })])
      bench.failPublish = poll % 7 === 3
      await bench.sweepAt(at + 11_000)
    }
    bench.failPublish = false
    await bench.sweepAt(polls * 600_000)
    expect(bench.published).toHaveLength(polls)
    bench.failPublish = true
    await bench.sweepAt(dayMs)
    expect(bench.published).toHaveLength(polls)
    bench.failPublish = false
    await bench.sweepAt(dayMs)
    await bench.sweepAt(dayMs + 120_000)
    expect(bench.published).toHaveLength(polls + 1)
    expect(bench.published.at(-1)).toMatchObject({
      type: 'check_summary',
      tag: '1.0',
      checks: { count: polls, first_at: new Date(startMs).toISOString(), digests: [digestOf('index')] },
    })
  })

  test('one node that lags holds the sessions of all, but not for ever', async () => {
    const sessions: SessionRules = { ...rules, latenessMs: 30_000 }
    const bench = await createBench(await open(), { sessions, watermark: () => Date.now() })
    const at = Date.now() - startMs
    await bench.store.publishWatermark('other', Date.now() - 25_000)
    await bench.store.addEntries(containerdPull('x', at - 20_000))
    expect(await bench.loop.sweep()).toBe(0)
    await bench.store.addEntries(containerdPull('xx', at - 40_000))
    expect(await bench.loop.sweep()).toBe(1)
    await bench.store.publishWatermark('other', Date.now())
    expect(await bench.loop.sweep()).toBe(1)
  })

  test('an event appears soon after the idle time, by the wall clock', async () => {
    const sessions = { ...rules, idleMs: 2000, idleHeadMs: 2000, idleBuilderMs: 2000, latenessMs: 30_000 }
    const store = await open({ sessions })
    const bench = await createBench(store, { sessions, watermark: () => Date.now(), intervalMs: 250 })
    const began = Date.now()
    await store.addEntries([
      ...containerdPull('pull', began - startMs - 400).slice(0, -1),
      manifestRequest(recordId(1, 9), 'HEAD', '2.0', { at: began - startMs, session_id: hexId('check') }),
    ])
    await expect.poll(() => bench.published, { timeout: 10_000, interval: 10 }).toHaveLength(2)
    await bench.loop.drain()
    expect(Date.now() - began).toBeGreaterThan(1500)
    expect(Date.now() - began).toBeLessThan(3500)
    expect(bench.published.map(({ type, tag }) => `${type} ${tag}`).sort()).toEqual(['check 2.0', 'pull 1.0'])
  })

  test('drain ends the running sweep and leaves open sessions in the store', async () => {
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const store = await open()
    const done: number[] = []
    const bench = await createBench(store, {
      publish: async (events) => {
        await held
        done.push(events.length)
      },
    })
    await store.addEntries(containerdPull())
    await store.addEntries([request(recordId(1, 9), { at: 9000, session_id: hexId('open') })])
    const sweep = bench.sweepAt(10_000)
    const drained = bench.loop.drain()
    release()
    await drained
    expect(await sweep).toBe(1)
    expect(done).toEqual([1])
    expect(await store.openSessions()).toBe(1)
  })

  test('what has not begun when the loop is drained is given back at once', async () => {
    const store = await open()
    const bench = await createBench(store, {
      summarise: (input) => {
        void bench.loop.drain()
        return summarise(input)
      },
    })
    const ids = Array.from({ length: 10 }, (_, index) => hexId(`session ${index}`))
    for (const [index, session_id] of ids.entries()) {
      await store.addEntries([request(recordId(index), { session_id })])
    }
    expect(await bench.sweepAt(200_000)).toBe(1)
    expect(await store.openSessions()).toBe(9)
    const others = await store.claimDue({ watermarkMs: startMs + 200_000, max: 1000 })
    expect(others).toHaveLength(9)
  })

  test('a session too large to be read at once counts each request once, also when it comes again', async () => {
    const bench = await createBench(await open())
    const facts = mostFacts + 4000
    const session = { session_id: hexId('mirror'), session_method: 'client' } as const
    const all = Array.from({ length: facts }, (_, index) => {
      const fields = { ...session, at: index, duration_ms: 1 }
      return index % 10 === 0
        ? manifestRequest(recordId(index), 'GET', `1.${index % 3}`, fields)
        : request(recordId(index), { ...fields, digest: digestOf(`layer ${index % 10}`) })
    })
    for (let at = 0; at < facts; at += 1000) await bench.store.addEntries(all.slice(at, at + 1000))
    await bench.sweepAt(facts)
    // Too many wait: some pulls are ended, the others go on.
    expect(bench.published.length).toBeGreaterThan(0)
    expect(await bench.store.openSessions()).toBe(1)
    await bench.sweepAt(facts + 60_001)
    expect(await bench.store.openSessions()).toBe(0)
    expect(bench.published.reduce((sum, { requests }) => sum + requests, 0)).toBe(facts)
    expect(new Set(bench.published.map(({ id }) => id)).size).toBe(bench.published.length)
    await bench.store.addEntries(all.slice(0, 1000))
    await bench.store.addEntries(all.slice(-1000))
    expect(await bench.store.openSessions()).toBe(0)
  })

  test('the number of open sessions is that before the sweep closes any', async () => {
    const counts: number[] = []
    const bench = await createBench(await open(), { metrics: { open: (count) => counts.push(count) } })
    await bench.store.addEntries([request(recordId(1), { session_method: 'client' })])
    expect(await bench.sweepAt(200_000)).toBe(1)
    expect(counts).toEqual([1])
  })
}
