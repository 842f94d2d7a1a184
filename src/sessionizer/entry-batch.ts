/** Sorts a batch of log entries into what a store writes: facts by session, join entries, manifests. */
import type { LogEntry, Manifest } from '../record/events.ts'
import { type PackedContext, packContext } from './context-codec.ts'
import { factOf } from './fact.ts'
import { keepSession, packFact } from './fact-codec.ts'
import { joinEntryOf, joinKeyOf, type OpenEntry } from './join-index.ts'
import type { Attempt } from './memory/attempt-history.ts'
import { collectAttempts, collectSightings, type TagNotes } from './memory-notes.ts'
import { endOf } from './pull/request.ts'
import { type RenewalEntry, renewalEntryOf } from './renewed-token.ts'
import { flagsOf } from './schedule.ts'
import type { Fact, FactContext } from './types.ts'

export type PackedFact = {
  /** Record id, 16 bytes, with an `h` behind it for a heartbeat. */
  key: Buffer
  startMs: number
  endMs: number
  flags: number
  value: Buffer
}

export type SessionFacts = { sessionId: string; contexts: Map<number, Buffer>; facts: PackedFact[] }

/** Of one client and repository. */
export type JoinEntries = {
  joinKey: string
  entries: OpenEntry[]
  /** Of sessions of which this batch has nothing that came before. */
  blobs: RenewalEntry[]
  attempts: Attempt[]
}

export type EntryBatch = {
  sessions: SessionFacts[]
  joins: JoinEntries[]
  tags: TagNotes[]
  manifests: Manifest[]
}

export function sortEntries(entries: readonly LogEntry[]): EntryBatch {
  const facts: Fact[] = []
  const manifests = new Map<string, Manifest>()
  // Packing a context takes longer than all else about a fact.
  const contexts = new Map<string, FactContext>()
  for (const entry of entries) {
    if (entry.schema === 'waybill.manifest/1') {
      manifests.set(entry.digest, entry)
      continue
    }
    const before = contexts.get(entry.session_id ?? '')
    const fact = factOf(entry, before)
    if (fact === null) continue
    if (fact.context !== before) contexts.set(fact.sessionId, fact.context)
    facts.push(fact)
  }
  return {
    sessions: packSessions(facts),
    joins: collectJoins(facts),
    tags: collectSightings(facts),
    manifests: [...manifests.values()],
  }
}

/** `under`: the session to store them in, where that is not their own. */
export function packSessions(facts: readonly Fact[], under: string | null = null): SessionFacts[] {
  const sessions = new Map<string, SessionFacts>()
  // Facts that were read from a session share their context.
  const packed = new Map<FactContext, PackedContext>()
  for (const fact of facts) {
    const sessionId = under ?? fact.sessionId
    let session = sessions.get(sessionId)
    if (session === undefined) {
      session = { sessionId, contexts: new Map(), facts: [] }
      sessions.set(sessionId, session)
    }
    let context = packed.get(fact.context)
    if (context === undefined) {
      context = packContext(fact.context)
      packed.set(fact.context, context)
    }
    session.contexts.set(context.id, context.bytes)
    session.facts.push({
      key: factKey(fact),
      startMs: fact.time,
      endMs: Math.round(endOf(fact)),
      flags: flagsOf(fact),
      value: packFact(fact, sessionId, context.id),
    })
  }
  return [...sessions.values()]
}

/** As the facts of another session, to which this one redirects. */
export function redirectFacts(session: SessionFacts, to: string): SessionFacts {
  const facts = session.facts.map((fact) => ({ ...fact, value: keepSession(fact.value, session.sessionId) }))
  return { ...session, sessionId: to, facts }
}

export function factKey(fact: Fact): Buffer {
  return Buffer.from(fact.heartbeat ? `${fact.id}68` : fact.id, 'hex')
}

function collectJoins(facts: readonly Fact[]): JoinEntries[] {
  const joins = new Map<string, JoinEntries>()
  function joinOf(joinKey: string): JoinEntries {
    let join = joins.get(joinKey)
    if (join === undefined) {
      join = { joinKey, entries: [], blobs: [], attempts: [] }
      joins.set(joinKey, join)
    }
    return join
  }
  for (const { joinKey, attempts } of collectAttempts(facts)) joinOf(joinKey).attempts = attempts
  /** By session: when it asked for a manifest first, and its first blob. */
  const begun = new Map<string, number>()
  const blobs = new Map<string, { entry: RenewalEntry; fact: Fact }>()
  for (const fact of facts) {
    const { sessionId } = fact
    const entry = joinEntryOf(fact)
    if (entry !== null) {
      begun.set(sessionId, Math.min(entry.time, begun.get(sessionId) ?? entry.time))
      joinOf(joinKeyOf(fact)).entries.push({ ...entry, sessionId })
    } else if (
      fact.class === 'blob' &&
      fact.time < (blobs.get(sessionId)?.entry.time ?? Number.POSITIVE_INFINITY)
    ) {
      const blob = renewalEntryOf(fact)
      if (blob !== null) blobs.set(sessionId, { entry: blob, fact })
    }
  }
  for (const [sessionId, { entry, fact }] of blobs) {
    if (entry.time < (begun.get(sessionId) ?? Number.POSITIVE_INFINITY))
      joinOf(joinKeyOf(fact)).blobs.push(entry)
  }
  return [...joins.values()]
}

/** Record ids as a tombstone keeps them: first 14 bytes, and the last two of each, concatenated. */
export function groupIds(ids: readonly string[]): { head: Buffer; lows: Buffer }[] {
  const groups = new Map<string, string[]>()
  for (const id of new Set(ids)) {
    const head = id.slice(0, 28)
    const lows = groups.get(head)
    if (lows === undefined) groups.set(head, [id.slice(28)])
    else lows.push(id.slice(28))
  }
  return [...groups].map(([head, lows]) => ({
    head: Buffer.from(head, 'hex'),
    lows: Buffer.from(lows.join(''), 'hex'),
  }))
}
