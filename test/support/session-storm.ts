/**
 * Random sessions with a known outcome: facts of several clients and nodes, told in any order, and the pulls that
 * they make by a naive reading of all of them at once.
 */
import type { PackageEvent, RequestEvent } from '../../src/record/events.ts'
import { factOf } from '../../src/sessionizer/fact.ts'
import {
  compareEntries,
  decideJoins,
  joinEntryOf,
  joinKeyOf,
  joinLimits,
  type OpenEntry,
} from '../../src/sessionizer/join-index.ts'
import type { SessionRules } from '../../src/sessionizer/schedule.ts'
import type { SummaryTools } from '../../src/sessionizer/session-work.ts'
import type { Fact } from '../../src/sessionizer/types.ts'
import type { Random } from './random.ts'
import { digestOf, hexId, manifestRequest, recordId, request, startMs } from './session-facts.ts'

export type StormFact = { event: RequestEvent; endMs: number; node: 'a' | 'b' }

export const stormMs = 300_000

export function createStorm(random: Random, count: number): StormFact[] {
  const facts: StormFact[] = []
  let sequence = 1
  function add(event: (id: string) => RequestEvent): void {
    sequence += 1 + random.below(400)
    const one = event(recordId(sequence, random.below(3)))
    const endMs = Date.parse(one.time) + one.duration_ms
    facts.push({ event: one, endMs, node: random.below(2) === 0 ? 'a' : 'b' })
  }
  /** Several pulls in one session: within one the gaps are short, between them long. */
  function addSession(index: number): void {
    const session_method = random.below(2) === 0 ? 'token' : 'client'
    const session_id = hexId(`session ${index}`)
    let at = random.below(stormMs)
    for (let pull = random.below(3); pull >= 0; pull--) {
      for (let step = random.below(6); step >= 0; step--) {
        const duration_ms = random.below(2500)
        const method = random.below(3) === 0 ? 'HEAD' : 'GET'
        // Several contexts in one session.
        const node = hexId(`node ${random.below(2)}`)
        const fields = { at, session_id, session_method, duration_ms, method, node } as const
        add((id) => request(id, fields))
        at += random.below(4000)
      }
      // Its image is complete.
      if (random.below(2) === 0) {
        add((id) => request(id, { at, session_id, session_method, class: 'referrers' }))
      }
      at += 65_000 + random.below(60_000)
    }
  }
  /** containerd: HEAD on one token, GET on another, all behind one address. */
  function addPair(index: number): void {
    const digest = digestOf(`image ${random.below(2)}`)
    const at = random.below(stormMs)
    const fields = { digest, duration_ms: random.below(900) }
    const [headId, getId] = [hexId(`head ${index}`), hexId(`get ${index}`)]
    if (random.below(5) > 0) {
      add((id) => manifestRequest(id, 'HEAD', '1.0', { ...fields, at, session_id: headId }))
    }
    if (random.below(5) > 0) {
      const later = at + random.below(8000)
      add((id) => manifestRequest(id, 'GET', digest, { ...fields, at: later, session_id: getId }))
      add((id) => request(id, { at: later + random.below(3000), session_id: getId }))
    }
  }
  for (let index = 0; index < count; index++) {
    if (random.below(2) === 0) addSession(index)
    else addPair(index)
  }
  return facts
}

type Group = { facts: Fact[]; lastMs: number; idleMs: number; isComplete: boolean }

function groupFacts(facts: readonly Fact[], rules: SessionRules): Group[] {
  const groups: Group[] = []
  for (const fact of facts.toSorted((a, b) => a.time - b.time || (a.id < b.id ? -1 : 1))) {
    let group = groups.at(-1)
    if (group === undefined || fact.time > group.lastMs + group.idleMs) {
      group = { facts: [], lastMs: 0, idleMs: rules.idleHeadMs, isComplete: false }
      groups.push(group)
    }
    group.facts.push(fact)
    group.lastMs = Math.max(group.lastMs, fact.time + fact.durationMs)
    if (fact.method === 'GET') group.idleMs = rules.idleMs
    if (fact.class === 'referrers' && fact.context.session_method === 'token') group.isComplete = true
  }
  return groups
}

function eventOf(group: Group): PackageEvent {
  const [first] = group.facts
  return {
    id: hexId(`${first?.sessionId} ${first?.id}`),
    type: 'pull',
    kind: 'full',
    session_method: first?.context.session_method,
    session_ids: [...new Set(group.facts.map((fact) => fact.sessionId))].sort(),
    started_at: new Date(first?.time ?? 0).toISOString(),
    ended_at: new Date(group.lastMs).toISOString(),
    tag: null,
    digest: null,
    // Not its meaning: all that went into the event, to be compared.
    fail_reason: JSON.stringify(group.facts),
  } as PackageEvent
}

/** Stands in for the real one: its outcome does not depend on when it runs, and is easily said. */
export function createGrouping(rules: SessionRules): SummaryTools['summarise'] {
  return ({ facts, watermark, closing }) => {
    const groups = groupFacts(facts, rules)
    const finished = groups.filter((group) => {
      const waitMs = group.isComplete ? 5000 : group.idleMs
      return closing || group.lastMs + waitMs <= watermark
    })
    const remaining = groups.filter((group) => !finished.includes(group)).flatMap((group) => group.facts)
    return {
      finished: finished.map((group) => ({
        event: eventOf(group),
        factIds: group.facts.map(({ id }) => id),
      })),
      remaining,
      discarded: [],
    }
  }
}

/** Every event of the storm by id. */
export function expectedEvents(storm: readonly StormFact[], rules: SessionRules): Map<string, PackageEvent> {
  const facts = storm.map(({ event }) => factOf(event)).filter((fact) => fact !== null)
  const targets = new Map<string, string>()
  const keys = Map.groupBy(facts, joinKeyOf)
  for (const group of keys.values()) {
    const entries = group.flatMap((fact): OpenEntry[] => {
      const entry = joinEntryOf(fact)
      return entry === null ? [] : [{ ...entry, sessionId: fact.sessionId }]
    })
    entries.sort(compareEntries)
    const { windowMs } = joinLimits(0, rules.idleHeadMs)
    for (const { entry, partner } of decideJoins(entries, () => false, { upToMs: startMs * 2, windowMs })
      .decided) {
      if (entry.kind === 'a' && partner !== null) targets.set(entry.sessionId, partner)
    }
  }
  const sessions = Map.groupBy(facts, (fact) => targets.get(fact.sessionId) ?? fact.sessionId)
  const events = [...sessions.values()].flatMap((session) => groupFacts(session, rules).map(eventOf))
  return new Map(events.map((event) => [event.id, event]))
}
