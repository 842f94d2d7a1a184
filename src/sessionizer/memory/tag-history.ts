/**
 * Which tag had which digest when, as far as this front saw it: what a pull by digest may be called. One history for
 * each (upstream, upstream repository), fed with every manifest request by tag as it arrives. What it says of a time
 * depends only on what was seen up to then, in whatever order and however often that came.
 */
import { isAnswered, parseReference } from '../pull/request.ts'
import type { Fact } from '../types.ts'

/** `timeMs`: Unix ms. */
export type TagSighting = { tag: string; digest: string; timeMs: number }

export type TagHistory = {
  /** false: older than what was thinned already; it is not counted. */
  note(sighting: TagSighting): boolean
  /**
   * The tag that had the digest when it was last seen before the time. Of several the one that moved least, then the
   * longest (1.2.3 before 1.2 before latest), then the first by name. null: none is known.
   */
  tagAt(digest: string, timeMs: number): string | null
  /** Forgets what changes no answer. `horizonMs`: what began before it has arrived, so that nothing comes between. */
  thin(horizonMs: number): void
  /** All that need be kept, in order of (tag, time, digest): rows of a store. */
  rows(): TagSighting[]
  thinnedMs(): number
}

/** A busy tag is seen a thousand times a second: of each of its digests one sighting a second is kept, the first. */
export const thinMs = 1000

export type TagLimits = {
  /** After thinning: changes of one tag, the newest. */
  changes: number
  /** Tags of one repository, those seen last. */
  tags: number
}

/**
 * `latest` of a nightly build moves daily. Builds tagged by commit come to a few hundred that are still asked for.
 */
export const tagLimits: TagLimits = { changes: 64, tags: 1024 }

/** null: the request says nothing of a tag. */
export function sightingOf(fact: Fact): TagSighting | null {
  if (fact.class !== 'manifest' || fact.heartbeat || fact.digest === null || fact.reference === null)
    return null
  const reference = parseReference(fact.reference)
  if (reference.kind !== 'tag' || !isAnswered(fact)) return null
  return { tag: reference.tag, digest: fact.digest, timeMs: fact.time }
}

function compareSightings(a: TagSighting, b: TagSighting): number {
  return a.timeMs - b.timeMs || (a.digest < b.digest ? -1 : Number(a.digest > b.digest))
}

/** Of one tag, in order of (time, digest). */
type Sightings = TagSighting[]

/** How many lie at or before the time. */
function countUpTo(sightings: Sightings, timeMs: number): number {
  let low = 0
  let high = sightings.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sightings[middle] as TagSighting).timeMs <= timeMs) low = middle + 1
    else high = middle
  }
  return low
}

function insert(sightings: Sightings, sighting: TagSighting): void {
  const second = Math.floor(sighting.timeMs / thinMs)
  let at = countUpTo(sightings, (second + 1) * thinMs - 1)
  for (let same = at - 1; same >= 0; same -= 1) {
    const known = sightings[same] as TagSighting
    if (Math.floor(known.timeMs / thinMs) !== second) break
    if (known.digest !== sighting.digest) continue
    if (known.timeMs <= sighting.timeMs) return
    sightings.splice(same, 1)
    at -= 1
    break
  }
  while (at > 0 && compareSightings(sightings[at - 1] as TagSighting, sighting) > 0) at -= 1
  sightings.splice(at, 0, sighting)
}

/** Before the horizon only changes are kept. */
function thinSightings(sightings: Sightings, horizonMs: number, maxChanges: number): Sightings {
  const kept = sightings.filter(
    ({ timeMs, digest }, at) => timeMs >= horizonMs || at === 0 || digest !== sightings[at - 1]?.digest,
  )
  const settled = countUpTo(kept, horizonMs - 1)
  return kept.slice(Math.max(0, settled - maxChanges))
}

/** `rows`, `thinnedMs`: as another history gave them. */
export function createTagHistory(
  rows: Iterable<TagSighting> = [],
  thinnedMs = 0,
  limits: TagLimits = tagLimits,
): TagHistory {
  const tags = new Map<string, Sightings>()
  const byDigest = new Map<string, Set<string>>()
  let horizon = thinnedMs

  function add(sighting: TagSighting): void {
    const { tag, digest } = sighting
    const sightings = tags.get(tag)
    if (sightings === undefined) tags.set(tag, [sighting])
    else insert(sightings, sighting)
    const named = byDigest.get(digest)
    if (named === undefined) byDigest.set(digest, new Set([tag]))
    else named.add(tag)
  }

  function readAll(): TagSighting[] {
    const names = [...tags.keys()].sort()
    return names.flatMap((tag) => tags.get(tag) ?? [])
  }

  function keep(sightings: Iterable<TagSighting>): void {
    tags.clear()
    byDigest.clear()
    for (const sighting of sightings) add(sighting)
  }

  keep(rows)
  return {
    note(sighting) {
      if (sighting.timeMs < horizon) return false
      add(sighting)
      return true
    },

    tagAt(digest, timeMs) {
      let best: { tag: string; moves: number } | null = null
      for (const tag of [...(byDigest.get(digest) ?? [])].sort()) {
        const seen = (tags.get(tag) ?? []).slice(0, countUpTo(tags.get(tag) ?? [], timeMs))
        if (seen.at(-1)?.digest !== digest) continue
        const moves = seen.filter((one, at) => at > 0 && one.digest !== seen[at - 1]?.digest).length
        const isBetter =
          best === null || moves < best.moves || (moves === best.moves && tag.length > best.tag.length)
        if (isBetter) best = { tag, moves }
      }
      return best?.tag ?? null
    },

    thin(horizonMs) {
      if (horizonMs <= horizon) return
      horizon = horizonMs
      const lists = [...tags.values()].map((sightings) => thinSightings(sightings, horizonMs, limits.changes))
      const newestFirst = (a: Sightings, b: Sightings) =>
        (b.at(-1)?.timeMs ?? 0) - (a.at(-1)?.timeMs ?? 0) || ((a[0]?.tag ?? '') < (b[0]?.tag ?? '') ? -1 : 1)
      keep(lists.sort(newestFirst).slice(0, limits.tags).flat())
    },

    rows: readAll,
    thinnedMs: () => horizon,
  }
}
