/**
 * To which pull a manifest request belongs, or whether it is the root of a new one (10.1, 10.3-1, 2, 3, 9, 16).
 */
import type { Fact } from '../types.ts'
import { takeEarlier } from './earlier.ts'
import { judge } from './kind.ts'
import { findNewest, findOldest, newer, type Test } from './line.ts'
import {
  fetchedPlatforms,
  hasOnlyRootFacts,
  hasUnknownContents,
  isHeadOnly,
  isTokenPull,
  type Pull,
} from './pull.ts'
import { addFact, joinContents } from './pull-facts.ts'
import { findLikeliest, likelier } from './recency.ts'
import { endOf, isAnswered, retryWindowMs } from './request.ts'
import { awaitsDigest, awaitsRoot, isAtRoot, isRetriedBy, isRootCut, rootTransfer } from './root-lines.ts'
import {
  isOpen,
  type KnownTag,
  mayBelong,
  preferToken,
  type Session,
  settlePull,
  sharesToken,
  startPull,
} from './session.ts'
import {
  isAbout,
  isChild,
  isManifestCut,
  isOutstanding,
  isRunning,
  type ManifestShelf,
  openManifestShelf,
  openSubjectShelf,
} from './shelf.ts'
import { isRunningAt } from './transfer.ts'
import { setRootDigest, takeWaiting } from './waiting.ts'

/** `docker manifest inspect` asks for its manifest twice, with a token each (Captured on the wire). */
const repeatingTool = 'docker-cli'

const any = (): boolean => true

function findRetried(session: Session, fact: Fact): Pull | undefined {
  const { retriedByGet, retriedByHead } = session.rootLines
  const lines = fact.method === 'GET' ? retriedByGet : retriedByHead
  const awaits = (pull: Pull) => {
    const failure = pull.rootFailure
    if (failure === null || pull.reference !== fact.reference) return false
    if (!isRetriedBy(fact.method, failure)) return false
    return fact.time - endOf(failure) <= retryWindowMs(failure) && isOpen(session, pull)
  }
  return preferToken(session, fact, (may) =>
    findLikeliest(session.recency, lines.get(fact.reference), awaits, may),
  )
}

/** GET of a tag that was fetched already and led nowhere yet, or was cut off: the same operation asks again. */
function findRepeatedRoot(session: Session, fact: Fact): Pull | undefined {
  const { alone, cut } = session.rootLines
  const isOfTag = (pull: Pull) => pull.reference === fact.reference && isOpen(session, pull)
  const isAlone = (pull: Pull) => isOfTag(pull) && hasOnlyRootFacts(pull)
  const wasCut = (pull: Pull) => isOfTag(pull) && isRootCut(pull)
  const hasEnded = (pull: Pull) => {
    const transfer = rootTransfer(pull)
    return transfer !== null && !isRunningAt(transfer, fact.time)
  }
  const asksTwice = fact.context.client.tool === repeatingTool
  const mayShare = fact.context.session_method === 'token' || session.isMixed
  return preferToken(session, fact, (may) =>
    likelier(
      session.recency,
      findLikeliest(session.recency, cut.get(fact.reference), wasCut, (pull) => may(pull) && hasEnded(pull)),
      asksTwice || mayShare
        ? findLikeliest(
            session.recency,
            alone.get(fact.reference),
            isAlone,
            (pull) => may(pull) && (asksTwice || sharesToken(pull, fact)),
          )
        : undefined,
    ),
  )
}

function findByTag(session: Session, fact: Fact): Pull | undefined {
  const retried = findRetried(session, fact)
  if (retried !== undefined || fact.method === 'HEAD') return retried
  const isChecked = (pull: Pull) =>
    pull.reference === fact.reference && isOpen(session, pull) && isHeadOnly(pull) && pull.resolved
  const line = session.rootLines.checked.get(fact.reference)
  return (
    preferToken(session, fact, (may) => findLikeliest(session.recency, line, isChecked, may)) ??
    findRepeatedRoot(session, fact)
  )
}

/** The root's own GET by digest: of one that resolved to it, or of one whose answer did not say to what. */
function findAwaiting(session: Session, fact: Fact, digest: string): Pull | undefined {
  const { awaited, unnamed } = session.rootLines
  const awaits = (pull: Pull) => isOpen(session, pull) && pull.digest === digest && awaitsRoot(pull)
  const isNext = (pull: Pull) => isAtRoot(pull) || sharesToken(pull, fact)
  const isUnnamed = (pull: Pull) => isOpen(session, pull) && awaitsDigest(pull)
  return (
    preferToken(session, fact, (may) =>
      findLikeliest(session.recency, awaited.get(digest), awaits, (pull) => may(pull) && isNext(pull)),
    ) ??
    preferToken(session, fact, (may) =>
      findLikeliest(session.recency, unnamed, isUnnamed, (pull) => may(pull) && mayBelong(pull, fact)),
    )
  )
}

function findListed(session: Session, shelf: ManifestShelf, fact: Fact): Pull | undefined {
  const lists = (pull: Pull) => isOpen(session, pull) && isChild(pull, shelf.digest)
  return preferToken(session, fact, (may) => findLikeliest(session.recency, shelf.listed, lists, may))
}

function findChild(session: Session, shelf: ManifestShelf, fact: Fact): Pull | undefined {
  const lacks = (pull: Pull) => isOpen(session, pull) && isOutstanding(pull, shelf.digest)
  const isFresh = (pull: Pull) => lacks(pull) && fetchedPlatforms(pull).length === 0
  // Who has not fetched the index yet may have it from an earlier pull, but more likely fetches it first.
  const isRead = (pull: Pull) => !isHeadOnly(pull)
  return preferToken(
    session,
    fact,
    // Most clients fetch one platform: who has none yet is the likelier one.
    (may) =>
      findLikeliest(session.recency, shelf.fresh, isFresh, (pull) => may(pull) && isRead(pull)) ??
      findLikeliest(session.recency, shelf.fresh, isFresh, may) ??
      findLikeliest(session.recency, shelf.outstanding, lacks, may),
  )
}

/** The same digest again: one pull's repetition with one token or after a cut, else another client's (10.3-1). */
function findRepeated(session: Session, shelf: ManifestShelf, fact: Fact): Pull | undefined {
  const { digest } = shelf
  const owns = (pull: Pull) => isOpen(session, pull) && isTokenPull(pull) && pull.transfers.has(digest)
  const wasCut = (pull: Pull) => isOpen(session, pull) && isManifestCut(pull, digest)
  return newer(
    findNewest(shelf.owned, owns, (pull) => sharesToken(pull, fact)),
    findNewest(shelf.cut, wasCut, (pull) => !isRunning(pull, digest, fact.time)),
  )
}

function findSubject(session: Session, digest: string, subject: string | null): Pull | undefined {
  if (subject === null || session.read(digest).manifests.get(digest)?.role !== 'attached') return undefined
  const speaks = (pull: Pull) => isOpen(session, pull) && isAbout(pull, subject)
  return findNewest(openSubjectShelf(session, subject).about, speaks, any)
}

/** The newest pull of which it is not known what it leads to. */
export function findUnknown(session: Session, fact: Fact, fits: Test): Pull | undefined {
  const isUnknown = (pull: Pull) => isOpen(session, pull) && hasUnknownContents(pull)
  return preferToken(session, fact, (may) =>
    findNewest(session.unknown, isUnknown, (pull) => may(pull) && fits(pull) && mayBelong(pull, fact)),
  )
}

function findByDigest(
  session: Session,
  fact: Fact,
  digest: string,
  subject: string | null,
): Pull | undefined {
  const retried = findRetried(session, fact)
  if (retried !== undefined) return retried
  const shelf = openManifestShelf(session, digest)
  if (fact.method === 'HEAD') {
    return findListed(session, shelf, fact) ?? findSubject(session, digest, subject)
  }
  const isIndex = session.read(digest).manifests.get(digest)?.role === 'index'
  return (
    findAwaiting(session, fact, digest) ??
    findChild(session, shelf, fact) ??
    findRepeated(session, shelf, fact) ??
    findSubject(session, digest, subject) ??
    (isIndex ? undefined : findUnknown(session, fact, any))
  )
}

/** The tag that the client asked for last. */
function latest(a: KnownTag, b: KnownTag): KnownTag {
  if (a.endMs !== b.endMs) return a.endMs > b.endMs ? a : b
  return a.tag <= b.tag ? a : b
}

/** A check of the same digest by the same client, not long ago: its tag is what the pull by digest is about. */
function inferTag(session: Session, fact: Fact, digest: string): string | null {
  const known = session.client.knownTags.get(digest) ?? []
  const over: KnownTag[] = []
  const open: KnownTag[] = []
  // Most are over, and need not be looked at again.
  const isCheck = (pull: Pull) => {
    const { tag, endMs } = pull
    if (tag === null || pull.digest !== digest || judge(pull).kind !== 'check') return false
    const isStill = isOpen(session, pull)
    const check = { tag, digest, endMs }
    if (isStill) open.push(check)
    else over.push(check)
    return isStill
  }
  findOldest(session.rootLines.checks.get(digest), isCheck, () => false)
  if (over.length > 0) {
    known.push(over.reduce(latest))
    session.client.knownTags.set(digest, known)
  }
  const fresh = [...known, ...open].filter(
    ({ endMs }) => endMs <= fact.time && fact.time - endMs <= session.idleMs,
  )
  return fresh.length === 0 ? null : fresh.reduce(latest).tag
}

function startRoot(session: Session, fact: Fact, tag: string | null): Pull {
  const pull = startPull(session, 'root')
  pull.reference = fact.reference
  pull.tag = tag
  if (tag !== null) pull.tagSource = 'requested'
  else if (fact.method === 'GET' && fact.reference !== null) {
    pull.tag = inferTag(session, fact, fact.reference)
    if (pull.tag !== null) pull.tagSource = 'inferred'
  }
  takeWaiting(session, pull)
  return pull
}

/** Joins a manifest request by tag (`tag` set) or by digest. */
export function joinManifest(session: Session, fact: Fact, tag: string | null, subject: string | null): void {
  const digest = tag === null ? fact.reference : null
  const found = digest === null ? findByTag(session, fact) : findByDigest(session, fact, digest, subject)
  const pull = found ?? startRoot(session, fact, tag)
  const resolved = fact.digest ?? digest
  if (isAnswered(fact) && resolved !== null) {
    if (pull.origin === 'root' && (pull.reference === fact.reference || awaitsDigest(pull))) {
      if (pull.digest === null || tag !== null) setRootDigest(session, pull, resolved)
    }
    joinContents(pull, session.read(resolved))
  }
  addFact(pull, fact)
  if (found === undefined) takeEarlier(session, pull, fact)
  settlePull(session, pull, fact)
}
