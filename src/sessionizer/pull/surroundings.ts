/**
 * What a pull's event takes from other pulls of its session: failed attempts before it, and its batch.
 */
import type { PackageEvent } from '../../record/events.ts'
import { isClosedAt } from './closing.ts'
import { judge } from './kind.ts'
import { hashId, type Surroundings } from './package-event.ts'
import { isRootRequest, isTokenPull, type Pull } from './pull.ts'

/** CONTRACT 7, `attempts`: "within the 10 minutes before". */
const attemptsMs = 600_000

/** Keeps its token over many builds (0.5): pulls that share it were not asked for together. */
const sharingTool = 'buildkit'

/** What is asked of an event that an earlier run made. */
export type EarlierEvent = Pick<
  PackageEvent,
  'kind' | 'session_method' | 'session_ids' | 'started_at' | 'ended_at' | 'tag' | 'digest'
>

/**
 * What other sessions tell of this one's client and repository, as far as the caller remembers it (`memory/`). Answers
 * must depend on nothing that began after the time asked about.
 */
export type OtherSessions = {
  /** See `TagHistory`. */
  tagAt?(digest: string, timeMs: number): string | null
  /** See `AttemptHistory`. */
  failuresBefore?(tag: string, timeMs: number, besides: ReadonlySet<string>): number
}

/** One pull as others see it, from this run or an earlier one. */
type Neighbour = {
  tag: string | null
  startMs: number
  failed: boolean
  token: boolean
  /** When its tag was first known to be asked for with the token of each of its sessions. */
  sessions: ReadonlyMap<string, number>
}

/** Not when the pull began: what waited for its root is older, and it can go on with another's token. */
function sessionStarts(pull: Pull): Map<string, number> {
  const rootMs = pull.facts.find((fact) => isRootRequest(pull, fact))?.time ?? 0
  const starts = new Map<string, number>()
  for (const { sessionId, time } of pull.facts) {
    starts.set(sessionId, Math.max(rootMs, Math.min(time, starts.get(sessionId) ?? time)))
  }
  return starts
}

function ofPull(pull: Pull): Neighbour {
  return {
    // As `traceOf` keeps it: an inferred tag was not asked for.
    tag: pull.tagSource === 'requested' ? pull.tag : null,
    startMs: pull.startMs,
    failed: pull.tag !== null && judge(pull).kind === 'failed',
    token: isTokenPull(pull),
    sessions: sessionStarts(pull),
  }
}

function ofEvent(event: EarlierEvent): Neighbour {
  const startMs = Date.parse(event.started_at)
  return {
    tag: event.tag,
    startMs,
    failed: event.kind === 'failed',
    token: event.session_method === 'token',
    // What is over took part before that which is still open now is over.
    sessions: new Map(event.session_ids.map((id) => [id, startMs])),
  }
}

/** Start times of failed attempts by tag, in order. */
type Failures = ReadonlyMap<string, readonly number[]>

/** How many of the times, which are in order, lie before this one. */
function countBefore(times: readonly number[], timeMs: number): number {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((times[middle] as number) < timeMs) low = middle + 1
    else high = middle
  }
  return low
}

function collectFailures(neighbours: readonly Neighbour[]): Failures {
  const failures = new Map<string, number[]>()
  for (const { tag, failed, startMs } of neighbours) {
    if (!failed || tag === null) continue
    const times = failures.get(tag)
    if (times === undefined) failures.set(tag, [startMs])
    else times.push(startMs)
  }
  for (const times of failures.values()) times.sort((a, b) => a - b)
  return failures
}

/** 1 plus the failed attempts for the same tag before (10.3-9). */
function countAttempts(pull: Pull, failures: Failures): number {
  const times = pull.tag === null ? undefined : failures.get(pull.tag)
  if (times === undefined) return 1
  return 1 + countBefore(times, pull.startMs) - countBefore(times, pull.startMs - attemptsMs)
}

/** Of one token: when each of the two tags that were asked for first was asked for first. */
type FirstTags = { tag: string; startMs: number }[]

function addFirst(tags: FirstTags, tag: string, startMs: number): void {
  const known = tags.find((first) => first.tag === tag)
  if (known === undefined) tags.push({ tag, startMs })
  else known.startMs = Math.min(known.startMs, startMs)
  tags.sort((a, b) => a.startMs - b.startMs || (a.tag < b.tag ? -1 : 1))
  tags.length = Math.min(tags.length, 2)
}

type Batches = ReadonlyMap<string, FirstTags>

function collectBatches(neighbours: readonly Neighbour[]): Batches {
  const batches = new Map<string, FirstTags>()
  for (const { tag, token, sessions } of neighbours) {
    if (!token || tag === null) continue
    for (const [id, startMs] of sessions) {
      const tags = batches.get(id) ?? []
      addFirst(tags, tag, startMs)
      batches.set(id, tags)
    }
  }
  return batches
}

/**
 * `docker pull -a`: one token, several tags (10.3-2). The id is the same for all of them, whenever they finish. A tag
 * that is asked for when the pull is over does not count: whether it is known then is a matter of chance.
 */
function batchOf(pull: Pull, batches: Batches, idleMs: number): string | null {
  const token = pull.facts.find((fact) => fact.class === 'manifest')?.sessionId
  if (token === undefined || pull.tag === null || !isTokenPull(pull)) return null
  if (pull.facts[0]?.context.client.tool === sharingTool) return null
  const other = batches.get(token)?.find(({ tag }) => tag !== pull.tag)
  return other === undefined || isClosedAt(pull, other.startMs, idleMs) ? null : hashId('batch', [token])
}

/** A pull or check by digest: the tag is asked for at the time of its start. */
function tagOf(pull: Pull, others: OtherSessions): string | null {
  if (pull.origin !== 'root' || pull.tag !== null || pull.digest === null) return null
  return others.tagAt?.(pull.digest, pull.startMs) ?? null
}

function failuresElsewhere(pull: Pull, others: OtherSessions): number {
  return pull.tag === null ? 0 : (others.failuresBefore?.(pull.tag, pull.startMs, pull.sessionIds) ?? 0)
}

export function createSurroundings(
  pulls: readonly Pull[],
  earlier: readonly EarlierEvent[],
  idleMs: number,
  others: OtherSessions,
): (pull: Pull) => Surroundings {
  const neighbours = [...earlier.map(ofEvent), ...pulls.map(ofPull)]
  const failures = collectFailures(neighbours)
  const batches = collectBatches(neighbours)
  return (pull) => ({
    attempts: countAttempts(pull, failures) + failuresElsewhere(pull, others),
    batchId: batchOf(pull, batches, idleMs),
    tag: tagOf(pull, others),
  })
}
