/**
 * To which pull a manifest request belongs, or whether it is the root of a new one (10.1, 10.3-1, 2, 3, 9, 16).
 */
import type { Fact } from '../types.ts'
import { judge } from './kind.ts'
import {
  addFact,
  fetchedPlatforms,
  hasUnknownContents,
  isHeadOnly,
  isRootRequest,
  joinContents,
  manifestRole,
  type Pull,
} from './pull.ts'
import { endOf, isAnswered, isRetryable, retryWindowMs } from './request.ts'
import {
  isAbout,
  mayBelong,
  openPulls,
  preferToken,
  type Session,
  setRootDigest,
  sharesToken,
  startPull,
  takeWaiting,
} from './session.ts'
import { isFinished, isRunningAt } from './transfer.ts'

/** `docker manifest inspect` asks for its manifest twice, with a token each (Captured on the wire). */
const repeatingTool = 'docker-cli'

/** The root was refused in a way that clients answer by asking again: the same request, or GET after HEAD (1.2). */
function awaitsRetry(pull: Pull, fact: Fact): boolean {
  const failure = pull.rootFailure
  if (failure === null || fact.time - endOf(failure) > retryWindowMs(failure)) return false
  if (failure.method === 'HEAD' && fact.method === 'GET') return true
  return failure.method === fact.method && isRetryable(failure)
}

function onlyRootFacts(pull: Pull): boolean {
  return pull.facts.every((fact) => isRootRequest(pull, fact) || fact.class === 'tags')
}

/** The GET of this root was cut off, and ended before it was asked for again. */
function wasCutOff(pull: Pull, digest: string | null, fact: Fact): boolean {
  const transfer = pull.transfers.get(digest ?? fact.reference ?? '')
  if (transfer === undefined || !transfer.answered) return false
  return !isRunningAt(transfer, fact.time) && !isFinished(transfer, null)
}

/** GET of a tag that was fetched already and led nowhere yet: the same operation asks again. */
function repeatsRoot(pull: Pull, fact: Fact): boolean {
  if (wasCutOff(pull, pull.digest, fact)) return true
  if (!onlyRootFacts(pull)) return false
  return fact.context.client.tool === repeatingTool || sharesToken(pull, fact)
}

function findByTag(session: Session, fact: Fact): Pull | undefined {
  const pulls = openPulls(session, fact.time).filter(
    (pull) => pull.origin === 'root' && pull.reference === fact.reference,
  )
  const oldest = (fits: (pull: Pull) => boolean) => preferToken(pulls.filter(fits), fact)[0]
  const retried = oldest((pull) => awaitsRetry(pull, fact))
  if (retried !== undefined || fact.method === 'HEAD') return retried
  return oldest((pull) => isHeadOnly(pull) && pull.resolved) ?? oldest((pull) => repeatsRoot(pull, fact))
}

/** The root's own GET by digest is still to come: after a HEAD, or after a tag whose answer led nowhere yet. */
function awaitsRoot(pull: Pull, digest: string): boolean {
  if (pull.origin !== 'root' || pull.digest !== digest) return false
  const fetched = pull.facts.some(
    (fact) =>
      fact.class === 'manifest' && fact.method === 'GET' && fact.reference === digest && isAnswered(fact),
  )
  if (fetched) return false
  return isHeadOnly(pull) || pull.rootFailure !== null || onlyRootFacts(pull)
}

/** The root was answered without saying its digest; the next manifest by digest is what it is. */
function awaitsDigest(pull: Pull): boolean {
  return pull.origin === 'root' && pull.resolved && pull.digest === null
}

function isOutstanding(pull: Pull, digest: string): boolean {
  return pull.transfers.get(digest)?.answered !== true
}

function isChild(pull: Pull, digest: string): boolean {
  return pull.digest !== digest && manifestRole(pull, digest) !== 'unknown'
}

function findChild(open: Pull[], fact: Fact, digest: string): Pull | undefined {
  const fitting = open.filter((pull) => isChild(pull, digest) && isOutstanding(pull, digest))
  const parents = preferToken(fitting, fact)
  // Most clients fetch one platform: who has none yet is the likelier one.
  return parents.find((pull) => fetchedPlatforms(pull).length === 0) ?? parents[0]
}

function findSubject(
  session: Session,
  pulls: Pull[],
  digest: string,
  subject: string | null,
): Pull | undefined {
  if (subject === null || session.read(digest).manifests.get(digest)?.role !== 'attached') return undefined
  return pulls.findLast((pull) => isAbout(pull, subject))
}

function findUnknown(session: Session, open: Pull[], fact: Fact, digest: string): Pull | undefined {
  if (session.read(digest).manifests.get(digest)?.role === 'index') return undefined
  return preferToken(
    open.filter((pull) => hasUnknownContents(pull) && mayBelong(pull, fact)),
    fact,
  ).at(-1)
}

/** The same digest again: one pull's repetition with one token or after a cut, else another client's (10.3-1). */
function findRepeated(pulls: Pull[], fact: Fact, digest: string): Pull | undefined {
  return pulls.findLast(
    (pull) => pull.transfers.has(digest) && (sharesToken(pull, fact) || wasCutOff(pull, digest, fact)),
  )
}

function findByDigest(
  session: Session,
  fact: Fact,
  digest: string,
  subject: string | null,
): Pull | undefined {
  const open = openPulls(session, fact.time)
  const oldest = (fits: (pull: Pull) => boolean) => preferToken(open.filter(fits), fact)[0]
  const retried = oldest((pull) => pull.reference === digest && awaitsRetry(pull, fact))
  if (retried !== undefined) return retried
  if (fact.method === 'HEAD') {
    return oldest((pull) => isChild(pull, digest)) ?? findSubject(session, open, digest, subject)
  }
  return (
    oldest((pull) => awaitsRoot(pull, digest)) ??
    oldest((pull) => awaitsDigest(pull) && mayBelong(pull, fact)) ??
    findChild(open, fact, digest) ??
    findRepeated(open, fact, digest) ??
    findSubject(session, open, digest, subject) ??
    findUnknown(session, open, fact, digest)
  )
}

/** A check of the same digest by the same client, not long ago: its tag is what the pull by digest is about. */
function inferTag(session: Session, fact: Fact, digest: string): string | null {
  const checks = [...session.knownTags]
  for (const { tag, digest: resolved, endMs } of session.pulls.filter(
    (pull) => judge(pull).kind === 'check',
  )) {
    if (tag !== null && resolved !== null) checks.push({ tag, digest: resolved, endMs })
  }
  const fresh = checks.filter(
    (check) =>
      check.digest === digest && check.endMs <= fact.time && fact.time - check.endMs <= session.idleMs,
  )
  fresh.sort((a, b) => b.endMs - a.endMs || (a.tag < b.tag ? -1 : 1))
  return fresh[0]?.tag ?? null
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
  takeWaiting(session, pull, fact.time)
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
      if (pull.digest === null || tag !== null) setRootDigest(session, pull, resolved, fact.time)
    }
    joinContents(pull, session.read(resolved))
  }
  addFact(pull, fact)
}
