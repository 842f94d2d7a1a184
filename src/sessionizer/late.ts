/** Facts that came after their pull was published: they join a pull that is new, or are dropped; never a pull more. */
import type { EventTrace } from './event-trace.ts'
import { parseReference } from './pull/request.ts'
import type { StoredFact } from './store.ts'
import type { Fact, Graph } from './types.ts'

/**
 * All late facts are kept when one of them can begin a pull of its own: a manifest by tag, or by a digest that no
 * published pull contains. `graph` holds the published indexes, as far as they are known.
 */
export function splitLate(
  facts: readonly StoredFact[],
  earlier: readonly EventTrace[],
  graph: Graph,
): { kept: Fact[]; dropped: Fact[] } {
  // Most sessions have none.
  if (!facts.some((stored) => stored.late)) return { kept: facts.map((stored) => stored.fact), dropped: [] }
  const late = facts.filter((stored) => stored.late).map((stored) => stored.fact)
  const published = publishedDigests(earlier, graph)
  const keepAll = late.some((fact) => isRoot(fact, published))
  if (keepAll) return { kept: facts.map((stored) => stored.fact), dropped: [] }
  return { kept: facts.filter((stored) => !stored.late).map((stored) => stored.fact), dropped: late }
}

function isRoot(fact: Fact, published: ReadonlySet<string>): boolean {
  if (fact.class !== 'manifest' || fact.reference === null) return false
  const reference = parseReference(fact.reference)
  return reference.kind !== 'digest' || !published.has(reference.digest)
}

function publishedDigests(earlier: readonly EventTrace[], graph: Graph): Set<string> {
  const digests = new Set<string>()
  for (const { digest } of earlier) {
    if (digest === null) continue
    digests.add(digest)
    for (const child of graph.get(digest)?.manifests ?? []) digests.add(child.digest)
  }
  return digests
}
