/**
 * The two sides of a session store: what pool workers put in, and what the session thread takes out.
 * Redis and SQLite keep the same promises; times are Unix ms.
 */
import type { LogEntry, PackageEvent } from '../record/events.ts'
import type { ChecksMissed } from './check-rows.ts'
import type { EventTrace } from './event-trace.ts'
import type { JoinEntry, JoinLimits } from './join-index.ts'
import type { Attempt } from './memory/attempt-history.ts'
import type { TagSighting } from './memory/tag-history.ts'
import type { Renewal } from './renewed-token.ts'
import type { SessionState } from './schedule.ts'
import type { Fact, Graph } from './types.ts'

export type SessionIngest = {
  /**
   * Request events and heartbeats become facts, manifests go into the graph; other entries are passed over.
   * Idempotent: a fact is stored under its record id. Rejects when anything was not stored: give the whole
   * batch again.
   */
  addEntries(entries: readonly LogEntry[]): Promise<void>
}

export type StoredFact = {
  fact: Fact
  /** It came after the part of the session that it belongs to had been closed. */
  late: boolean
}

export type LoadedSession = {
  sessionId: string
  /** In order of (time, id). */
  facts: StoredFact[]
  /** Facts that began later are in the store too: a session is read in parts that the thread can bear. */
  more: boolean
  /** Ids of what is stored but cannot be read; to be forgotten with the session. */
  unreadable: string[]
  /** Facts that came since the last pass; says at the close whether more came meanwhile. */
  arrivals: number
  /** Events that earlier closes of this session gave, as far as they still matter; newest last. */
  earlier: EventTrace[]
  /** What is still here was to be moved to that session: `move` was cut short. */
  redirect: string | null
}

/** `lease` proves the claim; it is void once another node has claimed the session. */
export type ClaimedSession = LoadedSession & { lease: string }

export type CloseRequest = {
  sessionId: string
  lease: string
  /** As loaded. */
  arrivals: number
  /** Record ids that were read and are done with: deleted and remembered. */
  countedIds: readonly string[]
  /** What is to be remembered of the session's events from now on. */
  earlier: readonly EventTrace[]
  watermarkMs: number
  /** The session is closed as a whole: what starts up to then and comes later is late. null: some facts remain. */
  closedThroughMs: number | null
  /** As loaded: the session is looked at again at once. */
  more?: boolean
  /** What stays of the facts that were read, and when to look again. */
  remaining: { state: SessionState; nextCheckMs: number } | null
}

export type PairRequest = {
  joinKey: string
  sessionId: string
  /** What the session has in the index. */
  kinds: readonly JoinEntry['kind'][]
  limits: JoinLimits
  /** Until then another session may go on with what this one began. */
  keepMs: number
}

export type MoveRequest = { from: string; to: string; facts: readonly StoredFact[] }

/**
 * `target`: this session's HEADs belong to that session. `source`: that session's HEADs belong to this one. `renewals`:
 * of the client and repository, up to the limit, whatever session asks.
 */
export type Pairing = { target: string | null; source: string | null; renewals: Renewal[] }

export type RenewalDecision = { joinKey: string; sessionId: string; partner: string | null }

/** What is known beyond one session (docs/sessions.md, Across sessions). Tags and attempts come with the facts. */
export type SessionMemory = {
  /** Of one upstream repository, see `tagKeyOf`. */
  loadTags(tagKey: string): Promise<TagSighting[]>
  /** Of one client and repository, see `joinKeyOf`: the newest. */
  loadAttempts(joinKey: string): Promise<Attempt[]>
  /** All that began before the horizon has come: what changes no answer is forgotten. */
  thinTags(horizonMs: number): Promise<void>
  /** Puts published checks into the summaries of their days; repeats change nothing. */
  addChecks(events: readonly PackageEvent[]): Promise<ChecksMissed>
  /** Ends the days that are over at the watermark, and gives some of their summaries, until they are forgotten. */
  dueChecks(watermarkMs: number, max: number): Promise<PackageEvent[]>
  forgetChecks(events: readonly PackageEvent[]): Promise<void>
}

export type SessionClosing = SessionMemory & {
  /** Sessions whose check lies at or before the watermark, or whose lease ran out; fewer where they are large. */
  claimDue(request: { watermarkMs: number; max: number }): Promise<ClaimedSession[]>
  /** What is in the session now; null: nothing. */
  load(sessionId: string): Promise<LoadedSession | null>
  /** Decides, once and for good, which HEADs and GETs of two tokens are one pull. */
  pair(request: PairRequest): Promise<Pairing>
  /** Sessions that asked for a manifest lately, or keep on with what they asked for. */
  beginners(joinKey: string): Promise<string[]>
  /** Once and for good: returns what was decided first; undefined: the session is not known to be renewed. */
  decideRenewal(decision: RenewalDecision): Promise<string | null | undefined>
  /**
   * From now on `from` redirects to `to`; adds the facts to `to`, then takes them out of `from`. Idempotent; cut short,
   * `load` and `claimDue` say so.
   */
  move(request: MoveRequest): Promise<void>
  /** false: the lease was lost, nothing was changed. */
  closeSession(request: CloseRequest): Promise<boolean>
  /** Gives the claim back unchanged. */
  release(request: { sessionId: string; lease: string; nextCheckMs: number }): Promise<void>
  loadManifests(digests: readonly string[]): Promise<Graph>
  publishWatermark(node: string, oldestMs: number): Promise<void>
  /** Over the nodes that published lately; null: none did. */
  lowestWatermark(): Promise<number | null>
  storeTimeMs(): Promise<number>
  openSessions(): Promise<number>
}

export type SessionStore = SessionIngest & SessionClosing & { close(): Promise<void> }
