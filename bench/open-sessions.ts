/**
 * What any number of open sessions costs: in Redis, and Waybill's own memory and time, which must not grow with them.
 * `--open N` on its own: so many.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis'
import { openDatabase } from '../src/ops/database.ts'
import { shortSession } from '../src/sessionizer/fact-codec.ts'
import { createRedisKeys, type RedisKeys } from '../src/sessionizer/redis-keys.ts'
import { createRedisStore } from '../src/sessionizer/redis-store.ts'
import { createSqliteStore } from '../src/sessionizer/sqlite-store.ts'
import type { SessionStore } from '../src/sessionizer/store.ts'
import { startRedis } from '../test/support/redis.ts'
import { startMs } from '../test/support/session-facts.ts'
import { type Bench, medianOf, type Report } from './support/report.ts'
import { factsPerSession, fill, log, type Row, rowsOf, rules, usedUs } from './support/session-pulls.ts'

/** As many as the loop claims at a time. */
const atOnce = 256
/** Sessions that are copied, so that a million of them are there in seconds: as many as keep copies apart. */
const templates = 2048
const copiesAtOnce = 2000
const turns = 20

const copyScript = "for at = 1, #ARGV, 2 do redis.call('COPY', ARGV[at], ARGV[at + 1]) end"

/** With their place among those due, and what the join index and the attempts keep of their clients. */
async function copyInRedis(
  redis: Redis,
  keys: RedisKeys,
  rows: readonly Row[],
  count: number,
): Promise<void> {
  for (let done = 0; done < count; done += copiesAtOnce) {
    const names: string[] = []
    const due = new Map<string, (string | number)[]>()
    for (let at = done; at < Math.min(count, done + copiesAtOnce); at += 1) {
      const { sessionId, joinKey } = rows[at % rows.length] as Row
      const copy = randomBytes(16).toString('hex')
      const client = randomBytes(12).toString('base64url')
      names.push(keys.session(sessionId), keys.session(copy))
      names.push(keys.undecided(joinKey), keys.undecided(client))
      names.push(keys.attempts(joinKey), keys.attempts(client))
      const line = keys.due(keys.shardOfSession(copy))
      due.set(line, [...(due.get(line) ?? []), startMs + 5e8, shortSession(copy)])
    }
    await redis.eval(copyScript, 0, ...names)
    await Promise.all([...due].map(([line, members]) => redis.zadd(line, ...members)))
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

/** As `make bench` runs it; a million takes some minutes and 2 GB, in Redis, then on the disk. */
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

export const run: Bench = (report) => measureOpen(report, fewOpen)

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { open: { type: 'string', default: String(fewOpen) } } })
  await measureOpen(({ name, value, unit, note }) => {
    console.log(`${name.padEnd(28)} ${value.toFixed(2).padStart(12)} ${unit}  ${note ?? ''}`)
  }, Number(values.open))
}
