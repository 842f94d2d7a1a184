/** Claims sessions that are due in Redis: small ones of all shards at once, large ones one after the other. */
import { randomBytes } from 'node:crypto'
import { longSession } from './fact-codec.ts'
import type { RedisConnection } from './redis-client.ts'
import { type RedisKeys, shardCount } from './redis-keys.ts'
import { readSession, readTombstone } from './redis-session.ts'
import { claimFacts, mostFacts } from './schedule.ts'
import type { ClaimedSession } from './store.ts'

type Shard = { shard: number; members: string[] }

export function createRedisClaim(options: {
  client: RedisConnection['client']
  run: RedisConnection['run']
  keys: RedisKeys
  leaseMs: number
}): (watermarkMs: number, max: number) => Promise<ClaimedSession[]> {
  const { client, run, keys, leaseMs } = options
  let firstShard = 0

  async function findDue(shard: number, watermarkMs: number, max: number): Promise<Shard> {
    const [due, leased] = await Promise.all([
      client.zrangebyscore(keys.due(shard), '-inf', watermarkMs, 'LIMIT', 0, max),
      // The script looks at the time; the oldest leases are the first to run out.
      client.zrangebyscore(keys.leased(shard), '-inf', '+inf', 'LIMIT', 0, max),
    ])
    return { shard, members: [...new Set([...due, ...leased])] }
  }

  /** `tooLarge`: members that are due and hold more than `largest` facts. */
  async function claimShard(
    { shard, members }: Shard,
    limits: { watermarkMs: number; budget: number; largest: number },
  ): Promise<{ claimed: ClaimedSession[]; tooLarge: Shard }> {
    const claimed: ClaimedSession[] = []
    const tooLarge: Shard = { shard, members: [] }
    if (members.length === 0) return { claimed, tooLarge }
    const lease = randomBytes(9).toString('base64url')
    const names = members.flatMap((member) => {
      const sessionId = longSession(member)
      return [keys.session(sessionId), keys.tombstone(sessionId)]
    })
    const { watermarkMs, budget, largest } = limits
    const reply = await run(
      'claim',
      [keys.due(shard), keys.leased(shard), ...names],
      [watermarkMs, leaseMs, lease, budget, largest, mostFacts, ...members],
    )
    const rows = reply as (number | Buffer | null | Buffer[])[]
    for (let at = 0; at < rows.length; at += 3) {
      const member = members[Number(rows[at])] ?? ''
      const fields = rows[at + 2] as Buffer[] | null
      const [traces, redirect] = (rows[at + 1] as (Buffer | null)[] | null) ?? []
      if (fields === null) {
        tooLarge.members.push(member)
        continue
      }
      const sessionId = longSession(member)
      const session = readSession(sessionId, fields, mostFacts)
      claimed.push({ sessionId, lease, ...session, ...readTombstone(traces, redirect) })
    }
    return { claimed, tooLarge }
  }

  /** Small sessions of all shards at once; then large ones one after the other, until it is enough. */
  async function claimDue(watermarkMs: number, max: number): Promise<ClaimedSession[]> {
    const each = Math.max(1, Math.ceil(max / shardCount))
    const shards = await Promise.all(
      Array.from({ length: shardCount }, (_, shard) => findDue(shard, watermarkMs, each)),
    )
    const share = Math.ceil(claimFacts / shardCount)
    const found = await Promise.all(
      shards.map((shard) => claimShard(shard, { watermarkMs, budget: share, largest: 2 * share })),
    )
    const claimed = found.flatMap((one) => one.claimed)
    const tooLarge = found.map((one) => one.tooLarge).filter(({ members }) => members.length > 0)
    // Another shard each time, and at least one session, so that none waits for ever behind the small ones.
    firstShard = (firstShard + 1) % shardCount
    tooLarge.sort((a, b) => turnOf(a.shard) - turnOf(b.shard))
    let facts = claimed.reduce((sum, session) => sum + session.facts.length, 0)
    for (const shard of tooLarge) {
      const large = await claimShard(shard, { watermarkMs, budget: 1, largest: Number.MAX_SAFE_INTEGER })
      claimed.push(...large.claimed)
      facts += large.claimed.reduce((sum, session) => sum + session.facts.length, 0)
      if (facts >= claimFacts) break
    }
    return claimed
  }

  function turnOf(shard: number): number {
    return (shard - firstShard + shardCount) % shardCount
  }

  return claimDue
}
