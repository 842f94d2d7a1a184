/**
 * To which pull a blob request belongs (10.1 "Join", 10.3-1, 2, 10, 11).
 */
import type { Fact } from '../types.ts'
import { addFact, blobUses, hasUnknownContents, isDelivered, type Pull } from './pull.ts'
import { coversRange } from './ranges.ts'
import { mayBelong, openPulls, preferToken, type Session, startPull } from './session.ts'
import { isRunningAt } from './transfer.ts'

/** How well a blob fits a pull, best first. Equal ones: the oldest pull, but for the last two the newest. */
const fits = ['continues', 'outstanding', 'possible', 'repeated', 'unknown', 'none'] as const
type Fit = (typeof fits)[number]

/** Some manifest that uses the blob was fetched, or is the root itself. */
function isExpected(pull: Pull, digest: string): boolean {
  return blobUses(pull, digest).some(
    (use) => use.manifest === pull.digest || pull.transfers.get(use.manifest)?.answered === true,
  )
}

function fitOf(pull: Pull, fact: Fact, digest: string): Fit {
  const transfer = pull.transfers.get(digest)
  if (transfer !== undefined) {
    // Ranges side by side are one client's (10.3-11), whole blobs side by side are not.
    if (isRunningAt(transfer, fact.time)) return fact.offset > 0 ? 'continues' : 'repeated'
    if (isDelivered(pull, digest)) return 'repeated'
    const covered = coversRange(transfer.ranges, fact.offset, fact.offset + 1)
    return fact.offset > 0 && !covered ? 'continues' : 'outstanding'
  }
  if (isExpected(pull, digest)) return 'outstanding'
  // A child that was not fetched: the client may have had its manifest from an earlier pull.
  if (blobUses(pull, digest).length > 0) return 'possible'
  return hasUnknownContents(pull) && mayBelong(pull, fact) ? 'unknown' : 'none'
}

function findPull(session: Session, fact: Fact, digest: string): Pull | undefined {
  const rated = openPulls(session, fact.time).map((pull) => ({ pull, fit: fitOf(pull, fact, digest) }))
  const fitting = rated.filter((one) => one.fit !== 'none')
  const preferred = new Set(
    preferToken(
      fitting.map((one) => one.pull),
      fact,
    ),
  )
  for (const fit of fits) {
    const equal = fitting.filter((one) => one.fit === fit && preferred.has(one.pull))
    if (equal.length === 0) continue
    return fit === 'repeated' || fit === 'unknown' ? equal.at(-1)?.pull : equal[0]?.pull
  }
  return undefined
}

/** containerd asks for a digest among the blobs when no manifest has it (1.3). */
function findMissingRoot(session: Session, fact: Fact, digest: string): Pull | undefined {
  return openPulls(session, fact.time).findLast(
    (pull) => pull.reference === digest && pull.rootFailure !== null,
  )
}

function findOrphan(session: Session, fact: Fact): Pull | undefined {
  return openPulls(session, fact.time).findLast((pull) => pull.origin === 'orphan' && mayBelong(pull, fact))
}

export function joinBlob(session: Session, fact: Fact): void {
  const digest = fact.reference ?? fact.digest ?? ''
  const pull =
    findPull(session, fact, digest) ?? findMissingRoot(session, fact, digest) ?? findOrphan(session, fact)
  addFact(pull ?? startPull(session, 'orphan'), fact)
}
