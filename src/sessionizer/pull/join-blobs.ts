/**
 * To which pull a blob request belongs (10.1 "Join", 10.3-1, 2, 10, 11).
 */
import type { Fact } from '../types.ts'
import { findNewest, newer, type Test } from './line.ts'
import { hasUnknownContents, isDelivered, type Pull } from './pull.ts'
import { addFact } from './pull-facts.ts'
import { coversRange } from './ranges.ts'
import { findLikeliest, likelier } from './recency.ts'
import { isOpen, mayBelong, preferToken, type Session, settlePull, startPull } from './session.ts'
import { type BlobShelf, isCut, isPossible, isRunning, isWanted, openBlobShelf } from './shelf.ts'

const any = (): boolean => true

/** Of those that asked for the blob already, which continues with a range it does not have. */
function findContinued(session: Session, shelf: BlobShelf, fact: Fact, may: Test): Pull | undefined {
  const { digest } = shelf
  const runs = (pull: Pull) => isOpen(session, pull) && isRunning(pull, digest, fact.time)
  const wasCut = (pull: Pull) => isOpen(session, pull) && isCut(pull, digest, fact.time)
  const { recency } = session
  return likelier(
    recency,
    // Ranges side by side are one client's (10.3-11), whole blobs side by side are not.
    findLikeliest(recency, shelf.running, runs, may),
    findLikeliest(recency, shelf.cut, wasCut, (pull) => may(pull) && !isCovered(pull, digest, fact)),
  )
}

function isCovered(pull: Pull, digest: string, fact: Fact): boolean {
  return coversRange(pull.transfers.get(digest)?.ranges ?? [], fact.offset, fact.offset + 1)
}

function findOutstanding(session: Session, shelf: BlobShelf, fact: Fact, may: Test): Pull | undefined {
  const { digest } = shelf
  const wants = (pull: Pull) => isOpen(session, pull) && isWanted(pull, digest)
  const wasCut = (pull: Pull) => isOpen(session, pull) && isCut(pull, digest, fact.time)
  const again = (pull: Pull) => may(pull) && (fact.offset === 0 || isCovered(pull, digest, fact))
  const { recency } = session
  return likelier(
    recency,
    findLikeliest(recency, shelf.wanted, wants, may),
    findLikeliest(recency, shelf.cut, wasCut, again),
  )
}

function findRepeated(session: Session, shelf: BlobShelf, fact: Fact, may: Test): Pull | undefined {
  const { digest } = shelf
  const has = (pull: Pull) => isOpen(session, pull) && isDelivered(pull, digest)
  const runs = (pull: Pull) => isOpen(session, pull) && isRunning(pull, digest, fact.time)
  if (fact.offset > 0) {
    return findNewest(shelf.delivered, has, (pull) => may(pull) && !isRunning(pull, digest, fact.time))
  }
  return newer(findNewest(shelf.delivered, has, may), findNewest(shelf.running, runs, may))
}

/** Which pull a blob fits best. Equal ones: which was active last, but of repeats and guesses the newest. */
function findPull(session: Session, fact: Fact, digest: string): Pull | undefined {
  const shelf = openBlobShelf(session, digest)
  const fits = (pull: Pull) => isOpen(session, pull) && isPossible(pull, digest)
  const isUnknown = (pull: Pull) => isOpen(session, pull) && hasUnknownContents(pull)
  return preferToken(
    session,
    fact,
    (may) =>
      (fact.offset > 0 ? findContinued(session, shelf, fact, may) : undefined) ??
      findOutstanding(session, shelf, fact, may) ??
      findLikeliest(session.recency, shelf.possible, fits, may) ??
      findRepeated(session, shelf, fact, may) ??
      findNewest(session.unknown, isUnknown, (pull) => may(pull) && mayBelong(pull, fact)),
  )
}

/** containerd asks for a digest among the blobs when no manifest has it (1.3). */
function findMissingRoot(session: Session, digest: string): Pull | undefined {
  const hasFailed = (pull: Pull) => isOpen(session, pull) && pull.rootFailure !== null
  return findNewest(session.rootLines.failed.get(digest), hasFailed, any)
}

function findOrphan(session: Session, fact: Fact): Pull | undefined {
  const open = (pull: Pull) => isOpen(session, pull)
  return findNewest(session.orphans, open, (pull) => mayBelong(pull, fact))
}

export function joinBlob(session: Session, fact: Fact): void {
  const digest = fact.reference ?? fact.digest ?? ''
  const pull =
    findPull(session, fact, digest) ??
    findMissingRoot(session, digest) ??
    findOrphan(session, fact) ??
    startPull(session, 'orphan')
  addFact(pull, fact)
  settlePull(session, pull, fact)
}
