/**
 * What sessions in Redis cost: closing them, next to the bare reads and deletes that this needs; and any number of open
 * ones, in Redis and in Waybill. `--open N` on its own: so many open sessions, in the embedded store too.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis'
import { openDatabase } from '../src/ops/database.ts'
import type { LogEntry, Manifest } from '../src/record/events.ts'
import { factOf } from '../src/sessionizer/fact.ts'
import { longSession, shortSession } from '../src/sessionizer/fact-codec.ts'
import { joinKeyOf } from '../src/sessionizer/join-index.ts'
import { createRedisKeys, type RedisKeys, shardCount } from '../src/sessionizer/redis-keys.ts'
import { createRedisStore } from '../src/sessionizer/redis-store.ts'
import { createSessionLoop } from '../src/sessionizer/session-loop.ts'
import { createSqliteStore } from '../src/sessionizer/sqlite-store.ts'
import type { SessionStore } from '../src/sessionizer/store.ts'
import { needsManifests, summarise } from '../src/sessionizer/summarise.ts'
import { startRedis } from '../test/support/redis.ts'
import {
  digestOf,
  hexId,
  imageManifest,
  indexManifest,
  manifestRequest,
  recordId,
  request,
  startMs,
} from '../test/support/session-facts.ts'
import { type BenchOptions, medianOf, type Report, ratioOf } from './support/report.ts'

const factsPerSession = 12
const sessionsPerRound = 5000
const closeAim = 3
const batchEntries = 512
/** As many as the loop claims at a time. */
const atOnce = 64
const rules = {
  idleMs: 60_000,
  idleHeadMs: 10_000,
  idleBuilderMs: 1_800_000,
  maxMs: 86_400_000,
  latenessMs: 1e13,
}
const log = { info() {}, warn() {}, error() {} }
const layers = Array.from({ length: factsPerSession - 4 }, (_, at) => `layer ${at}`)

function imageOf(): Manifest[] {
  const descriptors = layers.map((name) => ({
    ...{ digest: digestOf(name), size: 31_357_624, foreign: false },
    media_type: 'application/vnd.oci.image.layer.v1.tar+gzip',
  }))
  return [indexManifest('index', ['app']), { ...imageManifest('app'), layers: descriptors }]
}

/** A pull as docker makes it, with a token and an address of its own. */
function pullOf(session: number, at: number): LogEntry[] {
  const session_id = hexId(`session ${session}`)
  const client = { id: hexId(`client ${session}`) }
  const first = session * factsPerSession
  const of = (step: number) => ({ at: at + step * 40, session_id, client, duration_ms: 38 })
  const size = { bytes_sent: 31_357_624, size: 31_357_624 }
  return [
    manifestRequest(recordId(first), 'HEAD', '1.27.4', of(0)),
    manifestRequest(recordId(first + 1), 'GET', digestOf('index'), of(1)),
    manifestRequest(recordId(first + 2), 'GET', digestOf('app'), of(2)),
    request(recordId(first + 3), {
      ...of(3),
      ...{ digest: digestOf('app config'), bytes_sent: 1500, size: 1500 },
    }),
    ...layers.map((name, layer) =>
      request(recordId(first + 4 + layer), { ...of(4 + layer), ...size, digest: digestOf(name) }),
    ),
  ]
}

async function fill(store: SessionStore, sessions: number, from = 0, at = 0): Promise<void> {
  await store.addEntries(imageOf())
  const perBatch = Math.floor(batchEntries / factsPerSession)
  for (let first = 0; first < sessions; first += perBatch) {
    const count = Math.min(perBatch, sessions - first)
    const pulls = Array.from({ length: count }, (_, index) => pullOf(from + first + index, at))
    await store.addEntries(pulls.flat())
  }
}

function usedUs(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return user + system
}

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

type Row = { sessionId: string; joinKey: string }

function rowsOf(sessions: number, from: number): Map<string, Row> {
  const rows = Array.from({ length: sessions }, (_, index) => {
    const [entry] = pullOf(from + index, 0)
    const fact = entry?.schema === 'waybill.request-event/1' ? factOf(entry) : null
    if (fact === null) throw new Error('no fact')
    return { sessionId: fact.sessionId, joinKey: joinKeyOf(fact) }
  })
  return new Map(rows.map((row) => [row.sessionId, row]))
}

/**
 * The same reads and deletes with the same client, one command each, as many at once: what is due, a session and what is
 * known of it, its client's index and attempts; then the session, its place among those due and its index are deleted.
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

/** Sessions that are copied, so that a million of them are there in seconds: as many as keep copies apart. */
const templates = 2048
const copiesAtOnce = 2000
const turns = 20

/** Copies a session's hash, its place among those due, and what the join index and the attempts keep of its client. */
const copyScript = `
  for at = 1, #ARGV, 6 do
    redis.call('COPY', ARGV[at], ARGV[at + 1])
    redis.call('ZADD', ARGV[at + 2], 'NX', ARGV[at + 4], ARGV[at + 3])
    for kind in string.gmatch('ja', '.') do
      redis.call('COPY', string.gsub(ARGV[at + 5], '^({.-})', '%1' .. kind .. ':'),
        string.gsub(ARGV[at + 5], '^({.-})(.*)$', '%1' .. kind .. ':' .. string.reverse(ARGV[at + 3])))
    end
  end`

/** A session id in the same shard. */
function copiedId(sessionId: string): string {
  return sessionId.slice(0, 2) + randomBytes(15).toString('hex')
}

async function copyInRedis(
  redis: Redis,
  keys: RedisKeys,
  rows: readonly Row[],
  count: number,
): Promise<void> {
  for (let done = 0; done < count; done += copiesAtOnce) {
    const args: (string | number)[] = []
    for (let at = done; at < Math.min(count, done + copiesAtOnce); at += 1) {
      const { sessionId, joinKey } = rows[at % rows.length] as Row
      const copy = copiedId(sessionId)
      const due = keys.due(keys.shardOfSession(copy))
      const place = keys.undecided(joinKey).replace('j:', '')
      args.push(keys.session(sessionId), keys.session(copy), due, shortSession(copy), startMs + 5e8, place)
    }
    await redis.eval(copyScript, 0, ...args)
  }
}

const copyInSqlite = (count: number, from: number) => `
  INSERT INTO session_meta (number, session, first, last, flags, held, arrivals, pass, due)
    SELECT number + ${from}, lower(hex(randomblob(16))), first, last, flags, held, arrivals, pass, ${startMs + 5e8}
    FROM session_meta WHERE number <= ${count};
  INSERT INTO session_fact (number, field, value)
    SELECT number + ${from}, field, value FROM session_fact WHERE number <= ${count};`

type Turn = { ms: number; cpuUs: number }

/** What the loop does between two sweeps, when some sessions are due; they are given back. */
async function takeTurns(store: SessionStore): Promise<Turn> {
  const times: Turn[] = []
  for (let turn = 0; turn < turns; turn += 1) {
    const [began, before] = [performance.now(), process.cpuUsage()]
    await store.publishWatermark('bench', startMs)
    await Promise.all([store.lowestWatermark(), store.storeTimeMs(), store.openSessions()])
    const claimed = await store.claimDue({ watermarkMs: startMs + 1e9, max: atOnce })
    times.push({ ms: performance.now() - began, cpuUs: usedUs(before) })
    if (claimed.length < atOnce / 2) throw new Error(`${claimed.length} sessions were claimed`)
    for (const { sessionId, lease } of claimed)
      await store.release({ sessionId, lease, nextCheckMs: startMs + 5e8 })
  }
  return { ms: medianOf(times.map(({ ms }) => ms)), cpuUs: medianOf(times.map(({ cpuUs }) => cpuUs)) }
}

const rssMiB = () => process.memoryUsage.rss() / 2 ** 20

function reportTurns(report: Report, name: string, open: number, turn: Turn, rss: number): void {
  const note = `${open} open sessions of ${factsPerSession} requests`
  report({ name: `${name}.turn_${open}`, value: turn.ms, unit: 'ms', note })
  report({ name: `${name}.turn_cpu_${open}`, value: turn.cpuUs, unit: 'us CPU', note })
  report({ name: `${name}.memory_${open}`, value: rss, unit: 'MiB resident', note })
}

/** A tenth of them, then all: neither the time of a turn nor Waybill's own memory may grow with them. */
async function openInRedis(report: Report, url: string, open: number): Promise<void> {
  const options = { url, cluster: false, tls: null, log, sessions: rules, tombstoneMs: 86_400_000 }
  const store = createRedisStore({ ...options, prefix: 'waybill' })
  const redis = new Redis(url, { protocol: 2 })
  const usedBytes = async () => Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1])
  try {
    await store.ready(5000)
    const empty = await usedBytes()
    const first = Math.min(templates, Math.floor(open / 10))
    await fill(store, first)
    const rows = [...rowsOf(first, 0).values()]
    const keys = createRedisKeys('waybill')
    let there = first
    for (const count of [Math.floor(open / 10), open]) {
      await copyInRedis(redis, keys, rows, count - there)
      there = count
      if ((await store.openSessions()) !== count) throw new Error('not all sessions are open')
      reportTurns(report, 'redis.open', count, await takeTurns(store), rssMiB())
    }
    report({
      ...{ name: 'redis.open_session', value: ((await usedBytes()) - empty) / open, unit: 'B' },
      note: 'all of Redis: names, tables, what is due, attempts, join index, too',
    })
  } finally {
    redis.disconnect()
    await store.close()
  }
}

async function openInSqlite(report: Report, open: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-bench-open-'))
  const opened = openDatabase(join(folder, 'waybill.db'))
  if (!opened.ok) throw new Error(opened.error)
  const store = createSqliteStore({ database: opened.database, sessions: rules, tombstoneMs: 86_400_000 })
  try {
    const first = Math.min(templates, Math.floor(open / 10))
    await fill(store, first)
    let there = first
    for (const count of [Math.floor(open / 10), open]) {
      for (; there < count; there += first)
        opened.database.exec(`BEGIN; ${copyInSqlite(Math.min(first, count - there), there)} COMMIT`)
      there = count
      if ((await store.openSessions()) !== count) throw new Error('not all sessions are open')
      reportTurns(report, 'sqlite.open', count, await takeTurns(store), rssMiB())
    }
  } finally {
    await store.close()
    opened.database.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** As `make bench` runs it; a million takes some minutes and 2 GB in Redis, then on the disk. */
const fewOpen = 20_000

async function measureOpen(report: Report, open: number): Promise<void> {
  const server = await startRedis()
  try {
    await openInRedis(report, server.url, open)
  } finally {
    await server.stop()
  }
  await openInSqlite(report, open)
}

export async function run(report: Report, { rounds }: BenchOptions): Promise<void> {
  const server = await startRedis()
  try {
    await compareClosing(report, server.url, rounds)
  } finally {
    await server.stop()
  }
  await measureOpen(report, fewOpen)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { open: { type: 'string' }, rounds: { type: 'string', default: '3' } },
  })
  const print: Report = ({ name, value, unit, ratio, note }) => {
    const to = ratio && `ratio ${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)})  `
    console.log(`${name.padEnd(28)} ${value.toFixed(2).padStart(12)} ${unit}  ${to ?? ''}${note ?? ''}`)
  }
  if (values.open === undefined) await run(print, { rounds: Number(values.rounds), roundMs: 0 })
  else await measureOpen(print, Number(values.open))
}
