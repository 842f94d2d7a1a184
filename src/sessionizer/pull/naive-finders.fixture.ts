/**
 * For naive-join.fixture.ts: to which of all open pulls a request belongs, found out from all of their facts.
 */
import type { Fact, Graph } from '../types.ts'
import type { Contents } from './contents.ts'
import { isComplete } from './delivery.ts'
import {
  blobUses,
  isDelivered,
  isDownload,
  isRootRequest,
  isTokenPull,
  manifestRole,
  manifestUse,
  type Pull,
} from './pull.ts'
import { coversRange } from './ranges.ts'
import { compareFacts, endOf, isAnswered, isRetryable, machineOf, retryWindowMs } from './request.ts'
import type { KnownTag } from './session.ts'
import { isFinished, isRunningAt } from './transfer.ts'

export type Naive = {
  pulls: Pull[]
  open: Pull[]
  graph: Graph
  idleMs: number
  read: (digest: string) => Contents
  knownTags: readonly KnownTag[]
  /** What was joined to each pull by itself, not with others that waited. */
  joined: Map<Pull, Fact[]>
}

export type Test = (pull: Pull) => boolean

function isHeadOnly(pull: Pull): boolean {
  return pull.origin === 'root' && !pull.facts.some((fact) => fact.method === 'GET' && isDownload(fact))
}

function isOpenAt(pull: Pull, timeMs: number, idleMs: number): boolean {
  const waitMs = isHeadOnly(pull) ? Math.min(10_000, idleMs) : idleMs
  if (pull.endMs + waitMs < timeMs) return false
  if (pull.endMs + 5000 > timeMs || !isTokenPull(pull)) return true
  return pull.facts.some((fact) => fact.heartbeat) || !isComplete(pull)
}

/** Of the same machine, when the fact begins. */
export function openPulls({ pulls, idleMs }: Naive, fact: Fact): Pull[] {
  const isOfMachine = ([first]: readonly Fact[]) =>
    first === undefined || machineOf(first) === machineOf(fact)
  return pulls.filter((pull) => isOpenAt(pull, fact.time, idleMs) && isOfMachine(pull.facts))
}

export function sharesToken(pull: Pull, fact: Fact): boolean {
  return isTokenPull(pull) && pull.sessionIds.has(fact.sessionId)
}

export function mayBelong(pull: Pull, fact: Fact): boolean {
  return fact.context.session_method !== 'token' || sharesToken(pull, fact) || isHeadOnly(pull)
}

function preferToken(fitting: Pull[], fact: Fact): Pull[] {
  const ofToken = fitting.filter((pull) => sharesToken(pull, fact))
  return ofToken.length > 0 ? ofToken : fitting
}

type Moment = [timeMs: number, isStart: number, index: number]

function compareMoments(a: Moment, b: Moment): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2]
}

/** When it asked, or got an answer, last. */
function lastMoment({ joined }: Naive, pull: Pull, facts: readonly Fact[], nowMs: number): Moment {
  const moments = (joined.get(pull) ?? []).flatMap((fact): Moment[] => {
    const index = facts.indexOf(fact)
    const start: Moment = [fact.time, 1, index]
    return fact.heartbeat || endOf(fact) > nowMs ? [start] : [start, [endOf(fact), 0, index]]
  })
  return moments.sort(compareMoments).at(-1) ?? [0, 0, 0]
}

function likeliestOf(naive: Naive, fact: Fact, equal: readonly Pull[]): Pull | undefined {
  const facts = [...naive.joined.values()].flat().sort(compareFacts)
  const moments = equal.map((pull) => ({ pull, moment: lastMoment(naive, pull, facts, fact.time) }))
  const active = moments.find(({ moment }) => moment[0] >= fact.time - 1000)
  return active?.pull ?? moments.sort((a, b) => compareMoments(a.moment, b.moment)).at(-1)?.pull
}

function likeliest(naive: Naive, fact: Fact, fits: Test): Pull | undefined {
  return likeliestOf(naive, fact, preferToken(naive.open.filter(fits), fact))
}

export function newest({ open }: Naive, fact: Fact, fits: Test): Pull | undefined {
  return preferToken(open.filter(fits), fact).at(-1)
}

export function isAbout(pull: Pull, digest: string): boolean {
  return pull.digest === digest || pull.subject === digest || manifestUse(pull, digest) !== null
}

export function isUnknown(pull: Pull): boolean {
  if (pull.origin === 'root' && !pull.resolved) return false
  if (pull.origin === 'root' && pull.digest === null) return true
  const root = pull.contents[0]
  if (root !== undefined && !root.manifests.get(root.root)?.known) return true
  return [...pull.transfers].some(
    ([digest, { class: type, answered }]) =>
      type === 'manifest' && answered && !manifestUse(pull, digest)?.known,
  )
}

function fitOfBlob(pull: Pull, fact: Fact, digest: string): number {
  const transfer = pull.transfers.get(digest)
  if (transfer !== undefined) {
    if (isRunningAt(transfer, fact.time)) return fact.offset > 0 ? 0 : 3
    if (isDelivered(pull, digest)) return 3
    const covered = coversRange(transfer.ranges, fact.offset, fact.offset + 1)
    return fact.offset > 0 && !covered ? 0 : 1
  }
  const uses = blobUses(pull, digest)
  const isFetched = (manifest: string) => pull.transfers.get(manifest)?.answered === true
  if (uses.some(({ manifest }) => manifest === pull.digest || isFetched(manifest))) return 1
  if (uses.length > 0) return 2
  return isUnknown(pull) && mayBelong(pull, fact) ? 4 : 5
}

export function findForBlob(naive: Naive, fact: Fact, digest: string): Pull | undefined {
  const { open } = naive
  const fitting = preferToken(
    open.filter((pull) => fitOfBlob(pull, fact, digest) < 5),
    fact,
  )
  const best = Math.min(...fitting.map((pull) => fitOfBlob(pull, fact, digest)))
  const equal = fitting.filter((pull) => fitOfBlob(pull, fact, digest) === best)
  return (
    (best > 2 ? equal.at(-1) : likeliestOf(naive, fact, equal)) ??
    open.findLast((pull) => pull.reference === digest && pull.rootFailure !== null) ??
    open.findLast((pull) => pull.origin === 'orphan' && mayBelong(pull, fact))
  )
}

function isRetry(pull: Pull, fact: Fact): boolean {
  const failure = pull.rootFailure
  if (failure === null || fact.time - endOf(failure) > retryWindowMs(failure)) return false
  if (failure.method === 'HEAD' && fact.method === 'GET') return true
  return failure.method === fact.method && isRetryable(failure)
}

function isAlone(pull: Pull): boolean {
  return pull.facts.every((fact) => isRootRequest(pull, fact) || fact.class === 'tags')
}

function wasCut(pull: Pull, digest: string | null, fact: Fact): boolean {
  const transfer = pull.transfers.get(digest ?? fact.reference ?? '')
  return transfer?.answered === true && !isRunningAt(transfer, fact.time) && !isFinished(transfer, null)
}

export function findByTag(naive: Naive, fact: Fact): Pull | undefined {
  const find = (fits: Test) =>
    likeliest(
      naive,
      fact,
      (pull) => pull.origin === 'root' && pull.reference === fact.reference && fits(pull),
    )
  const retried = find((pull) => isRetry(pull, fact))
  if (retried !== undefined || fact.method === 'HEAD') return retried
  const asksTwice = fact.context.client.tool === 'docker-cli'
  return (
    find((pull) => isHeadOnly(pull) && pull.resolved) ??
    find(
      (pull) => wasCut(pull, pull.digest, fact) || (isAlone(pull) && (asksTwice || sharesToken(pull, fact))),
    )
  )
}

function awaitsRoot(pull: Pull, digest: string, by: Fact): boolean {
  if (pull.origin !== 'root' || pull.digest !== digest) return false
  const isGet = (fact: Fact) =>
    fact.class === 'manifest' && fact.method === 'GET' && fact.reference === digest && isAnswered(fact)
  return (
    !pull.facts.some(isGet) &&
    (isHeadOnly(pull) || pull.rootFailure !== null || isAlone(pull) || sharesToken(pull, by))
  )
}

function hasNoPlatform(pull: Pull): boolean {
  return ![...pull.transfers].some(
    ([digest, transfer]) =>
      transfer.class === 'manifest' && transfer.answered && manifestRole(pull, digest) === 'platform',
  )
}

export function awaitsDigest(pull: Pull): boolean {
  return pull.origin === 'root' && pull.resolved && pull.digest === null
}

export function findByDigest(naive: Naive, fact: Fact, digest: string): Pull | undefined {
  const { open, read, graph } = naive
  const subject = graph.get(fact.digest ?? digest)?.subject ?? null
  const role = read(digest).manifests.get(digest)?.role
  const ofSubject = () =>
    subject === null || role !== 'attached' ? undefined : open.findLast((pull) => isAbout(pull, subject))
  const retried = likeliest(naive, fact, (pull) => pull.reference === digest && isRetry(pull, fact))
  if (retried !== undefined) return retried
  const isChild: Test = (pull) => pull.digest !== digest && manifestRole(pull, digest) !== 'unknown'
  if (fact.method === 'HEAD') return likeliest(naive, fact, isChild) ?? ofSubject()
  const isOutstanding: Test = (pull) => isChild(pull) && pull.transfers.get(digest)?.answered !== true
  const parents = preferToken(open.filter(isOutstanding), fact)
  const fresh = parents.filter(hasNoPlatform)
  return (
    likeliest(naive, fact, (pull) => awaitsRoot(pull, digest, fact)) ??
    likeliest(naive, fact, (pull) => awaitsDigest(pull) && mayBelong(pull, fact)) ??
    likeliestOf(
      naive,
      fact,
      fresh.filter((pull) => !isHeadOnly(pull)),
    ) ??
    likeliestOf(naive, fact, fresh) ??
    likeliestOf(naive, fact, parents) ??
    open.findLast(
      (pull) => pull.transfers.has(digest) && (sharesToken(pull, fact) || wasCut(pull, digest, fact)),
    ) ??
    ofSubject() ??
    (role === 'index' ? undefined : newest(naive, fact, (pull) => isUnknown(pull) && mayBelong(pull, fact)))
  )
}
