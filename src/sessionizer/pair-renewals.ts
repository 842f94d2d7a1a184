/** Which sessions are one pull whose token was renewed, when all requests are known: as `join-session.ts` finds them. */
import { joinEntryOf, joinKeyOf, settleOf } from './join-index.ts'
import { endOf } from './pull/request.ts'
import {
  compareRenewals,
  factsUpTo,
  findContinued,
  type RenewalEntry,
  renewalEntryOf,
  renewingFact,
} from './renewed-token.ts'
import type { SessionRules } from './schedule.ts'
import type { Fact, Graph } from './types.ts'

type Renewed = RenewalEntry & { joinKey: string }

/** The first blob of a session that asked for no manifest before. */
function renewedOf(facts: readonly Fact[]): Renewed | null {
  let entry: RenewalEntry | null = null
  let joinKey = ''
  for (const fact of facts) {
    if (entry !== null && fact.time >= entry.time) continue
    const earlier = renewalEntryOf(fact)
    if (earlier === null) continue
    entry = earlier
    joinKey = joinKeyOf(fact)
  }
  return entry === null || renewingFact(facts, entry) === null ? null : { ...entry, joinKey }
}

/** `sessions`: those of HEADs alone joined already. Moves the facts of renewed ones to those that they go on with. */
export function joinRenewals(
  sessions: Map<string, Fact[]>,
  lookUp: (facts: readonly Fact[]) => Graph,
  rules: SessionRules,
): void {
  const renewed: Renewed[] = []
  const beginners = new Map<string, Set<string>>()
  for (const facts of sessions.values()) {
    for (const own of Map.groupBy(facts, (fact) => fact.sessionId).values()) {
      const one = renewedOf(own)
      if (one !== null) renewed.push(one)
    }
    for (const fact of facts) {
      if (joinEntryOf(fact) === null) continue
      const joinKey = joinKeyOf(fact)
      beginners.set(joinKey, (beginners.get(joinKey) ?? new Set()).add(fact.sessionId))
    }
  }
  const longestMs = Math.max(rules.idleMs, rules.idleBuilderMs)
  for (const entry of renewed.sort(compareRenewals)) {
    const { sessionId, joinKey, time } = entry
    const facts = sessions.get(sessionId)
    const fact = facts === undefined ? null : renewingFact(facts, entry)
    if (facts === undefined || fact === null) continue
    const candidates = [...(beginners.get(joinKey) ?? [])].flatMap((id) => {
      const known = id === sessionId ? [] : factsUpTo(sessions.get(id) ?? [], fact)
      const isNear = known.some((one) => endOf(one) + longestMs >= time)
      return isNear ? [{ sessionId: id, facts: known, graph: lookUp([...known, fact]) }] : []
    })
    const partner = findContinued(fact, candidates, rules, settleOf(rules.idleHeadMs))
    if (partner === null) continue
    sessions.get(partner)?.push(...facts)
    sessions.delete(sessionId)
  }
}
