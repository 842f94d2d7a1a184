/**
 * The join of sessions that are one pull on two tokens. containerd asks HEAD by tag with one token and GETs
 * the digest that it got with another; the index, written with the facts, says which belong together.
 * `redis/pair.lua` decides by the same rule.
 */
import { hash } from 'node:crypto'
import { shortDigest } from './fact-codec.ts'
import { parseReference } from './pull/request.ts'
import type { Fact, FactContext } from './types.ts'

/** Longest time from the HEAD to the GET that follows it; a client waits no longer than for one token. */
const longestWindowMs = 10_000
/** A request is known only when it has ended; manifests are answered well within this. */
const longestSettleMs = 1000
/** How long entries wait for a decision, and decisions for a repeat of the question. */
export const undecidedMs = 3_600_000
export const decidedMs = 900_000

/** A manifest request of a token session, as the join index keeps it. */
export type JoinEntry = {
  /** `a`: HEAD; `b`: GET by digest; `c`: GET by tag. At one time they are decided in this order. */
  kind: 'a' | 'b' | 'c'
  /** 8 bytes in hex, see `shortDigest`. */
  digest: string
  time: number
}

/** Facts of a session share few contexts, and are asked for it several times. */
const joinKeys = new WeakMap<FactContext, string>()

/** Of one client: machines behind one address that run other versions of a tool are told apart. */
export function joinKeyOf({ context }: Pick<Fact, 'context'>): string {
  let joinKey = joinKeys.get(context)
  if (joinKey === undefined) {
    const { client, domain, repository } = context
    const text = `${client.id}\n${client.version ?? ''}\n${domain ?? ''}\n${repository}`
    // 96 bits; with longer keys each would fall into a larger size of Redis's allocator.
    joinKey = hash('sha256', text, 'base64url').slice(0, 16)
    joinKeys.set(context, joinKey)
  }
  return joinKey
}

/** null: nothing to join (in client sessions HEAD and GET share the session anyway). */
export function joinEntryOf(fact: Fact): JoinEntry | null {
  const counts =
    fact.class === 'manifest' &&
    !fact.heartbeat &&
    fact.digest !== null &&
    fact.status < 400 &&
    fact.context.session_method === 'token'
  if (!counts || fact.digest === null) return null
  const kind =
    fact.method === 'HEAD' ? 'a' : parseReference(fact.reference ?? '').kind === 'digest' ? 'b' : 'c'
  return { kind, digest: shortDigest(fact.digest), time: fact.time }
}

/** `upToMs`: requests that began before are all known. `windowMs`: longest time from HEAD to GET. */
export type JoinLimits = { upToMs: number; windowMs: number }

/** For so long after the watermark that a request may have begun, it can still be unknown. */
export function settleOf(idleHeadMs: number): number {
  return Math.min(longestSettleMs, idleHeadMs / 4)
}

/** A HEAD is decided when its session closes, so both together are no longer than that takes. */
export function joinLimits(watermarkMs: number, idleHeadMs: number): JoinLimits {
  const settleMs = settleOf(idleHeadMs)
  return { upToMs: watermarkMs - settleMs, windowMs: Math.min(longestWindowMs, idleHeadMs - settleMs) }
}

export type OpenEntry = JoinEntry & { sessionId: string }

/** `partner` null: it stays alone. */
export type JoinDecision = { entry: OpenEntry; partner: string | null }

export type JoinDecisions = {
  decided: JoinDecision[]
  /** Sessions that take part in no join any more: they have had a GET, or their HEAD was decided. */
  marked: { sessionId: string; time: number }[]
}

export function compareEntries(a: OpenEntry, b: OpenEntry): number {
  if (a.time !== b.time) return a.time - b.time
  const [first, second] = [a.kind + a.sessionId, b.kind + b.sessionId]
  return first < second ? -1 : Number(first > second)
}

/**
 * Walks the open entries, of each session the first of each kind, as they happened: a GET by digest takes the oldest
 * HEAD of that digest still waiting. Sessions that have both need no other. `entries`: all up to the limit, in order.
 */
export function decideJoins(
  entries: readonly OpenEntry[],
  isMarked: (sessionId: string) => boolean,
  limits: JoinLimits,
): JoinDecisions {
  const decided: JoinDecision[] = []
  const marks = new Map<string, number>()
  const heads: OpenEntry[] = []
  function takeHead(isWanted: (head: OpenEntry) => boolean): OpenEntry | undefined {
    const at = heads.findIndex(isWanted)
    return at < 0 ? undefined : heads.splice(at, 1)[0]
  }
  for (const entry of entries) {
    const { kind, digest, sessionId, time } = entry
    if (marks.has(sessionId) || isMarked(sessionId)) {
      decided.push({ entry, partner: null })
    } else if (kind === 'a') {
      heads.push(entry)
    } else {
      marks.set(sessionId, time)
      const own = takeHead((head) => head.sessionId === sessionId)
      if (own !== undefined) decided.push({ entry: own, partner: null })
      const found =
        kind === 'b' && own === undefined
          ? takeHead((head) => head.digest === digest && head.time >= time - limits.windowMs)
          : undefined
      decided.push({ entry, partner: found?.sessionId ?? null })
      if (found !== undefined) {
        decided.push({ entry: found, partner: sessionId })
        marks.set(found.sessionId, time)
      }
    }
  }
  for (const head of heads) {
    if (head.time + limits.windowMs > limits.upToMs) continue
    decided.push({ entry: head, partner: null })
    marks.set(head.sessionId, head.time)
  }
  return { decided, marked: [...marks].map(([sessionId, time]) => ({ sessionId, time })) }
}
