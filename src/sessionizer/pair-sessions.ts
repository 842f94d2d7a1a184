/**
 * Which sessions are one pull on two tokens, when all requests are known: the rule of the join index, step by step, so
 * that a client that asks all day is not compared with itself.
 */
import { compareEntries, decideJoins, joinEntryOf, type OpenEntry } from './join-index.ts'
import type { Fact } from './types.ts'

/** Entries decided at a time: those that wait for a partner are walked through for each. */
const entriesPerStep = 1000

/** Of each session the first of each kind, as the index of the stores keeps it. */
export function firstEntries(facts: readonly Fact[]): OpenEntry[] {
  const first = new Map<string, OpenEntry>()
  for (const fact of facts) {
    const entry = joinEntryOf(fact)
    if (entry === null) continue
    const { sessionId } = fact
    const key = `${entry.kind}${sessionId}`
    const known = first.get(key)
    const isEarlier =
      known === undefined ||
      entry.time < known.time ||
      (entry.time === known.time && entry.digest < known.digest)
    if (isEarlier) first.set(key, { ...entry, sessionId })
  }
  return [...first.values()].sort(compareEntries)
}

/**
 * Session of HEADs → session that fetched what they resolved to (containerd's two tokens). `entries`: of one key, in
 * order.
 */
export function pairSessions(entries: readonly OpenEntry[], windowMs: number): Map<string, string> {
  const targets = new Map<string, string>()
  const marked = new Set<string>()
  let open: OpenEntry[] = []
  for (let at = 0; at < entries.length; at += entriesPerStep) {
    const step = entries.slice(at, at + entriesPerStep)
    const isLast = at + entriesPerStep >= entries.length
    // What begins at the same time as the last of the step may be in the next.
    const upToMs = isLast ? Number.POSITIVE_INFINITY : (step.at(-1)?.time ?? 0) - 1
    const { decided, marked: marks } = decideJoins([...open, ...step], (id) => marked.has(id), {
      upToMs,
      windowMs,
    })
    for (const { sessionId } of marks) marked.add(sessionId)
    const done = new Set<OpenEntry>()
    for (const { entry, partner } of decided) {
      done.add(entry)
      if (entry.kind === 'a' && partner !== null) targets.set(entry.sessionId, partner)
    }
    open = [...open, ...step].filter((entry) => !done.has(entry))
  }
  return targets
}
