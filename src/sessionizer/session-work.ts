/** What is done with one claimed session: its manifests are looked up, it is summarised, what to close is said. */
import type { Manifest } from '../record/events.ts'
import { type EventTrace, joinTraces, traceOf } from './event-trace.ts'
import { joinSession } from './join-session.ts'
import { splitLate } from './late.ts'
import { type AttemptHistory, createAttemptHistory } from './memory/attempt-history.ts'
import { createTagHistory, type TagHistory } from './memory/tag-history.ts'
import { createMemoryBook } from './memory-book.ts'
import { attemptKeysOf, createOtherSessions } from './other-sessions.ts'
import type { OtherSessions } from './pull/surroundings.ts'
import { earlyMs, flags, idleMsOf, type SessionRules, stateOf } from './schedule.ts'
import type { ClaimedSession, CloseRequest, SessionClosing } from './store.ts'
import type { Fact, Graph, Summary } from './types.ts'

/** See summarise.ts. */
export type SummariseInput = {
  sessionId: string
  facts: readonly Fact[]
  graph: Graph
  watermark: number
  closing: boolean
  idleMs: number
  node: string
  /** All that is asked of earlier events; the store keeps no more of them. */
  earlier?: readonly EventTrace[]
  others?: OtherSessions
}

export type SummaryTools = {
  summarise(input: SummariseInput): Summary
  /** Digests that are to be looked up for these facts; asked again until none is new. */
  needsManifests(facts: readonly Fact[], graph: Graph): string[]
}

export type SessionWorkOptions = SummaryTools & {
  store: SessionClosing
  node: string
  sessions: SessionRules
  onLate(facts: number): void
  onUnreadable(facts: number): void
  /** More facts than can be read at a time do not fall idle: some of their pulls are ended sooner. */
  onOverfull(facts: number): void
}

/** All that the summary needs, but for tags: most sessions name theirs. */
export type Gathered = {
  session: ClaimedSession
  graph: Graph
  /** By client and repository. */
  attempts: ReadonlyMap<string, AttemptHistory>
}

export type Prepared = { events: Summary['finished'][number]['event'][]; request: CloseRequest }

/** index → manifests → what they refer to. */
const maxLookups = 4
/** When the rest of a session would be due already, it still waits for so long: a pass costs a few calls. */
const leastWaitMs = 1000

/** Of a session that is read in parts, so much of a part must be done with: less would be read again and again. */
const leastDone = 1 / 2

/** `settledMs`: what began before it is in the store, of all nodes. */
export type SessionWork = {
  /** null: nothing is left to do, the claim is void. */
  gather(claimed: ClaimedSession, watermarkMs: number, settledMs: number): Promise<Gathered | null>
  decide(gathered: Gathered, watermarkMs: number, settledMs: number): Promise<Prepared>
}

export function createSessionWork(options: SessionWorkOptions): SessionWork {
  const { store, node, sessions: rules } = options
  const tagBook = createMemoryBook(
    (key) => store.loadTags(key),
    (rows) => createTagHistory(rows),
  )
  const attemptBook = createMemoryBook(
    (key) => store.loadAttempts(key),
    (rows) => createAttemptHistory(rows),
  )

  async function lookUp(facts: readonly Fact[], roots: readonly string[]): Promise<Graph> {
    const graph = new Map<string, Manifest>()
    const asked = new Set<string>()
    let wanted = [...roots, ...options.needsManifests(facts, graph)]
    for (let lookup = 0; lookup < maxLookups && wanted.length > 0; lookup++) {
      for (const digest of wanted) asked.add(digest)
      const found = await store.loadManifests(wanted)
      if (found.size === 0) break
      for (const [digest, manifest] of found) graph.set(digest, manifest)
      wanted = options.needsManifests(facts, graph).filter((digest) => !asked.has(digest))
    }
    return graph
  }

  async function gather(
    claimed: ClaimedSession,
    watermarkMs: number,
    settledMs: number,
  ): Promise<Gathered | null> {
    const lookUpAll = (facts: readonly Fact[]) => lookUp(facts, [])
    const session = await joinSession({ store, rules, lookUp: lookUpAll }, claimed, watermarkMs)
    if (session === null) return null
    const isLate = session.facts.some(({ late }) => late)
    const roots = isLate ? session.earlier.flatMap(({ digest }) => (digest === null ? [] : [digest])) : []
    const all = session.facts.map(({ fact }) => fact)
    const [graph, attempts] = await Promise.all([lookUp(all, roots), loadAttempts(all, settledMs)])
    return { session, graph, attempts }
  }

  async function loadAttempts(
    facts: readonly Fact[],
    settledMs: number,
  ): Promise<Map<string, AttemptHistory>> {
    // No pull of these began later.
    const lastMs = facts.reduce((last, { time }) => Math.max(last, time), 0)
    const found = await Promise.all(
      attemptKeysOf(facts).map(
        async (key) =>
          [key, attemptBook.peek(key, lastMs) ?? (await attemptBook.load(key, settledMs))] as const,
      ),
    )
    return new Map(found)
  }

  /** Once more if it asked about tags that had to be read first. */
  async function withOthers<T>(
    run: (others: OtherSessions) => T,
    { session, attempts }: Gathered,
    settledMs: number,
  ): Promise<T> {
    const facts = session.facts.map(({ fact }) => fact)
    const missing = new Set<string>()
    const known = new Map<string, TagHistory>()
    const result = run(
      createOtherSessions(facts, {
        attempts: (key) => attempts.get(key),
        tags(key, timeMs) {
          const history = tagBook.peek(key, timeMs)
          if (history === undefined) missing.add(key)
          else known.set(key, history)
          return history
        },
      }),
    )
    if (missing.size === 0) return result
    await Promise.all([...missing].map(async (key) => known.set(key, await tagBook.load(key, settledMs))))
    return run(
      createOtherSessions(facts, {
        attempts: (key) => attempts.get(key),
        tags: (key) => known.get(key),
      }),
    )
  }

  /** Of a session that is read in parts: what began before the last fact that was read is all there. */
  function summarisePart(input: SummariseInput): { summary: Summary; closing: boolean } {
    const { facts } = input
    const watermark = Math.min(input.watermark, facts.at(-1)?.time ?? input.watermark)
    const quietMs = watermark - (facts[facts.length >> 1]?.time ?? watermark)
    // With the usual idle time; with one that ends the older half, if it is quiet; all of it.
    const idles = [input.idleMs, Math.min(input.idleMs, Math.max(1, quietMs))]
    // No pull ends sooner than that: not half of them can be over.
    if (quietMs < Math.min(earlyMs, input.idleMs)) idles.shift()
    for (const idleMs of idles) {
      const summary = options.summarise({ ...input, watermark, closing: false, idleMs })
      if (summary.remaining.length <= facts.length * (1 - leastDone)) return { summary, closing: false }
      options.onOverfull(facts.length)
    }
    return { summary: options.summarise({ ...input, closing: true }), closing: true }
  }

  async function decide(gathered: Gathered, watermarkMs: number, settledMs: number): Promise<Prepared> {
    const { session, graph } = gathered
    const { sessionId, lease, arrivals, earlier, more } = session
    const all = session.facts.map(({ fact }) => fact)
    const state = stateOf(all)
    const { kept, dropped } = splitLate(session.facts, earlier, graph)
    if (dropped.length > 0) options.onLate(dropped.length)
    if (session.unreadable.length > 0) options.onUnreadable(session.unreadable.length)
    const idleMs = state === null ? 0 : idleMsOf(state.flags, rules)
    const endsMs = state === null ? 0 : Math.min(state.lastMs + idleMs, state.firstMs + rules.maxMs)
    const isBuilder = state !== null && (state.flags & flags.builder) !== 0
    const input: SummariseInput = {
      sessionId,
      facts: kept,
      graph,
      watermark: watermarkMs,
      closing: watermarkMs >= endsMs,
      idleMs: isBuilder ? rules.idleBuilderMs : rules.idleMs,
      node,
      earlier,
    }
    const isPart = more && kept.length > 0
    const { summary, closing } = await withOthers(
      (others) =>
        isPart
          ? summarisePart({ ...input, others })
          : { summary: options.summarise({ ...input, others }), closing: input.closing },
      gathered,
      settledMs,
    )
    const remaining = closing ? [] : summary.remaining
    const stays = new Set(remaining.map((fact) => fact.id))
    const rest = stateOf(remaining)
    const events = summary.finished.map(({ event }) => event)
    const nextCheckMs =
      rest === null ? 0 : Math.min(rest.lastMs + idleMsOf(rest.flags, rules), rest.firstMs + rules.maxMs)
    const request: CloseRequest = {
      sessionId,
      lease,
      arrivals,
      countedIds: [
        ...session.unreadable,
        ...all.filter((fact) => !stays.has(fact.id)).map((fact) => fact.id),
      ],
      earlier: joinTraces(earlier, events.map(traceOf), watermarkMs),
      watermarkMs,
      closedThroughMs: rest === null && !more ? closedThrough(kept, rules, watermarkMs) : null,
      more,
      remaining:
        rest === null
          ? null
          : { state: rest, nextCheckMs: nextCheckMs > watermarkMs ? nextCheckMs : watermarkMs + leastWaitMs },
    }
    return { events, request }
  }

  return { gather, decide }
}

/**
 * What starts up to then belongs to the pulls that were published. Stragglers that were dropped do not prolong it;
 * nor does a builder's long wait, for its token can well ask for the same image again. Never after the watermark: of
 * a session whose pulls were over early, what begins later is not known yet.
 */
function closedThrough(kept: readonly Fact[], rules: SessionRules, watermarkMs: number): number | null {
  const state = stateOf(kept)
  if (state === null) return null
  return Math.min(
    state.lastMs + Math.min(idleMsOf(state.flags, rules), rules.idleMs),
    state.firstMs + rules.maxMs,
    watermarkMs,
  )
}
