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

/** 1 plus the failed attempts for the same tag before (10.3-9). */
function countAttempts(pull: Pull, neighbours: readonly Neighbour[]): number {
  if (pull.tag === null) return 1
  const before = neighbours.filter(
    (one) =>
      one.failed &&
      one.tag === pull.tag &&
      one.startMs < pull.startMs &&
      one.startMs >= pull.startMs - attemptsMs,
  )
  return 1 + before.length
}

/** `docker pull -a`: one token, several tags (10.3-2). The id is the same for all of them, whenever they finish. */
function batchOf(pull: Pull, neighbours: readonly Neighbour[]): string | null {
  const token = pull.facts.find((fact) => fact.class === 'manifest')?.sessionId
  if (token === undefined || pull.tag === null || !isTokenPull(pull)) return null
  if (pull.facts[0]?.context.client.tool === sharingTool) return null
  const others = neighbours.some(
    (one) => one.token && one.tag !== null && one.tag !== pull.tag && one.sessionIds.includes(token),
  )
  return others ? hashId('batch', [token]) : null
}

export function createSurroundings(
  pulls: readonly Pull[],
  earlier: readonly EarlierEvent[],
): (pull: Pull) => Surroundings {
  const neighbours = [...earlier.map(ofEvent), ...pulls.map(ofPull)]
  return (pull) => ({
    attempts: countAttempts(pull, neighbours),
    batchId: batchOf(pull, neighbours),
  })
}
