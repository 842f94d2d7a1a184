/**
 * What a pull's event takes from other pulls of its session: failed attempts before it, and its batch.
 */
import type { PackageEvent } from '../../record/events.ts'
import { judge } from './kind.ts'
import { hashId, type Surroundings } from './package-event.ts'
import { isTokenPull, type Pull } from './pull.ts'

/** CONTRACT 7, `attempts`: "within the 10 minutes before". */
const attemptsMs = 600_000

/** Keeps its token over many builds (0.5): pulls that share it were not asked for together. */
const sharingTool = 'buildkit'

/** What is asked of an event that an earlier run made. */
export type EarlierEvent = Pick<
  PackageEvent,
  'kind' | 'session_method' | 'session_ids' | 'started_at' | 'ended_at' | 'tag' | 'digest'
>

/** One pull as others see it, from this run or an earlier one. */
type Neighbour = {
  tag: string | null
  startMs: number
  failed: boolean
  token: boolean
  sessionIds: readonly string[]
}

function ofPull(pull: Pull): Neighbour {
  return {
    tag: pull.tag,
    startMs: pull.startMs,
    failed: pull.tag !== null && judge(pull).kind === 'failed',
    token: isTokenPull(pull),
    sessionIds: [...pull.sessionIds],
  }
}

function ofEvent(event: EarlierEvent): Neighbour {
  return {
    tag: event.tag,
    startMs: Date.parse(event.started_at),
    failed: event.kind === 'failed',
    token: event.session_method === 'token',
    sessionIds: event.session_ids,
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

/** Tags by token. */
type Batches = ReadonlyMap<string, ReadonlySet<string>>

function collectBatches(neighbours: readonly Neighbour[]): Batches {
  const batches = new Map<string, Set<string>>()
  for (const { tag, token, sessionIds } of neighbours) {
    if (!token || tag === null) continue
    for (const id of sessionIds) {
      const tags = batches.get(id)
      if (tags === undefined) batches.set(id, new Set([tag]))
      else tags.add(tag)
    }
  }
  return batches
}

/** `docker pull -a`: one token, several tags (10.3-2). The id is the same for all of them, whenever they finish. */
function batchOf(pull: Pull, batches: Batches): string | null {
  const token = pull.facts.find((fact) => fact.class === 'manifest')?.sessionId
  if (token === undefined || pull.tag === null || !isTokenPull(pull)) return null
  if (pull.facts[0]?.context.client.tool === sharingTool) return null
  const tags = batches.get(token)
  if (tags === undefined) return null
  return tags.size > 1 || !tags.has(pull.tag) ? hashId('batch', [token]) : null
}

export function createSurroundings(
  pulls: readonly Pull[],
  earlier: readonly EarlierEvent[],
): (pull: Pull) => Surroundings {
  const neighbours = [...earlier.map(ofEvent), ...pulls.map(ofPull)]
  const failures = collectFailures(neighbours)
  const batches = collectBatches(neighbours)
  return (pull) => ({ attempts: countAttempts(pull, failures), batchId: batchOf(pull, batches) })
}
