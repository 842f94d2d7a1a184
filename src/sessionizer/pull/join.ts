/**
 * Joins the facts of a session into pulls: the one place that says which request starts, continues or ends what.
 */
import type { Fact, FactContext, Graph } from '../types.ts'
import { joinBlob } from './join-blobs.ts'
import { findUnknown, joinManifest } from './join-manifests.ts'
import { findNewest } from './line.ts'
import type { Origin, Pull } from './pull.ts'
import { addFact, joinContents } from './pull-facts.ts'
import { advance } from './recency.ts'
import { compareFacts, isAnswered, machineOf, parseReference } from './request.ts'
import {
  createClient,
  createSession,
  isOpen,
  type KnownTag,
  preferToken,
  type Session,
  settlePull,
  startPull,
} from './session.ts'
import { isAbout, openSubjectShelf } from './shelf.ts'
import { takeWaiting } from './waiting.ts'

function findSubject(session: Session, fact: Fact, subject: string, origin: Origin): Pull | undefined {
  const { about } = openSubjectShelf(session, subject)
  const speaks = (pull: Pull) => isOpen(session, pull) && isAbout(pull, subject)
  const newest = (fits: (pull: Pull) => boolean) =>
    preferToken(session, fact, (may) => findNewest(about, speaks, (pull) => may(pull) && fits(pull)))
  const isRoot = (pull: Pull) => pull.origin === 'root'
  return (
    newest(isRoot) ??
    newest((pull) => pull.origin === 'attached' || pull.origin === origin) ??
    findUnknown(session, fact, isRoot)
  )
}

function startWaiting(session: Session, origin: Origin, subject: string | null): Pull {
  const pull = startPull(session, origin)
  pull.subject = subject
  if (origin === 'attached') takeWaiting(session, pull)
  return pull
}

/** 10.3-5, 6: part of the pull of the subject, else a record of their own. */
function joinAttached(session: Session, fact: Fact, subject: string): void {
  const pull = findSubject(session, fact, subject, 'attached') ?? startWaiting(session, 'attached', subject)
  if (isAnswered(fact) && fact.digest !== null) joinContents(pull, session.read(fact.digest))
  addFact(pull, fact)
  settlePull(session, pull, fact)
}

function joinReferrers(session: Session, fact: Fact): void {
  const subject = fact.reference ?? fact.digest ?? ''
  const found = findSubject(session, fact, subject, 'lists')
  const pull = found ?? startWaiting(session, 'lists', subject)
  addFact(pull, fact)
  settlePull(session, pull, fact)
}

/** 10.1: lists of tags never start a pull; they go along with the newest, or wait for the next. */
function joinTags(session: Session, fact: Fact): void {
  const open = (pull: Pull) => isOpen(session, pull)
  const pull =
    preferToken(session, fact, (may) => findNewest(session.roots, open, may)) ??
    preferToken(session, fact, (may) => findNewest(session.tagLists, open, may)) ??
    startWaiting(session, 'lists', null)
  addFact(pull, fact)
  settlePull(session, pull, fact)
}

/** Adds the next fact in order of (time, id). */
function joinFact(session: Session, fact: Fact, subjectOf: (digest: string) => string | null): void {
  session.nowMs = fact.time
  advance(session.recency, fact.time)
  if (fact.class === 'tags') return joinTags(session, fact)
  if (fact.class === 'referrers') return joinReferrers(session, fact)
  if (fact.class === 'blob') return joinBlob(session, fact)
  const reference = parseReference(fact.reference ?? '')
  if (reference.kind === 'attached') return joinAttached(session, fact, reference.subject)
  const digest = fact.digest ?? fact.reference ?? ''
  joinManifest(session, fact, reference.kind === 'tag' ? reference.tag : null, subjectOf(digest))
}

function comparePulls(a: Pull, b: Pull): number {
  const [first, second] = [a.facts[0], b.facts[0]]
  return first === undefined || second === undefined ? 0 : compareFacts(first, second)
}

function isMixed([first, ...rest]: readonly Fact[]): boolean {
  return rest.some(
    ({ sessionId, context }) =>
      sessionId !== first?.sessionId || context.session_method !== first.context.session_method,
  )
}

/** Most facts of a session share their context. */
function createMachineFinder(): (fact: Fact) => string {
  const known = new Map<FactContext, string>()
  return (fact) => {
    const machine = known.get(fact.context) ?? machineOf(fact)
    known.set(fact.context, machine)
    return machine
  }
}

/** `facts` in order of (time, id); so are the pulls, by their first fact, and the facts of each. */
export function joinFacts(
  facts: readonly Fact[],
  graph: Graph,
  idleMs: number,
  knownTags: readonly KnownTag[],
): Pull[] {
  const client = createClient(graph, idleMs, knownTags)
  const machines = Map.groupBy(facts, createMachineFinder())
  const sessions = new Map<Fact, Session>()
  for (const own of machines.values()) {
    const session = createSession(client, isMixed(own))
    for (const fact of own) sessions.set(fact, session)
  }
  // All in order of time: a machine takes tags from checks of others.
  for (const fact of facts) {
    const session = sessions.get(fact)
    if (session) joinFact(session, fact, (digest) => graph.get(digest)?.subject ?? null)
  }
  const pulls = client.pulls.filter((pull) => !pull.taken)
  // Facts that waited for their root came to it after it.
  for (const pull of pulls) pull.facts.sort(compareFacts)
  return pulls.sort(comparePulls)
}
