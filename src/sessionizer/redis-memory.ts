/** What is known beyond one session, in Redis: the join index's entries, tags, attempts and summaries of checks. */
import type { PackageEvent } from '../record/events.ts'
import {
  addToCheck,
  type ChecksMissed,
  closedDayMs,
  groupChecks,
  maxCheckRows,
  type StoredCheck,
  summariesOf,
} from './check-rows.ts'
import type { JoinEntries } from './entry-batch.ts'
import { longSession, shortSession } from './fact-codec.ts'
import { undecidedMs } from './join-index.ts'
import { type Attempt, compareAttempts, maxAttempts } from './memory/attempt-history.ts'
import { createTagHistory, type TagSighting } from './memory/tag-history.ts'
import { attemptLifeMs, maxTagRows, type TagNotes, tagLifeMs, thinnedTo } from './memory-notes.ts'
import type { RedisConnection } from './redis-client.ts'
import { type RedisKeys, shardCount } from './redis-keys.ts'
import {
  attemptFields,
  joinFields,
  readAttempt,
  readSighting,
  renewalFields,
  sightingFields,
} from './redis-session.ts'
import { maxRenewals } from './renewed-token.ts'
import { createShardCalls } from './shard-calls.ts'
import type { SessionMemory } from './store.ts'

export type RedisMemory = {
  addJoins(joins: readonly JoinEntries[]): Promise<void>
  addTags(notes: readonly TagNotes[]): Promise<void>
  calls: SessionMemory
}

/** A summary is forgotten when its event is safe; one that nobody asks for goes by itself. */
const checkLifeMs = 14 * 86_400_000
/** Nodes that count a check of the same client, tag and day at once; each try one of them succeeds. */
const maxTries = 20
/** For when nobody asks any more; what is decided goes sooner. */
const renewalLifeMs = 86_400_000
const repositoriesAtOnce = 16
/** Of 2 × `maxAttempts` fields at most. */
const mostHashes = 16
const fieldsAtOnce = 1000

const shards = Array.from({ length: shardCount }, (_, shard) => shard)

function pairsOf<T>(fields: readonly Buffer[], read: (field: Buffer, value: Buffer) => T | null): T[] {
  const found: T[] = []
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const one = read(fields[at] as Buffer, fields[at + 1] as Buffer)
    if (one !== null) found.push(one)
  }
  return found
}

export function createRedisMemory(options: {
  client: RedisConnection['client']
  run: RedisConnection['run']
  keys: RedisKeys
  onTagsRefused(count: number): void
}): RedisMemory {
  const { client, run, keys } = options
  const readAll = (key: string) => client.callBuffer('HGETALL', key) as Promise<Buffer[]>

  const readAttempts = createShardCalls<string, Buffer[]>({
    mostCalls: mostHashes,
    nameOf: keys.shardOfJoin,
    run: async (joinKeys) => (await run('read-hashes', joinKeys.map(keys.attempts), [])) as Buffer[][],
  })

  async function thinOne(shard: number, tagKey: string, horizonMs: number): Promise<void> {
    const [due, key] = [keys.tagsDue(shard), keys.tags(tagKey)]
    const fields = (await run('thin-tags', [due, key], [tagKey, horizonMs])) as Buffer[]
    const rows = pairsOf(fields, (field, value) => {
      const sighting = readSighting(field, value)
      return sighting === null ? null : { field, sighting }
    })
    const history = createTagHistory(rows.map(({ sighting }) => sighting))
    history.thin(horizonMs)
    const kept = history.rows()
    const stays = new Set(kept.map(nameOf))
    const gone = rows.filter(({ sighting }) => !stays.has(nameOf(sighting))).map(({ field }) => field)
    for (let at = 0; at < gone.length; at += fieldsAtOnce)
      await client.hdel(key, ...gone.slice(at, at + fieldsAtOnce))
    const later = kept.reduce(
      (first, { timeMs }) => (timeMs >= horizonMs ? Math.min(first, timeMs) : first),
      Number.POSITIVE_INFINITY,
    )
    if (Number.isFinite(later)) await client.zadd(due, 'NX', later, tagKey)
  }

  async function thinShard(shard: number, horizonMs: number): Promise<void> {
    for (;;) {
      const found = await client.zrangebyscore(
        ...([keys.tagsDue(shard), '-inf', `(${horizonMs}`, 'LIMIT', 0, repositoriesAtOnce] as const),
      )
      for (const tagKey of found) await thinOne(shard, tagKey, horizonMs)
      if (found.length < repositoriesAtOnce) return
    }
  }

  async function readCheck(id: string): Promise<StoredCheck | null> {
    const [row, ids] = await client.hmgetBuffer(keys.check(id), 'r', 'i')
    return row && ids ? { row: row.toString(), ids } : null
  }

  async function addToRow(id: string, checks: readonly PackageEvent[]): Promise<ChecksMissed> {
    const shard = keys.shardOfCheck(id)
    const names = [keys.check(id), keys.checksDue(shard), keys.checksClosed(shard)]
    for (let tried = 0; tried < maxTries; tried++) {
      const before = await readCheck(id)
      const { after, full } = addToCheck(before, checks)
      if (after === null) return { late: 0, full }
      const done = await run('put-check', names, [
        ...[shortSession(id), before?.ids.length ?? 0, after.dayMs, after.row, after.added],
        ...[Math.ceil(maxCheckRows / shardCount), checkLifeMs],
      ])
      const added = after.added.length / 6
      if (done === 1) return { late: 0, full }
      if (done === 2) return { late: added, full }
      if (done === 3) return { late: 0, full: full + added }
    }
    throw new Error('A summary of checks was always changed by another node.')
  }

  async function dueOfShard(shard: number, throughMs: number, max: number): Promise<StoredCheck[]> {
    const [due, closed] = [keys.checksDue(shard), keys.checksClosed(shard)]
    const members = (await run('close-checks', [due, closed], [throughMs, max])) as Buffer[]
    const rows = await Promise.all(
      members.map(async (member) => {
        const row = await readCheck(longSession(String(member)))
        // Forgotten, but for its name.
        if (row === null) await client.zrem(due, member)
        return row
      }),
    )
    return rows.filter((row) => row !== null)
  }

  return {
    async addJoins(joins) {
      const byShard = Map.groupBy(joins, ({ joinKey }) => keys.shardOfJoin(joinKey))
      await Promise.all(
        [...byShard.values()].map((group) =>
          run(
            'add-joins',
            group.flatMap(({ joinKey }) => [
              keys.undecided(joinKey),
              keys.decided(joinKey),
              keys.attempts(joinKey),
              keys.renewed(joinKey),
            ]),
            [
              ...[undecidedMs, attemptLifeMs, maxAttempts, renewalLifeMs, maxRenewals],
              ...group.flatMap(({ entries, blobs, attempts }) => [
                ...[entries.length, blobs.length, attempts.length],
                ...[...entries.flatMap(joinFields), ...blobs.flatMap(renewalFields)],
                ...attempts.flatMap(attemptFields),
              ]),
            ],
          ),
        ),
      )
    },

    async addTags(notes) {
      const byShard = Map.groupBy(notes, ({ tagKey }) => keys.shardOfTags(tagKey))
      const refused = await Promise.all(
        [...byShard].map(([shard, group]) =>
          run(
            'add-tags',
            [keys.tagsDue(shard), ...group.map(({ tagKey }) => keys.tags(tagKey))],
            [
              ...[tagLifeMs, maxTagRows],
              ...group.flatMap(({ tagKey, sightings }) => [
                ...[tagKey, sightings.length],
                ...sightings.flatMap(sightingFields),
              ]),
            ],
          ),
        ),
      )
      const count = refused.reduce<number>((sum, one) => sum + Number(one), 0)
      if (count > 0) options.onTagsRefused(count)
    },

    calls: {
      loadTags: async (tagKey): Promise<TagSighting[]> =>
        pairsOf(await readAll(keys.tags(tagKey)), readSighting),

      async loadAttempts(joinKey): Promise<Attempt[]> {
        const attempts = pairsOf(await readAttempts(joinKey), readAttempt)
        return attempts.length <= maxAttempts ? attempts : attempts.sort(compareAttempts).slice(-maxAttempts)
      },

      async thinTags(horizonMs) {
        for (const shard of shards) await thinShard(shard, thinnedTo(horizonMs))
      },

      async addChecks(events) {
        const missed = await Promise.all([...groupChecks(events)].map(([id, checks]) => addToRow(id, checks)))
        return missed.reduce((sum, one) => ({ late: sum.late + one.late, full: sum.full + one.full }), {
          late: 0,
          full: 0,
        })
      },

      async dueChecks(watermarkMs, max) {
        const throughMs = closedDayMs(watermarkMs)
        const each = Math.ceil(max / shardCount)
        const rows = await Promise.all(shards.map((shard) => dueOfShard(shard, throughMs, each)))
        return summariesOf(rows.flat())
      },

      async forgetChecks(events) {
        await Promise.all(
          events.map(async ({ id }) => {
            await client.del(keys.check(id))
            await client.zrem(keys.checksDue(keys.shardOfCheck(id)), shortSession(id))
          }),
        )
      },
    },
  }
}

function nameOf({ tag, digest, timeMs }: TagSighting): string {
  return `${tag} ${timeMs} ${digest}`
}
