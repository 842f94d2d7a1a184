/**
 * The join of sessions that are one pull whose token was renewed on the way: a session that begins with a blob, though
 * nobody knows of a blob before a manifest, goes on with a pull of the same client that another token began.
 */
import { shortDigest } from './fact-codec.ts'
import { isClosedAt } from './pull/closing.ts'
import { joinFacts } from './pull/join.ts'
import { fetchedPlatforms, isHeadOnly, isTokenPull, type Pull } from './pull/pull.ts'
import { compareFacts } from './pull/request.ts'
import { isCut, isPossible, isRunning, isWanted } from './pull/shelf.ts'
import { flags, type SessionRules, stateOf } from './schedule.ts'
import type { Fact, Graph } from './types.ts'

/** The first blob that a token asked for, as far as one knows; kept while nothing is known that it asked for before. */
export type RenewalEntry = {
  sessionId: string
  /** 8 bytes in hex, see `shortDigest`. */
  digest: string
  time: number
}

/** `partner`: the session whose pull goes on; null: none; undefined: it is not decided yet. */
export type Renewal = RenewalEntry & { partner: string | null | undefined }

/** Of one client and repository: one that takes a token for each blob has no pulls that could be told apart. */
export const maxRenewals = 1024
/** Sessions of one client and repository that are looked at for one that began. */
export const maxCandidates = 256

export function renewalEntryOf(fact: Fact): RenewalEntry | null {
  if (fact.class !== 'blob' || fact.method !== 'GET' || fact.context.session_method !== 'token') return null
  const digest = fact.digest ?? fact.reference
  return digest === null ? null : { sessionId: fact.sessionId, digest: shortDigest(digest), time: fact.time }
}

export function compareRenewals(a: RenewalEntry, b: RenewalEntry): number {
  if (a.time !== b.time) return a.time - b.time
  return a.sessionId < b.sessionId ? -1 : Number(a.sessionId > b.sessionId)
}

/** The request that the entry stands for; null: the session asked for something before, so it began a pull itself. */
export function renewingFact(facts: readonly Fact[], entry: RenewalEntry): Fact | null {
  let first: Fact | null = null
  for (const fact of facts) {
    // Not what another session gave it.
    if (fact.sessionId !== entry.sessionId) continue
    if (fact.class === 'manifest' && fact.time <= entry.time) return null
    if (first === null || compareFacts(fact, first) < 0) first = fact
  }
  return first?.time === entry.time && renewalEntryOf(first) !== null ? first : null
}

/** `facts`: see `factsUpTo`. `graph`: what those and the blob speak of. */
export type Candidate = { sessionId: string; facts: readonly Fact[]; graph: Graph }

export function factsUpTo(facts: readonly Fact[], fact: Fact): Fact[] {
  return facts.filter((one) => compareFacts(one, fact) < 0).sort(compareFacts)
}

/** Ranks, the best first: as in `pull/join-blobs.ts`, but for repeats, which say nothing. */
function rankOf(pull: Pull, fact: Fact, digest: string): number | null {
  if (fact.offset > 0 && isRunning(pull, digest, fact.time)) return 0
  if (isWanted(pull, digest) || isCut(pull, digest, fact.time)) return 0
  return isPossible(pull, digest) && fetchedPlatforms(pull).length === 0 ? 1 : null
}

/** When its newest token was first used: of tokens that live equally long the oldest is renewed first. */
function tokenStart(pull: Pull): number {
  const starts = new Map<string, number>()
  for (const { sessionId, time } of pull.facts)
    starts.set(sessionId, Math.min(time, starts.get(sessionId) ?? time))
  return Math.max(...starts.values())
}

/**
 * The session whose pull goes on with `fact`: an open one of a token that wants the blob; of several that of the oldest
 * token. What is asked of it was known, and its answer fixed, when the request began: so it is the same whenever asked.
 * `settleMs`: for so long before its end a pull is not continued (see `joinLimits`).
 */
export function findContinued(
  fact: Fact,
  candidates: readonly Candidate[],
  rules: SessionRules,
  settleMs: number,
): string | null {
  const digest = fact.reference ?? fact.digest ?? ''
  let best: Found | null = null
  for (const { sessionId, facts, graph } of candidates) {
    const isBuilder = ((stateOf(facts)?.flags ?? 0) & flags.builder) !== 0
    const idleMs = isBuilder ? rules.idleBuilderMs : rules.idleMs
    for (const pull of joinFacts(facts, graph, idleMs, [])) {
      if (pull.origin !== 'root' || isHeadOnly(pull) || !isTokenPull(pull)) continue
      if (isClosedAt(pull, fact.time + settleMs, idleMs)) continue
      const rank = rankOf(pull, fact, digest)
      if (rank === null) continue
      const found = { sessionId, rank, startMs: tokenStart(pull) }
      if (best === null || compareFound(found, best) < 0) best = found
    }
  }
  return best?.sessionId ?? null
}

type Found = { sessionId: string; rank: number; startMs: number }

function compareFound(a: Found, b: Found): number {
  if (a.rank !== b.rank) return a.rank - b.rank
  if (a.startMs !== b.startMs) return a.startMs - b.startMs
  return a.sessionId < b.sessionId ? -1 : Number(a.sessionId > b.sessionId)
}
