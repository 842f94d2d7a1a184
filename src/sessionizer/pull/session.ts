/**
 * The pulls of one session while its facts are joined to them, in order of (time, id).
 */
import type { Fact, Graph } from '../types.ts'
import { isClosedAt } from './closing.ts'
import { type Contents, createContentsReader } from './contents.ts'
import {
  addFact,
  createPull,
  isHeadOnly,
  isTokenPull,
  manifestUse,
  type Origin,
  type Pull,
  resolveRoot,
} from './pull.ts'
import { endOf } from './request.ts'

/** A check that gave its event in an earlier run, or in this one: lends its tag to a later pull of its digest. */
export type KnownTag = { tag: string; digest: string; endMs: number }

export type Session = {
  /** In order of creation. */
  pulls: Pull[]
  idleMs: number
  read: (digest: string) => Contents
  /** Tags that this client resolved in earlier runs. */
  knownTags: readonly KnownTag[]
}

export function createSession(graph: Graph, idleMs: number, knownTags: readonly KnownTag[]): Session {
  return { pulls: [], idleMs, read: createContentsReader(graph), knownTags }
}

/** Pulls that still take facts at this time, oldest first. */
export function openPulls(session: Session, timeMs: number): Pull[] {
  return session.pulls.filter((pull) => !isClosedAt(pull, timeMs, session.idleMs))
}

/**
 * Of pulls that all fit, those that hold facts of the same token, if any do: a token is stronger than any guess
 * (10.1). containerd's first GET brings a token that no pull holds; then all are left to choose from. To be asked
 * last: were it to rule out pulls before it is known which of them fit, a pull that is finished and gone in one run
 * would have ruled out others in the run before, and facts would change their pull.
 */
export function preferToken(fitting: Pull[], fact: Fact): Pull[] {
  const same = fitting.filter((pull) => sharesToken(pull, fact))
  return same.length > 0 ? same : fitting
}

/** Whether a fact may join by guess alone: never a pull that another token already fetched for. */
export function mayBelong(pull: Pull, fact: Fact): boolean {
  if (fact.context.session_method !== 'token') return true
  return sharesToken(pull, fact) || isHeadOnly(pull)
}

export function sharesToken(pull: Pull, fact: Fact): boolean {
  return isTokenPull(pull) && pull.sessionIds.has(fact.sessionId)
}

export function startPull(session: Session, origin: Origin): Pull {
  const pull = createPull(origin)
  session.pulls.push(pull)
  return pull
}

/** Is the digest the pull's own, or one of its manifests? */
export function isAbout(pull: Pull, digest: string): boolean {
  return pull.digest === digest || pull.subject === digest || manifestUse(pull, digest) !== null
}

/** Which facts of a waiting pull a root takes: lists always, the rest if they speak of the same image. */
function belongs(root: Pull, waiting: Pull, fact: Fact): boolean {
  if (waiting.origin === 'lists') return waiting.subject === null || isAbout(root, waiting.subject)
  if (waiting.origin === 'attached') return waiting.subject !== null && isAbout(root, waiting.subject)
  return fact.digest !== null && root.contents.some((contents) => contents.blobs.has(fact.digest ?? ''))
}

/** 10.1: what came without a root joins it when the root arrives; clocks of two nodes differ by seconds. */
export function takeWaiting(session: Session, root: Pull, timeMs: number): void {
  for (const waiting of openPulls(session, timeMs)) {
    if (waiting === root || waiting.origin === 'root') continue
    if (waiting.origin === 'attached' && root.origin !== 'root') continue
    // Each blob by its own age: others that waited with it may be finished and gone in a later run.
    const fresh = (fact: Fact) => waiting.origin !== 'orphan' || endOf(fact) + session.idleMs >= timeMs
    const taken = waiting.facts.filter((fact) => fresh(fact) && belongs(root, waiting, fact))
    if (taken.length === 0) continue
    const left = waiting.facts.filter((fact) => !taken.includes(fact))
    for (const fact of taken) addFact(root, fact)
    for (const contents of waiting.contents) if (left.length === 0) root.contents.push(contents)
    const at = session.pulls.indexOf(waiting)
    session.pulls.splice(at, 1)
    if (left.length === 0) continue
    const rest = createPull(waiting.origin)
    for (const fact of left) addFact(rest, fact)
    session.pulls.splice(at, 0, rest)
  }
}

export function setRootDigest(session: Session, pull: Pull, digest: string, timeMs: number): void {
  if (pull.digest === digest) return
  resolveRoot(pull, digest, session.read)
  takeWaiting(session, pull, timeMs)
}
