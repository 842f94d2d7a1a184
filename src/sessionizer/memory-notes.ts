/** What facts tell the memories beyond their session (`memory/`), as a batch writes it: a row once, however often seen. */
import { hash } from 'node:crypto'
import { joinKeyOf } from './join-index.ts'
import { type Attempt, attemptKey, attemptOf, joinAttempts } from './memory/attempt-history.ts'
import { sightingOf, type TagSighting, thinMs } from './memory/tag-history.ts'
import type { Fact, FactContext } from './types.ts'

/** Attempts are asked about for 10 minutes and the length of a pull; a longer one may miss some. */
export const attemptLifeMs = 960_000
/** Of one repository, between two thinnings: after one there are some thousands. More are refused. */
export const maxTagRows = 100_000
/** A tag that nobody asked for so long is known no more; a manifest lives as long. */
export const tagLifeMs = 90 * 86_400_000

/** Of one repository at its upstream; 96 bits, as in `joinKeyOf`. */
export function tagKeyOf({ upstream, upstream_repository, repository }: FactContext): string {
  return hash('sha256', `${upstream ?? ''}\n${upstream_repository ?? repository}`, 'base64url').slice(0, 16)
}

export type TagNotes = { tagKey: string; sightings: TagSighting[] }
export type AttemptNotes = { joinKey: string; attempts: Attempt[] }

/** Of each tag and digest, the first of each second. */
export function collectSightings(facts: readonly Fact[]): TagNotes[] {
  const notes = new Map<string, Map<string, TagSighting>>()
  // A batch has few repositories and many contexts.
  const keys = new Map<string, string>()
  for (const fact of facts) {
    const sighting = sightingOf(fact)
    if (sighting === null) continue
    const { context } = fact
    const name = `${context.upstream} ${context.upstream_repository} ${context.repository}`
    const tagKey = keys.get(name) ?? tagKeyOf(context)
    keys.set(name, tagKey)
    const rows = notes.get(tagKey) ?? new Map<string, TagSighting>()
    notes.set(tagKey, rows)
    const row = `${sighting.tag} ${secondOf(sighting)} ${sighting.digest}`
    const known = rows.get(row)
    if (known === undefined || sighting.timeMs < known.timeMs) rows.set(row, sighting)
  }
  return [...notes].map(([tagKey, rows]) => ({ tagKey, sightings: [...rows.values()] }))
}

/** Of a second all sights or none are thinned: which of them is the first must not depend on when. */
export function thinnedTo(horizonMs: number): number {
  return Math.floor(horizonMs / thinMs) * thinMs
}

export function secondOf({ timeMs }: TagSighting): number {
  return Math.floor(timeMs / thinMs)
}

/** Of each session and tag one. */
export function collectAttempts(facts: readonly Fact[]): AttemptNotes[] {
  const notes = new Map<string, Map<string, Attempt>>()
  const keys = new Map<FactContext, string>()
  for (const fact of facts) {
    const attempt = attemptOf(fact)
    if (attempt === null) continue
    const joinKey = keys.get(fact.context) ?? joinKeyOf(fact)
    keys.set(fact.context, joinKey)
    const rows = notes.get(joinKey) ?? new Map<string, Attempt>()
    notes.set(joinKey, rows)
    const row = attemptKey(attempt)
    const known = rows.get(row)
    rows.set(row, known === undefined ? attempt : joinAttempts(known, attempt))
  }
  return [...notes].map(([joinKey, rows]) => ({ joinKey, attempts: [...rows.values()] }))
}
