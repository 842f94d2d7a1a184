/** What is done with one claimed session: join, look up its manifests, summarise, and say what to close. */
import type { Manifest } from '../record/events.ts'
import { type EventTrace, joinTraces, traceOf } from './event-trace.ts'
import { joinSession } from './join-session.ts'
import { splitLate } from './late.ts'
import { flags, idleMsOf, type SessionRules, stateOf } from './schedule.ts'
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
}

export type Prepared = { events: Summary['finished'][number]['event'][]; request: CloseRequest }

/** index → manifests → what they refer to. */
const maxLookups = 4
/** When the rest of a session would be due already, it still waits for so long: a pass costs a few calls. */
const leastWaitMs = 1000

export type SessionWork = {
  /** null: nothing is left to do, the claim is void. */
  prepare(claimed: ClaimedSession, watermarkMs: number): Promise<Prepared | null>
}

export function createSessionWork(options: SessionWorkOptions): SessionWork {
  const { store, node, sessions: rules } = options

  async function lookUp(facts: readonly Fact[], roots: readonly string[]): Promise<Graph> {
    const graph = new Map<string, Manifest>()
    const asked = new Set<string>()
    let wanted = [...roots, ...options.needsManifests(facts, graph)]
    for (let lookup = 0; lookup < maxLookups && wanted.length > 0; lookup++) {
      for (const digest of wanted) asked.add(digest)
      for (const [digest, manifest] of await store.loadManifests(wanted)) graph.set(digest, manifest)
      wanted = options.needsManifests(facts, graph).filter((digest) => !asked.has(digest))
    }
    return graph
  }

  async function prepare(claimed: ClaimedSession, watermarkMs: number): Promise<Prepared | null> {
    const session = await joinSession(store, claimed, watermarkMs, rules)
    if (session === null) return null
    const { sessionId, lease, arrivals, earlier } = session
    const all = session.facts.map(({ fact }) => fact)
    const state = stateOf(all)
    const isLate = session.facts.some(({ late }) => late)
    const roots = isLate ? earlier.flatMap(({ digest }) => (digest === null ? [] : [digest])) : []
    const graph = await lookUp(all, roots)
    const { kept, dropped } = splitLate(session.facts, earlier, graph)
    if (dropped.length > 0) options.onLate(dropped.length)
    if (session.unreadable.length > 0) options.onUnreadable(session.unreadable.length)
    const idleMs = state === null ? 0 : idleMsOf(state.flags, rules)
    const endsMs = state === null ? 0 : Math.min(state.lastMs + idleMs, state.firstMs + rules.maxMs)
    const closing = watermarkMs >= endsMs
    const isBuilder = state !== null && (state.flags & flags.builder) !== 0
    const summary = options.summarise({
      sessionId,
      facts: kept,
      graph,
      watermark: watermarkMs,
      closing,
      idleMs: isBuilder ? rules.idleBuilderMs : rules.idleMs,
      node,
      earlier,
    })
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
      closedThroughMs: rest === null ? closedThrough(kept, rules) : null,
      remaining:
        rest === null
          ? null
          : { state: rest, nextCheckMs: nextCheckMs > watermarkMs ? nextCheckMs : watermarkMs + leastWaitMs },
    }
    return { events, request }
  }

  return { prepare }
}

/**
 * What starts up to then belongs to the pulls that were published. Stragglers that were dropped do not prolong it;
 * nor does a builder's long wait, for its token can well ask for the same image again.
 */
function closedThrough(kept: readonly Fact[], rules: SessionRules): number | null {
  const state = stateOf(kept)
  if (state === null) return null
  return Math.min(
    state.lastMs + Math.min(idleMsOf(state.flags, rules), rules.idleMs),
    state.firstMs + rules.maxMs,
  )
}
