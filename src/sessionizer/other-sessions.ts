/** What `summarise` may ask about other sessions, answered from the memories that the facts of this one lead to. */
import { joinKeyOf } from './join-index.ts'
import type { AttemptHistory } from './memory/attempt-history.ts'
import type { TagHistory } from './memory/tag-history.ts'
import { tagKeyOf } from './memory-notes.ts'
import type { OtherSessions } from './pull/surroundings.ts'
import type { Fact, FactContext } from './types.ts'

export type Memories = {
  /** undefined: none is known, or not yet. `timeMs`: what is asked about. */
  tags(tagKey: string, timeMs: number): Pick<TagHistory, 'tagAt'> | undefined
  attempts(joinKey: string): Pick<AttemptHistory, 'failuresBefore'> | undefined
}

/** A session is one client and one repository; while settings change it may have several names at its upstream. */
function keysOf(facts: readonly Fact[], keyOf: (fact: Fact) => string): string[] {
  const contexts = new Map<FactContext, Fact>()
  for (const fact of facts) if (fact.class === 'manifest') contexts.set(fact.context, fact)
  return [...new Set([...contexts.values()].map(keyOf))].sort()
}

export function tagKeysOf(facts: readonly Fact[]): string[] {
  return keysOf(facts, ({ context }) => tagKeyOf(context))
}

export function attemptKeysOf(facts: readonly Fact[]): string[] {
  return keysOf(facts, joinKeyOf)
}

export function createOtherSessions(facts: readonly Fact[], memories: Memories): OtherSessions {
  let tagKeys: string[] | null = null
  const joinKeys = attemptKeysOf(facts)
  return {
    tagAt(digest, timeMs) {
      tagKeys ??= tagKeysOf(facts)
      // Each is asked, so that all that are missing get known.
      const tags = tagKeys.map((key) => memories.tags(key, timeMs)?.tagAt(digest, timeMs) ?? null)
      return tags.find((tag) => tag !== null) ?? null
    },
    failuresBefore(tag, timeMs, besides) {
      return joinKeys.reduce(
        (sum, key) => sum + (memories.attempts(key)?.failuresBefore(tag, timeMs, besides) ?? 0),
        0,
      )
    },
  }
}
