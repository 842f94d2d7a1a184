/**
 * Joins the facts of a session into pulls: the one place that says which request starts, continues or ends what.
 */
import type { Fact } from '../types.ts'
import { joinBlob } from './join-blobs.ts'
import { joinManifest } from './join-manifests.ts'
import { addFact, hasUnknownContents, joinContents, type Origin, type Pull } from './pull.ts'
import { isAnswered, parseReference } from './request.ts'
import {
  isAbout,
  mayBelong,
  openPulls,
  preferToken,
  type Session,
  startPull,
  takeWaiting,
} from './session.ts'

function findSubject(session: Session, fact: Fact, subject: string, origin: Origin): Pull | undefined {
  const open = openPulls(session, fact.time)
  const newest = (fits: (pull: Pull) => boolean) => preferToken(open.filter(fits), fact).at(-1)
  const waits = (pull: Pull) => pull.origin === 'attached' || pull.origin === origin
  return (
    newest((pull) => pull.origin === 'root' && isAbout(pull, subject)) ??
    newest((pull) => waits(pull) && isAbout(pull, subject)) ??
    newest((pull) => pull.origin === 'root' && hasUnknownContents(pull) && mayBelong(pull, fact))
  )
}

function startWaiting(session: Session, fact: Fact, origin: Origin, subject: string | null): Pull {
  const pull = startPull(session, origin)
  pull.subject = subject
  if (origin === 'attached') takeWaiting(session, pull, fact.time)
  return pull
}

/** 10.3-5, 6: part of the pull of the subject, else a record of their own. */
function joinAttached(session: Session, fact: Fact, subject: string): void {
  const pull =
    findSubject(session, fact, subject, 'attached') ?? startWaiting(session, fact, 'attached', subject)
  if (isAnswered(fact) && fact.digest !== null) joinContents(pull, session.read(fact.digest))
  addFact(pull, fact)
}

function joinReferrers(session: Session, fact: Fact): void {
  const subject = fact.reference ?? fact.digest ?? ''
  const found = findSubject(session, fact, subject, 'lists')
  addFact(found ?? startWaiting(session, fact, 'lists', subject), fact)
}

/** 10.1: lists of tags never start a pull; they go along with the newest, or wait for the next. */
function joinTags(session: Session, fact: Fact): void {
  const open = openPulls(session, fact.time)
  const newest = (fits: (pull: Pull) => boolean) => preferToken(open.filter(fits), fact).at(-1)
  const root = newest((pull) => pull.origin === 'root')
  const waiting = newest((pull) => pull.origin === 'lists' && pull.subject === null)
  addFact(root ?? waiting ?? startWaiting(session, fact, 'lists', null), fact)
}

/** Adds the next fact in order of (time, id). */
export function joinFact(session: Session, fact: Fact, subjectOf: (digest: string) => string | null): void {
  if (fact.class === 'tags') return joinTags(session, fact)
  if (fact.class === 'referrers') return joinReferrers(session, fact)
  if (fact.class === 'blob') return joinBlob(session, fact)
  const reference = parseReference(fact.reference ?? '')
  if (reference.kind === 'attached') return joinAttached(session, fact, reference.subject)
  const digest = fact.digest ?? fact.reference ?? ''
  joinManifest(session, fact, reference.kind === 'tag' ? reference.tag : null, subjectOf(digest))
}
