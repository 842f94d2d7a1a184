/**
 * What came without a root joins it when the root arrives (10.1); clocks of two nodes differ by seconds.
 */
import type { Fact } from '../types.ts'
import { findOldest, type Line } from './line.ts'
import type { Pull } from './pull.ts'
import { addContents, addFact, removeFacts, resolveRoot } from './pull-facts.ts'
import { endOf } from './request.ts'
import { isOpen, type Session, settlePull } from './session.ts'
import { isAbout } from './shelf.ts'

/** More waiting pulls are not tried one by one, but looked up by what the root is about. */
const manyWaiting = 16

/** Each blob by its own age: others that waited with it may be finished and gone in a later run. */
function isFresh(session: Session, fact: Fact): boolean {
  return endOf(fact) + session.idleMs >= session.nowMs
}

/** Blobs that the root has, of an orphan that can hold thousands. */
function findBlobs(session: Session, root: Pull, orphan: Pull): Set<Fact> {
  const found = new Set<Fact>()
  const waiting: ReadonlyMap<string, readonly Fact[]> = orphan.byDigest ?? new Map()
  const take = (facts: readonly Fact[]): void => {
    for (const fact of facts) if (isFresh(session, fact)) found.add(fact)
  }
  for (const { blobs } of root.contents) {
    if (blobs.size < waiting.size) {
      for (const digest of blobs.keys()) take(waiting.get(digest) ?? [])
    } else {
      for (const [digest, facts] of waiting) if (blobs.has(digest)) take(facts)
    }
  }
  return found
}

function takeBlobs(session: Session, root: Pull, orphan: Pull): void {
  const taken = findBlobs(session, root, orphan)
  if (taken.size === 0) return
  for (const fact of orphan.facts) if (taken.has(fact)) addFact(root, fact)
  const { contents } = orphan
  removeFacts(orphan, taken)
  if (orphan.taken) for (const one of contents) addContents(root, one)
  settlePull(session, orphan, null)
}

/** Lists of tags go along with any root, the rest if it speaks of the same image. */
function takeAll(root: Pull, waiting: Pull): void {
  const { subject } = waiting
  const fits = subject === null ? waiting.origin === 'lists' : isAbout(root, subject)
  if (!fits) return
  for (const fact of waiting.facts) addFact(root, fact)
  for (const contents of waiting.contents) addContents(root, contents)
  waiting.taken = true
}

function takeFrom(session: Session, root: Pull, waiting: Pull): void {
  if (waiting === root || (waiting.origin === 'attached' && root.origin !== 'root')) return
  if (waiting.origin === 'orphan') takeBlobs(session, root, waiting)
  else takeAll(root, waiting)
}

function lineUp(session: Session, line: Line, to: Set<Pull>): void {
  findOldest(
    line,
    (pull) => isOpen(session, pull),
    (pull) => {
      to.add(pull)
      return false
    },
  )
}

/** Those of which the root may take something. */
function findWaiting(session: Session, root: Pull): Set<Pull> {
  const found = new Set<Pull>()
  if (session.waiting.pulls.length - session.waiting.start <= manyWaiting) {
    lineUp(session, session.waiting, found)
    return found
  }
  lineUp(session, session.orphans, found)
  lineUp(session, session.tagLists, found)
  const { subjects } = session.logs
  const subjectsOf = (digest: string): void => {
    for (const pull of subjects.get(digest) ?? []) if (isOpen(session, pull)) found.add(pull)
  }
  if (root.subject !== null) subjectsOf(root.subject)
  for (const { manifests } of root.contents) {
    if (manifests.size < subjects.size) for (const digest of manifests.keys()) subjectsOf(digest)
    else for (const digest of subjects.keys()) if (manifests.has(digest)) subjectsOf(digest)
  }
  return found
}

export function takeWaiting(session: Session, root: Pull): void {
  let last = Number.NEGATIVE_INFINITY
  for (let found = findWaiting(session, root); found.size > 0; ) {
    const contents = root.contents.length
    for (const waiting of [...found].sort((a, b) => a.order - b.order)) {
      if (waiting.order <= last) continue
      last = waiting.order
      takeFrom(session, root, waiting)
      if (root.contents.length > contents) break
    }
    if (root.contents.length === contents) return
    // What came along speaks of more.
    found = findWaiting(session, root)
  }
}

export function setRootDigest(session: Session, pull: Pull, digest: string): void {
  if (pull.digest === digest) return
  resolveRoot(pull, digest, session.read)
  takeWaiting(session, pull)
}
