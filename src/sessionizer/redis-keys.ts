/**
 * The one place where Redis keys are made. The tag in braces puts all keys of a shard into one slot of a
 * cluster; no script touches two shards.
 */
import { shortSession } from './fact-codec.ts'

/** More than any cluster has masters that matter here, few enough that a batch needs few calls. */
export const shardCount = 16

export type RedisKeys = {
  shardOfSession(sessionId: string): number
  due(shard: number): string
  leased(shard: number): string
  session(sessionId: string): string
  tombstone(sessionId: string): string
  shardOfJoin(joinKey: string): number
  undecided(joinKey: string): string
  decided(joinKey: string): string
  renewed(joinKey: string): string
  attempts(joinKey: string): string
  tagsDue(shard: number): string
  shardOfTags(tagKey: string): number
  tags(tagKey: string): string
  checksDue(shard: number): string
  checksClosed(shard: number): string
  shardOfCheck(id: string): number
  check(id: string): string
  manifest(digest: string): string
  nodes: string
}

export function createRedisKeys(prefix: string): RedisKeys {
  // No colon behind the tag: with it the most frequent keys would fall into a larger size of the allocator.
  const tags = Array.from(
    { length: shardCount },
    (_, shard) => `{${prefix}:${String(shard).padStart(2, '0')}}`,
  )
  // Both are hashes already: their first byte spreads them evenly.
  const shardOfSession = (sessionId: string) => Number.parseInt(sessionId.slice(0, 2), 16) % shardCount
  const shardOfJoin = (joinKey: string) => (Buffer.from(joinKey, 'base64url')[0] ?? 0) % shardCount
  return {
    shardOfSession,
    shardOfJoin,
    due: (shard) => `${tags[shard]}due`,
    leased: (shard) => `${tags[shard]}leased`,
    session: (sessionId) => `${tags[shardOfSession(sessionId)]}s:${shortSession(sessionId)}`,
    tombstone: (sessionId) => `${tags[shardOfSession(sessionId)]}t:${shortSession(sessionId)}`,
    undecided: (joinKey) => `${tags[shardOfJoin(joinKey)]}j:${joinKey}`,
    decided: (joinKey) => `${tags[shardOfJoin(joinKey)]}k:${joinKey}`,
    renewed: (joinKey) => `${tags[shardOfJoin(joinKey)]}r:${joinKey}`,
    attempts: (joinKey) => `${tags[shardOfJoin(joinKey)]}a:${joinKey}`,
    tagsDue: (shard) => `${tags[shard]}tags`,
    shardOfTags: shardOfJoin,
    tags: (tagKey) => `${tags[shardOfJoin(tagKey)]}v:${tagKey}`,
    checksDue: (shard) => `${tags[shard]}checks`,
    checksClosed: (shard) => `${tags[shard]}checked`,
    shardOfCheck: shardOfSession,
    check: (id) => `${tags[shardOfSession(id)]}c:${shortSession(id)}`,
    manifest: (digest) => `${prefix}:g:{${digest}}`,
    nodes: `{${prefix}}:nodes`,
  }
}
