/** Brings the sessions together that are one pull on two tokens, before either is summarised. */
import { type JoinEntry, joinEntryOf, joinKeyOf, joinLimits } from './join-index.ts'
import type { SessionRules } from './schedule.ts'
import type { ClaimedSession, LoadedSession, SessionClosing } from './store.ts'

type JoinStore = Pick<SessionClosing, 'pair' | 'move' | 'load'>

/** More facts can come while the first ones are moved; what comes then follows the redirect. */
const maxMoves = 3

/** null: the session's facts belong to another and were moved there, the claim is void. */
export async function joinSession(
  store: JoinStore,
  claimed: ClaimedSession,
  watermarkMs: number,
  rules: SessionRules,
): Promise<ClaimedSession | null> {
  const limits = joinLimits(watermarkMs, rules.idleHeadMs)
  const sources = new Set<string>()
  for (const [joinKey, kinds] of joinKinds(claimed)) {
    const pairing = await store.pair({ joinKey, sessionId: claimed.sessionId, kinds: [...kinds], limits })
    if (pairing.target !== null && isHeadOnly(claimed)) {
      await moveAll(store, claimed, pairing.target)
      return null
    }
    if (pairing.source !== null) sources.add(pairing.source)
  }
  if (sources.size === 0) return claimed
  for (const source of sources) {
    const loaded = await store.load(source)
    if (loaded !== null && isHeadOnly(loaded)) await moveAll(store, loaded, claimed.sessionId)
  }
  // Also when there was nothing to move: the other side may have moved it since the claim.
  const loaded = await store.load(claimed.sessionId)
  return loaded === null ? null : { ...loaded, lease: claimed.lease }
}

async function moveAll(store: JoinStore, session: LoadedSession, to: string): Promise<void> {
  let rest: LoadedSession | null = session
  for (let move = 0; move < maxMoves && rest !== null; move++) {
    await store.move({ from: session.sessionId, to, facts: rest.facts })
    rest = await store.load(session.sessionId)
  }
}

function isHeadOnly(session: LoadedSession): boolean {
  return session.facts.every(({ fact }) => fact.method === 'HEAD')
}

/** What the index holds of the session; requests that came from another were decided there. */
function joinKinds(session: LoadedSession): Map<string, Set<JoinEntry['kind']>> {
  const joins = new Map<string, Set<JoinEntry['kind']>>()
  for (const { fact } of session.facts) {
    const entry = fact.sessionId === session.sessionId ? joinEntryOf(fact) : null
    if (entry === null) continue
    const joinKey = joinKeyOf(fact)
    joins.set(joinKey, (joins.get(joinKey) ?? new Set()).add(entry.kind))
  }
  return joins
}
