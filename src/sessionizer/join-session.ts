/** Brings the sessions together that are one pull on several tokens, before any of them is summarised. */
import { type JoinEntry, joinEntryOf, joinKeyOf, joinLimits, settleOf } from './join-index.ts'
import { compareRenewals, factsUpTo, findContinued, type Renewal, renewingFact } from './renewed-token.ts'
import { idleMsOf, type SessionRules, stateOf } from './schedule.ts'
import type { ClaimedSession, LoadedSession, Pairing, SessionClosing } from './store.ts'
import type { Fact, Graph } from './types.ts'

type JoinStore = Pick<SessionClosing, 'pair' | 'move' | 'load' | 'beginners' | 'decideRenewal'>

/** More facts can come while the first ones are moved; what comes then follows the redirect. */
const maxMoves = 3

export type JoinTools = {
  store: JoinStore
  rules: SessionRules
  /** The manifests that these facts speak of. */
  lookUp(facts: readonly Fact[]): Promise<Graph>
}

/** null: the session's facts belong to another and were moved there, the claim is void. */
export async function joinSession(
  tools: JoinTools,
  claimed: ClaimedSession,
  watermarkMs: number,
): Promise<ClaimedSession | null> {
  const { store } = tools
  if (claimed.redirect !== null) {
    await moveAll(store, claimed, claimed.redirect)
    return null
  }
  const pairings = await pairAll(tools, claimed, watermarkMs)
  const isHead = isHeadOnly(claimed)
  const target = pairings.find((pairing) => pairing.target !== null)?.target ?? null
  if (target !== null && isHead) {
    await moveAll(store, claimed, target)
    return null
  }
  let isMoved = false
  for (const { source } of pairings) {
    if (source === null) continue
    const loaded = await store.load(source)
    if (loaded !== null && isHeadOnly(loaded)) await moveAll(store, loaded, claimed.sessionId)
    // Also when there was nothing to move: the other side may have moved it since the claim.
    isMoved = true
  }
  if (!isHead) {
    for (const { joinKey, renewals } of pairings) {
      if (await joinRenewals(tools, joinKey, renewals, claimed.sessionId)) isMoved = true
    }
  }
  if (!isMoved) return claimed
  const loaded = await store.load(claimed.sessionId)
  return loaded === null ? null : { ...loaded, lease: claimed.lease }
}

function pairAll(
  { store, rules }: JoinTools,
  claimed: ClaimedSession,
  watermarkMs: number,
): Promise<(Pairing & { joinKey: string })[]> {
  const limits = joinLimits(watermarkMs, rules.idleHeadMs)
  const state = stateOf(claimed.facts.map(({ fact }) => fact))
  const keepMs = state === null ? watermarkMs : state.lastMs + idleMsOf(state.flags, rules)
  const { sessionId } = claimed
  return Promise.all(
    [...joinKinds(claimed)].map(async ([joinKey, kinds]) => ({
      joinKey,
      ...(await store.pair({ joinKey, sessionId, kinds: [...kinds], limits, keepMs })),
    })),
  )
}

/**
 * In order: what one decision moved, the next one sees. Returns whether facts of the claimed session came or went, by
 * this call or another.
 */
async function joinRenewals(
  tools: JoinTools,
  joinKey: string,
  renewals: readonly Renewal[],
  claimedId: string,
): Promise<boolean> {
  let isMoved = false
  for (const renewal of renewals.toSorted(compareRenewals)) {
    const { sessionId } = renewal
    // Gone already, or its facts are still to come.
    const session = renewal.partner === null ? null : await tools.store.load(sessionId)
    const partner =
      renewal.partner === undefined && session !== null
        ? await decide(tools, joinKey, renewal, session)
        : renewal.partner
    if (!partner) continue
    if (session !== null) await moveAll(tools.store, session, partner)
    if (partner === claimedId || sessionId === claimedId) isMoved = true
  }
  return isMoved
}

async function decide(
  { store, rules, lookUp }: JoinTools,
  joinKey: string,
  renewal: Renewal,
  session: LoadedSession,
): Promise<string | null | undefined> {
  const { sessionId } = renewal
  // A token that gave events before began a pull itself.
  const fact = session.earlier.length > 0 ? null : renewingFact(factsOf(session), renewal)
  if (fact === null) return store.decideRenewal({ joinKey, sessionId, partner: null })
  const others = (await store.beginners(joinKey)).filter((id) => id !== sessionId)
  const loaded = await Promise.all(others.map((id) => store.load(id)))
  const candidates = await Promise.all(
    loaded
      .filter((one) => one !== null)
      .map(async (one) => {
        const facts = factsUpTo(factsOf(one), fact)
        return { sessionId: one.sessionId, facts, graph: await lookUp([...facts, fact]) }
      }),
  )
  const partner = findContinued(fact, candidates, rules, settleOf(rules.idleHeadMs))
  return store.decideRenewal({ joinKey, sessionId, partner })
}

function factsOf(session: LoadedSession): Fact[] {
  return session.facts.map(({ fact }) => fact)
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
    if (fact.sessionId !== session.sessionId || fact.context.session_method !== 'token') continue
    const joinKey = joinKeyOf(fact)
    const kinds = joins.get(joinKey) ?? new Set()
    joins.set(joinKey, kinds)
    const entry = joinEntryOf(fact)
    if (entry !== null) kinds.add(entry.kind)
  }
  return joins
}
