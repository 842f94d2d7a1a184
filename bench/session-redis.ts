/**
 * What closing sessions in Redis costs, next to the bare reads and deletes that it needs.
 */
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { longSession } from '../src/sessionizer/fact-codec.ts'
import { createRedisKeys, type RedisKeys, shardCount } from '../src/sessionizer/redis-keys.ts'
import { createRedisStore } from '../src/sessionizer/redis-store.ts'
import { createSessionLoop } from '../src/sessionizer/session-loop.ts'
import type { SessionStore } from '../src/sessionizer/store.ts'
import { needsManifests, summarise } from '../src/sessionizer/summarise.ts'
import { startRedis } from '../test/support/redis.ts'
import { hexId, startMs } from '../test/support/session-facts.ts'
import { type Bench, medianOf, type Report, ratioOf } from './support/report.ts'
import { factsPerSession, fill, log, type Row, rowsOf, rules, usedUs } from './support/session-pulls.ts'

/** In less the code would not be compiled yet for most of it. */
const sessionsPerRound = 5000
const closeAim = 3
/** As many as the loop claims at a time. */
const atOnce = 256

/** Everything that closing is: claims, joins, manifests, summaries, events (thrown away), forgetting. */
async function closeAll(store: SessionStore, sessions: number): Promise<number> {
  let [events, full] = [0, 0]
  const loop = createSessionLoop({
    ...{ store, summarise, needsManifests, node: hexId('node'), sessions: rules, log, intervalMs: 0 },
    publish: async (some) => {
      events += some.length
      for (const { kind } of some) if (kind === 'full') full += 1
    },
    watermark: () => startMs + 1e7,
  })
  const before = process.cpuUsage()
  while (events < sessions && (await loop.sweep()) > 0);
  const used = usedUs(before)
  await loop.close()
  if (events !== sessions || full !== sessions) throw new Error(`${full} of ${events} events are full pulls`)
  if ((await store.openSessions()) > 0) throw new Error('sessions are left open')
  return used
}

/**
 * The same reads and deletes with the same client, one command each, as many at once: what is due, a session and what is
 * known of it, its client's index (undecided, decided, renewed) and attempts; then the session, its places among those due
 * and leased, and its index are deleted. What closing writes (leases, decisions, tombstones) is not done.
 */
async function readAndDelete(redis: Redis, keys: RedisKeys, rows: ReadonlyMap<string, Row>): Promise<number> {
  const shards = Array.from({ length: shardCount }, (_, shard) => shard)
  let fields = 0
  let done = 0
  const before = process.cpuUsage()
  while (done < rows.size) {
    const each = atOnce / shardCount
    const due = await Promise.all(
      shards.map((shard) => redis.zrangebyscore(keys.due(shard), '-inf', startMs + 1e7, 'LIMIT', 0, each)),
    )
    const sessions = due.flat().map(longSession)
    if (sessions.length === 0) break
    await Promise.all(
      sessions.map(async (sessionId) => {
        const joinKey = rows.get(sessionId)?.joinKey ?? ''
        const [all] = await Promise.all([
          redis.callBuffer('HGETALL', keys.session(sessionId)) as Promise<Buffer[]>,
          redis.hgetBuffer(keys.tombstone(sessionId), 'd'),
          redis.callBuffer('HGETALL', keys.undecided(joinKey)),
          redis.callBuffer('ZRANGE', keys.decided(joinKey), 0, -1),
          redis.callBuffer('HGETALL', keys.renewed(joinKey)),
          redis.callBuffer('HGETALL', keys.attempts(joinKey)),
        ])
        fields += all.length
      }),
    )
    await Promise.all(
      due.flatMap((members, shard) =>
        members.flatMap((member) => {
          const sessionId = longSession(member)
          return [
            redis.del(keys.session(sessionId)),
            redis.zrem(keys.due(shard), member),
            redis.zrem(keys.leased(shard), member),
            redis.del(keys.undecided(rows.get(sessionId)?.joinKey ?? '')),
          ]
        }),
      ),
    )
    done += sessions.length
  }
  const used = usedUs(before)
  if (done !== rows.size || fields < rows.size * factsPerSession * 2) throw new Error('not all were read')
  return used
}

async function compareClosing(report: Report, url: string, rounds: number): Promise<void> {
  const connect = (prefix: string) =>
    createRedisStore({
      url,
      prefix,
      cluster: false,
      tls: null,
      log,
      sessions: rules,
      tombstoneMs: 86_400_000,
    })
  const redis = new Redis(url, { protocol: 2 })
  const own: number[] = []
  const bare: number[] = []
  try {
    // The first round warms up both.
    for (let round = 0; round <= rounds; round += 1) {
      const [first, second] = [connect(`own${round}`), connect(`bare${round}`)]
      await Promise.all([first.ready(5000), second.ready(5000)])
      const from = round * sessionsPerRound
      await fill(first, sessionsPerRound, from)
      await fill(second, sessionsPerRound, from)
      const rows = rowsOf(sessionsPerRound, from)
      const inTurns = [
        async () => own.push((await closeAll(first, sessionsPerRound)) / sessionsPerRound),
        async () =>
          bare.push((await readAndDelete(redis, createRedisKeys(`bare${round}`), rows)) / sessionsPerRound),
      ]
      for (const turn of round % 2 === 0 ? inTurns : inTurns.reverse()) await turn()
      await Promise.all([first.close(), second.close()])
      await redis.flushall()
      if (round === 0) for (const times of [own, bare]) times.length = 0
    }
  } finally {
    redis.disconnect()
  }
  report({ name: 'redis.read_and_delete', value: medianOf(bare), unit: 'us CPU/session' })
  report({
    ...{ name: 'redis.close', value: medianOf(own), unit: 'us CPU/session', aim: closeAim },
    ratio: ratioOf(own.map((value, round) => value / (bare[round] ?? Number.NaN))),
    note: `${sessionsPerRound} pulls of ${factsPerSession} requests a round`,
  })
}

export const run: Bench = async (report, { rounds }) => {
  const server = await startRedis()
  try {
    await compareClosing(report, server.url, rounds)
  } finally {
    await server.stop()
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const print: Report = ({ name, value, unit, ratio, note }) => {
    const to = ratio && `ratio ${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)})  `
    console.log(`${name.padEnd(28)} ${value.toFixed(2).padStart(12)} ${unit}  ${to ?? ''}${note ?? ''}`)
  }
  await run(print, { rounds: Number(process.argv[2] ?? 5), roundMs: 0 })
}
