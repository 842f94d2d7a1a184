/** The session store on a real Redis: the behaviour of every store, and what only Redis can get wrong. */
import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createRedisStore, type RedisStore, type RedisStoreOptions } from '../src/sessionizer/redis-store.ts'
import { freePort } from './support/processes.ts'
import { type RedisServer, startRedis } from './support/redis.ts'
import { samplePackageEvent } from './support/sample-events.ts'
import { testSessionCrashes } from './support/session-crash-behaviour.ts'
import {
  digestOf,
  hexId,
  imageManifest,
  indexManifest,
  manifestRequest,
  recordId,
  request,
  startMs,
} from './support/session-facts.ts'
import { testSessionJoins } from './support/session-join-behaviour.ts'
import { testSessionLoop } from './support/session-loop-behaviour.ts'
import { testSessionMemory } from './support/session-memory-behaviour.ts'
import { rules, testSessionStore } from './support/session-store-behaviour.ts'
import { testSessionStorm } from './support/session-storm-behaviour.ts'
import { testSessionTraffic } from './support/session-traffic-behaviour.ts'

let server: RedisServer
const opened: RedisStore[] = []
const log = { info() {}, warn() {} }

beforeAll(async () => {
  server = await startRedis()
})
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close()
})
afterAll(async () => {
  await server.stop()
})

async function open(options: Partial<RedisStoreOptions> = {}): Promise<RedisStore> {
  const store = createRedisStore({
    url: server.url,
    cluster: false,
    tls: null,
    log,
    prefix: randomBytes(6).toString('hex'),
    sessions: rules,
    tombstoneMs: 86_400_000,
    ...options,
  })
  opened.push(store)
  await store.ready(5000)
  return store
}

testSessionStore(open)
testSessionJoins(open)
testSessionMemory(open)
testSessionLoop(open)
testSessionStorm(open)
testSessionTraffic(open, 4)
testSessionCrashes(open, async () => {
  const redis = new Redis(server.url)
  for (const kind of ['j', 'k', 'r']) {
    const keys = await redis.keys(`{*}${kind}:*`)
    if (keys.length > 0) await redis.del(...keys)
  }
  redis.disconnect()
})

async function addPull(store: RedisStore, session = 'session', facts = 12): Promise<void> {
  const session_id = hexId(session)
  const size = { bytes_sent: 31_357_624, size: 31_357_624 }
  await store.addEntries([
    manifestRequest(recordId(100), 'HEAD', '1.27.4', { session_id, duration_ms: 41 }),
    manifestRequest(recordId(205), 'GET', digestOf('index'), { session_id, at: 180, duration_ms: 38 }),
    manifestRequest(recordId(340), 'GET', digestOf('app'), { session_id, at: 320, duration_ms: 35 }),
    ...Array.from({ length: facts - 3 }, (_, layer) => {
      const digest = digestOf(`layer ${layer}`)
      return request(recordId(500 + layer), { session_id, at: 400, duration_ms: 2300, digest, ...size })
    }),
  ])
}

test('a session of 12 facts takes at most 1.5 KiB, its join index included', async () => {
  const store = await open({ prefix: 'waybill' })
  const redis = new Redis(server.url)
  const measure = async (kind: string) => {
    const [key] = await redis.keys(`{waybill:*}${kind}:*`)
    return key === undefined ? 0 : Number(await redis.memory('USAGE', key, 'SAMPLES', 0))
  }
  await addPull(store)
  const [session, join] = [await measure('s'), await measure('j')]
  expect(await measure('r'), 'a session that began with a manifest is none of a renewed token').toBe(0)
  const [attempts, tags] = [await measure('a'), await measure('v')]
  const check = {
    type: 'check',
    kind: 'check',
    tag: '1.27.4',
    started_at: '2026-03-01T12:00:00.000Z',
  } as const
  await store.addChecks([samplePackageEvent(1, check)])
  const checks = await measure('c')
  const claimed = await store.claimDue({ watermarkMs: startMs + 60_000, max: 1 })
  expect(claimed[0]?.facts).toHaveLength(12)
  for (const { sessionId, lease, arrivals, facts } of claimed) {
    await store.closeSession({
      sessionId,
      lease,
      arrivals,
      countedIds: facts.map(({ fact }) => fact.id),
      earlier: [],
      watermarkMs: startMs + 60_000,
      closedThroughMs: startMs + 60_000,
      remaining: null,
    })
  }
  const tombstone = await measure('t')
  await store.addEntries([indexManifest('index', ['app', 'arm'])])
  const graph = Number(await redis.memory('USAGE', `waybill:g:{${digestOf('index')}}`))
  // The index of what is due is shared: measured over many sessions.
  const many = 2000
  for (let index = 0; index < many; index++) await addPull(store, `session ${index}`, 3)
  let due = 0
  for (const key of await redis.keys('{waybill:*}due')) {
    due += Number(await redis.memory('USAGE', key, 'SAMPLES', 0)) / many
  }
  await redis.flushall()
  const blobs = Array.from({ length: 12 }, (_, layer) =>
    request(recordId(500 + layer), { at: 400, duration_ms: 2300, digest: digestOf(`layer ${layer}`) }),
  )
  await store.addEntries(blobs)
  const renewed = (await measure('s')) + (await measure('j')) + (await measure('r'))
  redis.disconnect()
  console.log(
    `12 blobs of a renewed token ${renewed} B; session ${session} B, join index ${join} B, together ${session + join} B; apart: due ${due.toFixed(0)} B, tombstone ${tombstone} B, index manifest ${graph} B, attempts of a client ${attempts} B, tags of a repository ${tags} B, checks of a day ${checks} B`,
  )
  expect(session + join).toBeLessThanOrEqual(1536)
  expect(renewed).toBeLessThanOrEqual(1536)
})

test('a cluster takes every command', async () => {
  const ports = ['--cluster-port', String(await freePort())]
  const args = ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1', ...ports]
  const cluster = await startRedis({ args })
  const admin = new Redis(cluster.url)
  await admin.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383)
  // It waits a while after its start.
  await expect.poll(() => admin.cluster('INFO'), { timeout: 15_000 }).toContain('cluster_state:ok')
  admin.disconnect()
  const store = await open({ url: cluster.url, cluster: true })
  try {
    for (let index = 0; index < 40; index++) await addPull(store, `session ${index}`)
    await store.addEntries([imageManifest('app'), imageManifest('other')])
    expect(await store.openSessions()).toBe(40)
    expect((await store.loadManifests([digestOf('app'), digestOf('other')])).size).toBe(2)
    const from = (await store.load(hexId('session 1')))!
    await store.move({ from: from.sessionId, to: hexId('session 2'), facts: from.facts })
    const claimed = await store.claimDue({ watermarkMs: startMs + 60_000, max: 640 })
    expect(claimed).toHaveLength(39)
    for (const session of claimed) await store.release({ ...session, nextCheckMs: 0 })
    await store.publishWatermark('a', 5)
    expect(await store.lowestWatermark()).toBe(5)
  } finally {
    await store.close()
    await cluster.stop()
  }
})

test('scripts that the server forgot are sent again', async () => {
  const store = await open()
  await addPull(store)
  const redis = new Redis(server.url)
  await redis.script('FLUSH')
  redis.disconnect()
  await addPull(store)
  expect((await store.claimDue({ watermarkMs: startMs + 60_000, max: 16 }))[0]?.facts).toHaveLength(12)
})

test('a server that is away or hangs is an error soon, and no matter once it is back', async () => {
  const own = await startRedis({ persist: true, args: ['--requirepass', 'hunter2'] })
  const said: unknown[] = []
  const keep = (...words: unknown[]) => said.push(words)
  const url = own.url.replace('redis://', 'redis://:hunter2@')
  const store = await open({ url, log: { info: keep, warn: keep } })
  try {
    await addPull(store)
    own.pause()
    const began = Date.now()
    await expect(addPull(store, 'second')).rejects.toThrow()
    expect(Date.now() - began).toBeLessThan(4000)
    own.resume()
    await expect.poll(() => addPull(store, 'second').then(() => true), { timeout: 10_000 }).toBe(true)
    await own.restart({ kill: true })
    const outcomes = new Set<string>()
    await expect
      .poll(
        async () => {
          const outcome = await addPull(store, 'third').then(
            () => 'stored',
            () => 'refused',
          )
          outcomes.add(outcome)
          return outcome
        },
        { timeout: 20_000 },
      )
      .toBe('stored')
    await addPull(store)
    expect(await store.openSessions()).toBe(3)
    for (const { facts } of await store.claimDue({ watermarkMs: startMs + 60_000, max: 160 })) {
      expect(facts).toHaveLength(12)
    }
    await own.stop()
    await expect(addPull(store)).rejects.toThrow()
    await expect.poll(() => said.length).toBeGreaterThan(0)
    expect(JSON.stringify(said)).not.toContain('hunter2')
  } finally {
    await store.close()
    await own.stop()
  }
})
