/** The session store on a real Redis Cluster: all that it does on one Redis, with its shards on three. */
import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createRedisStore, type RedisStore, type RedisStoreOptions } from '../src/sessionizer/redis-store.ts'
import { type RedisCluster, startRedisCluster } from './support/redis-cluster.ts'
import { hexId, manifestRequest, recordId } from './support/session-facts.ts'
import { testSessionJoins } from './support/session-join-behaviour.ts'
import { testSessionLoop } from './support/session-loop-behaviour.ts'
import { testSessionMemory } from './support/session-memory-behaviour.ts'
import { rules, testSessionStore } from './support/session-store-behaviour.ts'
import { testSessionStorm } from './support/session-storm-behaviour.ts'

let cluster: RedisCluster
const opened: RedisStore[] = []
const log = { info() {}, warn() {} }

beforeAll(async () => {
  cluster = await startRedisCluster()
})
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close()
})
afterAll(async () => {
  await cluster?.stop()
})

async function open(options: Partial<RedisStoreOptions> = {}): Promise<RedisStore> {
  const store = createRedisStore({
    ...{ url: cluster.url, cluster: true, tls: null, log },
    prefix: randomBytes(6).toString('hex'),
    sessions: rules,
    tombstoneMs: 86_400_000,
    ...options,
  })
  opened.push(store)
  expect(await store.ready(10_000)).toBe(true)
  return store
}

test('its sessions are spread over all nodes', async () => {
  const store = await open()
  const requests = Array.from({ length: 200 }, (_, at) =>
    manifestRequest(recordId(at), 'HEAD', '1.0', { session_id: hexId(`spread ${at}`) }),
  )
  await store.addEntries(requests)
  for (const { url } of cluster.nodes) {
    const redis = new Redis(url)
    expect(await redis.dbsize()).toBeGreaterThan(20)
    redis.disconnect()
  }
})

testSessionStore(open)
testSessionJoins(open)
testSessionMemory(open)
testSessionLoop(open)
testSessionStorm(open)
