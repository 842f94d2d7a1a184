/** Sessions in Redis: any number of nodes share them. Each method is one script call a shard. */
import { performance } from 'node:perf_hooks'
import type { LogEntry, Manifest } from '../record/events.ts'
import { factKey, packSessions, redirectFacts, type SessionFacts, sortEntries } from './entry-batch.ts'
import { longSession, shortSession } from './fact-codec.ts'
import { decidedMs, undecidedMs } from './join-index.ts'
import { createManifestCache } from './manifest-cache.ts'
import { createRedisClaim } from './redis-claim.ts'
import { connectRedis, type RedisConnectionOptions } from './redis-client.ts'
import { createRedisKeys, shardCount } from './redis-keys.ts'
import { createRedisMemory } from './redis-memory.ts'
import {
  closeFields,
  contextFields,
  type PairReply,
  pairFields,
  partnerField,
  readPairing,
  readPartner,
  readSession,
  readTombstone,
} from './redis-session.ts'
import { maxCandidates } from './renewed-token.ts'
import { earlyMs, mostFacts, nodeLifeMs, passEveryMs, passFacts, type SessionRules } from './schedule.ts'
import { createShardCalls } from './shard-calls.ts'
import type { CloseRequest, LoadedSession, Pairing, PairRequest, SessionStore } from './store.ts'

export type RedisStoreOptions = RedisConnectionOptions & {
  /** Before every key. Default `waybill`. */
  prefix?: string
  sessions: SessionRules
  /** How long the log keeps records: for so long tombstones know them. */
  tombstoneMs: number
  /** A node that is silent longer has lost its claims. Default 60 s. */
  leaseMs?: number
  /** Sliding lifetime of manifests. Default 90 days. */
  manifestMs?: number
  /** Sightings of tags that came too late or found no room. */
  onTagsRefused?(count: number): void
}

export type RedisStore = SessionStore & {
  /** false: not connected within the time. */
  ready(timeoutMs: number): Promise<boolean>
  /** Round trip; rejects while Redis cannot be reached. */
  ping(): Promise<void>
}

/** Redirects of sessions that were joined never go further than this. */
const maxHops = 4
/** See `redis/pair.lua`. */
const markByte = 0x6d
/** In one command: it takes the server a few ms at most. */
const mostSessions = 64

export function createRedisStore(options: RedisStoreOptions): RedisStore {
  const { sessions: rules, tombstoneMs } = options
  const leaseMs = options.leaseMs ?? 60_000
  const manifestMs = options.manifestMs ?? 90 * 86_400_000
  const keys = createRedisKeys(options.prefix ?? 'waybill')
  const { client, run, ready, close } = connectRedis(options)
  const ruleArgs = [
    rules.idleMs,
    rules.idleHeadMs,
    rules.idleBuilderMs,
    earlyMs,
    passEveryMs,
    passFacts,
    rules.maxMs,
  ]
  const cache = createManifestCache({
    fetch: fetchManifests,
    freshMs: Math.min(3_600_000, manifestMs / 2),
    nowMs: () => performance.now(),
  })

  const memory = createRedisMemory({
    ...{ client, run, keys },
    onTagsRefused: options.onTagsRefused ?? (() => undefined),
  })

  const claimDue = createRedisClaim({ client, run, keys, leaseMs })

  /** Returns the facts of sessions that redirect elsewhere. */
  async function addToShard(shard: number, sessions: SessionFacts[]): Promise<SessionFacts[]> {
    const names = [keys.due(shard)]
    const args: (string | number | Buffer)[] = [...ruleArgs]
    for (const { sessionId, contexts, facts } of sessions) {
      names.push(keys.session(sessionId), keys.tombstone(sessionId))
      const fields = contextFields(contexts)
      args.push(shortSession(sessionId), fields.length / 2, facts.length, ...fields)
      for (const fact of facts) args.push(fact.key, fact.startMs, fact.endMs, fact.flags, fact.value)
    }
    const redirects = (await run('add-facts', names, args)) as (number | Buffer | number[])[]
    const moved: SessionFacts[] = []
    for (let at = 0; at < redirects.length; at += 3) {
      const session = sessions[Number(redirects[at])]
      const rest = new Set(redirects[at + 2] as number[])
      if (session === undefined || rest.size === 0) continue
      const facts = session.facts.filter((_, index) => rest.has(index))
      moved.push(redirectFacts({ ...session, facts }, longSession(String(redirects[at + 1]))))
    }
    return moved
  }

  async function addSessions(sessions: SessionFacts[]): Promise<void> {
    let rest = sessions
    for (let hop = 0; hop < maxHops && rest.length > 0; hop++) {
      const shards = Map.groupBy(rest, (session) => keys.shardOfSession(session.sessionId))
      const moved = await Promise.all([...shards].map(([shard, group]) => addToShard(shard, group)))
      rest = moved.flat()
    }
  }

  async function fetchManifests(digests: readonly string[]): Promise<Manifest[]> {
    const texts = await Promise.all(
      digests.map((digest) => client.getex(keys.manifest(digest), 'PX', manifestMs)),
    )
    return texts.flatMap((text) => (text === null ? [] : [JSON.parse(text) as Manifest]))
  }

  const pairing = createShardCalls<PairRequest, Pairing>({
    mostCalls: mostSessions,
    nameOf: ({ joinKey, limits }) => `${keys.shardOfJoin(joinKey)} ${limits.upToMs} ${limits.windowMs}`,
    async run(requests) {
      const limits = requests[0]?.limits
      const reply = await run(
        'pair',
        requests.flatMap(({ joinKey }) => [
          keys.undecided(joinKey),
          keys.decided(joinKey),
          keys.renewed(joinKey),
        ]),
        [
          ...[limits?.upToMs ?? 0, limits?.windowMs ?? 0, decidedMs, undecidedMs],
          ...requests.flatMap(pairFields),
        ],
      )
      return (reply as PairReply[]).map((one, at) => readPairing(one, requests[at]?.kinds ?? []))
    },
  })

  const closing = createShardCalls<CloseRequest, boolean>({
    mostCalls: mostSessions,
    nameOf: ({ sessionId, watermarkMs }) => `${keys.shardOfSession(sessionId)} ${watermarkMs}`,
    async run(requests) {
      const shard = keys.shardOfSession(requests[0]?.sessionId ?? '')
      const done = await run(
        'close',
        [
          ...[keys.due(shard), keys.leased(shard)],
          ...requests.flatMap(({ sessionId }) => [keys.session(sessionId), keys.tombstone(sessionId)]),
        ],
        [requests[0]?.watermarkMs ?? 0, tombstoneMs, ...requests.flatMap(closeFields)],
      )
      return (done as number[]).map((one) => one === 1)
    },
  })

  return {
    ready,
    async ping() {
      await client.ping()
    },

    async addEntries(entries: readonly LogEntry[]) {
      const batch = sortEntries(entries)
      // Facts last: a session may close once its facts are there, and must find all else then.
      await Promise.all([
        ...batch.manifests.map((manifest) =>
          client.set(keys.manifest(manifest.digest), JSON.stringify(manifest), 'PX', manifestMs),
        ),
        memory.addJoins(batch.joins),
        memory.addTags(batch.tags),
      ])
      await addSessions(batch.sessions)
    },

    claimDue: ({ watermarkMs, max }) => claimDue(watermarkMs, max),

    async load(sessionId): Promise<LoadedSession | null> {
      const [fields, [traces, redirect]] = await Promise.all([
        client.callBuffer('HGETALL', keys.session(sessionId)) as Promise<Buffer[]>,
        client.hmgetBuffer(keys.tombstone(sessionId), 'd', 'r'),
      ])
      if (fields.length === 0) return null
      return {
        sessionId,
        ...readSession(sessionId, fields, mostFacts),
        ...readTombstone(traces, redirect),
      }
    },

    pair: pairing,

    async beginners(joinKey) {
      const [open, decided] = await Promise.all([
        client.hkeysBuffer(keys.undecided(joinKey)),
        client.callBuffer('ZRANGE', keys.decided(joinKey), 0, -1) as Promise<Buffer[]>,
      ])
      const marks = decided.filter((name) => name[0] === markByte)
      const sessions = new Set([...open, ...marks].map((name) => name.toString('hex', 1)))
      return [...sessions].sort().slice(0, maxCandidates)
    },

    async decideRenewal({ joinKey, sessionId, partner }) {
      const args = [Buffer.from(sessionId, 'hex'), partnerField(partner)]
      const reply = (await run('decide-renewal', [keys.renewed(joinKey)], args)) as Buffer | null
      return reply === null ? undefined : readPartner(reply)
    },

    async move({ from, to, facts }) {
      const stored = facts.map(({ fact }) => fact)
      const shard = keys.shardOfSession(from)
      const names = [keys.due(shard), keys.leased(shard), keys.session(from), keys.tombstone(from)]
      const redirect = (fields: readonly Buffer[]) =>
        run('redirect', names, [shortSession(from), shortSession(to), tombstoneMs, ...fields])
      // First where they go: were they only copied when this node dies, each of the two sessions would count them.
      await redirect([])
      await addSessions(packSessions(stored, to))
      await redirect(stored.map(factKey))
    },

    closeSession: closing,

    async release({ sessionId, lease, nextCheckMs }) {
      const shard = keys.shardOfSession(sessionId)
      await run(
        'release',
        [keys.due(shard), keys.leased(shard), keys.session(sessionId)],
        [shortSession(sessionId), lease, nextCheckMs],
      )
    },

    loadManifests: (digests) => cache.load(digests),
    ...memory.calls,

    async publishWatermark(node, oldestMs) {
      await run('watermark', [keys.nodes], [node, oldestMs, nodeLifeMs(rules)])
    },

    async lowestWatermark() {
      const lowest = (await run('watermark', [keys.nodes], ['', 0, nodeLifeMs(rules)])) as Buffer | null
      return lowest === null ? null : Number(lowest)
    },

    async storeTimeMs() {
      const [seconds, microseconds] = await client.time()
      return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000)
    },

    async openSessions() {
      const shards = Array.from({ length: shardCount }, (_, shard) => [keys.due(shard), keys.leased(shard)])
      const counts = await Promise.all(shards.flat().map((key) => client.zcard(key)))
      return counts.reduce((sum, count) => sum + count, 0)
    },

    async close() {
      close()
    },
  }
}
