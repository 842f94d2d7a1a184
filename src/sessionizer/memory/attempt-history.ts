/**
 * Attempts of one client at one repository, over all of its sessions: with tokens each attempt is a session of its own,
 * so that none of them knows of those before. One history for each (client id, domain, repository), fed with every
 * manifest request by tag as it arrives; the order and repeats in which they come change nothing.
 */
import { isAnswered, isChallenge, parseReference } from '../pull/request.ts'
import type { Fact } from '../types.ts'

/** One session's requests for one tag: when they began (Unix ms), and whether any was answered. */
export type Attempt = { tag: string; sessionId: string; timeMs: number; answered: boolean }

export type AttemptHistory = {
  note(attempt: Attempt): void
  /** Sessions other than these that asked for the tag within the 10 minutes before the time, and were refused. */
  failuresBefore(tag: string, timeMs: number, besides: ReadonlySet<string>): number
  /** Forgets what began before, and of too many the oldest. `watermarkMs`: no older pull will be asked about. */
  forget(watermarkMs: number): void
  rows(): Attempt[]
}

/** CONTRACT 7, `attempts`. */
const attemptsMs = 600_000
/** Behind one address; beyond them a client is a storm, and its attempts need not be exact. */
const maxAttempts = 1024

/** null: the request says nothing of an attempt. */
export function attemptOf(fact: Fact): Attempt | null {
  if (fact.class !== 'manifest' || fact.heartbeat || fact.reference === null || isChallenge(fact)) return null
  const reference = parseReference(fact.reference)
  if (reference.kind !== 'tag') return null
  return { tag: reference.tag, sessionId: fact.sessionId, timeMs: fact.time, answered: isAnswered(fact) }
}

export function createAttemptHistory(rows: Iterable<Attempt> = []): AttemptHistory {
  const attempts = new Map<string, Attempt>()

  function note(attempt: Attempt): void {
    const key = `${attempt.sessionId} ${attempt.tag}`
    const known = attempts.get(key)
    attempts.set(key, {
      ...attempt,
      timeMs: Math.min(attempt.timeMs, known?.timeMs ?? attempt.timeMs),
      answered: attempt.answered || known?.answered === true,
    })
  }

  for (const row of rows) note(row)
  return {
    note,

    failuresBefore(tag, timeMs, besides) {
      let failures = 0
      for (const attempt of attempts.values()) {
        const counts = attempt.tag === tag && !attempt.answered && !besides.has(attempt.sessionId)
        if (counts && attempt.timeMs < timeMs && attempt.timeMs >= timeMs - attemptsMs) failures += 1
      }
      return failures
    },

    forget(watermarkMs) {
      const sorted = [...attempts].sort(([a, { timeMs: first }], [b, { timeMs: second }]) =>
        first === second ? (a < b ? -1 : 1) : first - second,
      )
      for (const [index, [key, { timeMs }]] of sorted.entries()) {
        if (timeMs < watermarkMs - attemptsMs || index < sorted.length - maxAttempts) attempts.delete(key)
      }
    },

    rows: () => [...attempts.values()],
  }
}
