/**
 * Attempts of one client at one repository, over all of its sessions: with tokens each attempt is a session of its own,
 * so that none of them knows of those before. One history for each (client id, domain, repository), fed with every
 * manifest request by tag as it arrives; the order and repeats in which they come change nothing.
 */
import { isAnswered, isChallenge, parseReference } from '../pull/request.ts'
import type { Fact } from '../types.ts'

/** One session's requests for one tag, in Unix ms: when the first began, and the first that was answered (or none). */
export type Attempt = { tag: string; sessionId: string; timeMs: number; answeredMs: number | null }

export type AttemptHistory = {
  note(attempt: Attempt): void
  /**
   * Sessions other than these that asked for the tag within the 10 minutes before the time, and had no answer to what
   * they asked up to then.
   */
  failuresBefore(tag: string, timeMs: number, besides: ReadonlySet<string>): number
  /** Forgets what began before, and of too many the oldest. `watermarkMs`: no older pull will be asked about. */
  forget(watermarkMs: number): void
  rows(): Attempt[]
}

/** CONTRACT 7, `attempts`. */
const attemptsMs = 600_000
/** Behind one address; beyond them a client is a storm, and its attempts need not be exact. */
export const maxAttempts = 1024

/** null: the request says nothing of an attempt. */
export function attemptOf(fact: Fact): Attempt | null {
  if (fact.class !== 'manifest' || fact.heartbeat || fact.reference === null || isChallenge(fact)) return null
  const reference = parseReference(fact.reference)
  if (reference.kind !== 'tag') return null
  const { sessionId, time: timeMs } = fact
  return { tag: reference.tag, sessionId, timeMs, answeredMs: isAnswered(fact) ? timeMs : null }
}

/** Of the same session and tag. */
export function joinAttempts(a: Attempt, b: Attempt): Attempt {
  const answeredMs = Math.min(
    a.answeredMs ?? Number.POSITIVE_INFINITY,
    b.answeredMs ?? Number.POSITIVE_INFINITY,
  )
  return {
    ...a,
    timeMs: Math.min(a.timeMs, b.timeMs),
    answeredMs: Number.isFinite(answeredMs) ? answeredMs : null,
  }
}

export function attemptKey({ sessionId, tag }: Attempt): string {
  return `${sessionId} ${tag}`
}

export function compareAttempts(a: Attempt, b: Attempt): number {
  return a.timeMs - b.timeMs || (attemptKey(a) < attemptKey(b) ? -1 : 1)
}

/** Where, in order of time, those begin that began at or after it. */
function findFrom(attempts: readonly Attempt[], timeMs: number): number {
  let low = 0
  let high = attempts.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((attempts[middle] as Attempt).timeMs < timeMs) low = middle + 1
    else high = middle
  }
  return low
}

export function createAttemptHistory(rows: Iterable<Attempt> = []): AttemptHistory {
  const attempts = new Map<string, Attempt>()
  /** By tag, in order of time: those whose first request was not answered. Made when it is asked for. */
  let refused: Map<string, Attempt[]> | null = null

  function note(attempt: Attempt): void {
    const key = attemptKey(attempt)
    const known = attempts.get(key)
    attempts.set(key, known === undefined ? attempt : joinAttempts(known, attempt))
    refused = null
  }

  function sortRefused(): Map<string, Attempt[]> {
    const byTag = new Map<string, Attempt[]>()
    for (const attempt of [...attempts.values()].sort(compareAttempts)) {
      if (attempt.answeredMs === attempt.timeMs) continue
      const same = byTag.get(attempt.tag)
      if (same === undefined) byTag.set(attempt.tag, [attempt])
      else same.push(attempt)
    }
    return byTag
  }

  for (const row of rows) note(row)
  return {
    note,

    failuresBefore(tag, timeMs, besides) {
      refused ??= sortRefused()
      const ofTag = refused.get(tag) ?? []
      let failures = 0
      for (let at = findFrom(ofTag, timeMs - attemptsMs); at < ofTag.length; at += 1) {
        const attempt = ofTag[at] as Attempt
        if (attempt.timeMs >= timeMs) break
        const wasAnswered = attempt.answeredMs !== null && attempt.answeredMs < timeMs
        if (!wasAnswered && !besides.has(attempt.sessionId)) failures += 1
      }
      return failures
    },

    forget(watermarkMs) {
      const sorted = [...attempts.values()].sort(compareAttempts)
      for (const [index, attempt] of sorted.entries()) {
        if (attempt.timeMs < watermarkMs - attemptsMs || index < sorted.length - maxAttempts)
          attempts.delete(attemptKey(attempt))
      }
      refused = null
    },

    rows: () => [...attempts.values()],
  }
}
