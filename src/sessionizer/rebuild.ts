/**
 * Package events made again from all request events and manifests of a time: the same joins, the same `summarise`,
 * the same ids as in a running Waybill, without its clock.
 */
import type { Manifest, PackageEvent, RequestEvent } from '../record/events.ts'
import { factOf } from './fact.ts'
import { joinEntryOf, joinKeyOf, joinLimits } from './join-index.ts'
import { type AttemptHistory, createAttemptHistory } from './memory/attempt-history.ts'
import { createCheckSummaries } from './memory/check-summary.ts'
import { createTagHistory, type TagHistory } from './memory/tag-history.ts'
import { collectAttempts, collectSightings } from './memory-notes.ts'
import { createOtherSessions, type Memories } from './other-sessions.ts'
import { joinRenewals } from './pair-renewals.ts'
import { firstEntries, pairSessions } from './pair-sessions.ts'
import { endOf } from './pull/request.ts'
import { flags, type SessionRules, stateOf } from './schedule.ts'
import { needsManifests, summarise } from './summarise.ts'
import type { Fact, FactContext, Graph } from './types.ts'

export type Rebuild = {
  /** In any order, with any repeats. */
  addRequest(event: RequestEvent): void
  addManifest(manifest: Manifest): void
  /** In order of (`ended_at`, `id`). All that was added is taken for complete. */
  events(): PackageEvent[]
}

/** Clients repeat: the same context is kept once. About as many as there are clients and repositories. */
function createContexts(): (context: FactContext) => FactContext {
  const known = new Map<string, FactContext>()
  return (context) => {
    const key = JSON.stringify(context)
    const same = known.get(key)
    if (same !== undefined) return same
    known.set(key, context)
    return context
  }
}

export function createRebuild(rules: SessionRules): Rebuild {
  const sessions = new Map<string, Fact[]>()
  const manifests = new Map<string, Manifest>()
  const shareContext = createContexts()

  function joinSessions(): Map<string, Fact[]> {
    const byKey = new Map<string, Fact[]>()
    for (const facts of sessions.values()) {
      for (const fact of facts) {
        if (joinEntryOf(fact) === null) continue
        const key = joinKeyOf(fact)
        const same = byKey.get(key)
        if (same === undefined) byKey.set(key, [fact])
        else same.push(fact)
      }
    }
    const targets = new Map<string, string>()
    const { windowMs } = joinLimits(0, rules.idleHeadMs)
    for (const facts of byKey.values()) {
      for (const [from, to] of pairSessions(firstEntries(facts), windowMs)) targets.set(from, to)
    }
    const joined = new Map<string, Fact[]>()
    for (const [sessionId, facts] of sessions) {
      const target = facts.every(({ method }) => method === 'HEAD') ? targets.get(sessionId) : undefined
      const key = target ?? sessionId
      joined.set(key, [...(joined.get(key) ?? []), ...facts])
    }
    joinRenewals(joined, lookUp, rules)
    return joined
  }

  /** What a session store would be asked for, and no more. */
  function lookUp(facts: readonly Fact[]): Graph {
    const graph = new Map<string, Manifest>()
    const asked = new Set<string>()
    for (;;) {
      const wanted = needsManifests(facts, graph).filter((digest) => !asked.has(digest))
      if (wanted.length === 0) return graph
      for (const digest of wanted) {
        asked.add(digest)
        const manifest = manifests.get(digest)
        if (manifest !== undefined) graph.set(digest, manifest)
      }
    }
  }

  function remember(): Memories {
    const tags = new Map<string, TagHistory>()
    const attempts = new Map<string, AttemptHistory>()
    const all = [...sessions.values()].flat()
    for (const { tagKey, sightings } of collectSightings(all)) {
      // What is asked about lies before: nothing but repeats may go.
      const history = createTagHistory(sightings, 0, { changes: all.length, tags: all.length })
      history.thin(Number.POSITIVE_INFINITY)
      tags.set(tagKey, history)
    }
    for (const { joinKey, attempts: rows } of collectAttempts(all))
      attempts.set(joinKey, createAttemptHistory(rows))
    return { tags: (key) => tags.get(key), attempts: (key) => attempts.get(key) }
  }

  /** Of the days that a running Waybill has ended by the last request. */
  function summariseChecks(events: readonly PackageEvent[]): PackageEvent[] {
    let lastMs = 0
    for (const facts of sessions.values()) for (const fact of facts) lastMs = Math.max(lastMs, endOf(fact))
    const summaries = createCheckSummaries({ maxRows: events.length })
    for (const event of events) summaries.add(event)
    return summaries.due(lastMs)
  }

  function summariseSession(sessionId: string, facts: readonly Fact[], memories: Memories): PackageEvent[] {
    const isBuilder = ((stateOf(facts)?.flags ?? 0) & flags.builder) !== 0
    const { finished } = summarise({
      sessionId,
      facts,
      graph: lookUp(facts),
      watermark: Number.POSITIVE_INFINITY,
      closing: true,
      idleMs: isBuilder ? rules.idleBuilderMs : rules.idleMs,
      node: '',
      others: createOtherSessions(facts, memories),
    })
    return finished.map(({ event }) => event)
  }

  return {
    addRequest(event) {
      const fact = factOf(event)
      if (fact === null) return
      const known = { ...fact, context: shareContext(fact.context) }
      const facts = sessions.get(fact.sessionId)
      if (facts === undefined) sessions.set(fact.sessionId, [known])
      else facts.push(known)
    },

    addManifest(manifest) {
      manifests.set(manifest.digest, manifest)
    },

    events() {
      const events: PackageEvent[] = []
      const memories = remember()
      for (const [sessionId, facts] of joinSessions()) {
        for (const event of summariseSession(sessionId, facts, memories)) events.push(event)
      }
      for (const event of summariseChecks(events)) events.push(event)
      const order = (a: PackageEvent, b: PackageEvent) =>
        Date.parse(a.ended_at) - Date.parse(b.ended_at) || (a.id < b.id ? -1 : 1)
      return events.sort(order)
    },
  }
}
