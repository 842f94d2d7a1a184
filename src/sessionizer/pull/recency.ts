/**
 * Which pulls are active: a client asks for the next thing when it has the one before. So of pulls that a request fits
 * equally it belongs to one that asked, or got an answer, just now; of several to the oldest, so that clients that do
 * the same are paired in order of arrival. Those that are done, and only not known to be so, have been quiet for longer:
 * of them it is the one that was active last.
 */
import type { Fact } from '../types.ts'
import type { Line, Test } from './line.ts'
import type { Pull } from './pull.ts'
import { endOf } from './request.ts'

/** From an answer to the next request: a few round trips, to a token service and through a new connection. */
const activeMs = 1000

type Place = { pull: Pull; touch: number; timeMs: number; later: Place | null; earlier: Place | null }

type Ending = { endMs: number; pull: Pull }

export type Recency = {
  places: Map<Pull, Place>
  latest: Place | null
  touches: number
  /** Answers that still run; the last ends first. */
  endings: Ending[]
  /** Start of the request that is joined. */
  nowMs: number
}

export function createRecency(): Recency {
  return {
    places: new Map(),
    latest: null,
    touches: 0,
    endings: [],
    nowMs: Number.NEGATIVE_INFINITY,
  }
}

function takeOut(recency: Recency, place: Place): void {
  if (place.later === null) recency.latest = place.earlier
  else place.later.earlier = place.earlier
  if (place.earlier !== null) place.earlier.later = place.later
}

function touch(recency: Recency, pull: Pull, timeMs: number): void {
  let place = recency.places.get(pull)
  if (place === undefined) {
    place = { pull, touch: 0, timeMs, later: null, earlier: null }
    recency.places.set(pull, place)
  } else {
    takeOut(recency, place)
  }
  recency.touches += 1
  place.touch = recency.touches
  place.timeMs = timeMs
  place.later = null
  place.earlier = recency.latest
  if (recency.latest !== null) recency.latest.later = place
  recency.latest = place
}

function addEnding({ endings }: Recency, ending: Ending): void {
  let low = 0
  let high = endings.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((endings[middle] as Ending).endMs > ending.endMs) low = middle + 1
    else high = middle
  }
  // Before those that end at the same time, so that it is taken after them.
  endings.splice(low, 0, ending)
}

/** To be called before the fact is joined: what has ended by then counts. */
export function advance(recency: Recency, nowMs: number): void {
  const { endings } = recency
  recency.nowMs = nowMs
  for (let next = endings.at(-1); next !== undefined && next.endMs <= nowMs; next = endings.at(-1)) {
    endings.pop()
    touch(recency, next.pull, next.endMs)
  }
}

/** The fact was joined to the pull. */
export function noteActivity(recency: Recency, pull: Pull, fact: Fact): void {
  touch(recency, pull, fact.time)
  // When what a heartbeat speaks of will end is not known: it must join others as the end does.
  if (!fact.heartbeat) addEnding(recency, { endMs: endOf(fact), pull })
}

/** Of two that a request fits equally. */
export function likelier(recency: Recency, a: Pull | undefined, b: Pull | undefined): Pull | undefined {
  if (a === undefined || b === undefined) return a ?? b
  const [first, second] = [recency.places.get(a), recency.places.get(b)]
  if (first === undefined || second === undefined) return first === undefined ? b : a
  const fromMs = recency.nowMs - activeMs
  if (first.timeMs >= fromMs && second.timeMs >= fromMs) return a.order < b.order ? a : b
  return first.touch > second.touch ? a : b
}

/** Cleans the line as it goes, as the other ways through it do. */
function findInLine(recency: Recency, line: Line, belongs: Test, fits: Test): Pull | undefined {
  let found: Pull | undefined
  for (let at = line.pulls.length - 1; at >= line.start; at -= 1) {
    const pull = line.pulls[at] as Pull
    if (!belongs(pull)) line.pulls.splice(at, 1)
    else if (fits(pull)) found = likelier(recency, found, pull)
  }
  return found
}

/**
 * The one of a line that is the likeliest. `belongs` must say of any pull whether it belongs to the line: where the line
 * is long, those that were active last are looked at first.
 */
export function findLikeliest(
  recency: Recency,
  line: Line | undefined,
  belongs: Test,
  fits: Test,
): Pull | undefined {
  if (line === undefined || line.start === line.pulls.length) return undefined
  const fromMs = recency.nowMs - activeMs
  let found: Pull | undefined
  let left = line.pulls.length - line.start
  for (let place = recency.latest; place !== null && left > 0; place = place.earlier, left -= 1) {
    if (found !== undefined && place.timeMs < fromMs) return found
    const { pull } = place
    if (found !== undefined && pull.order > found.order) continue
    if (belongs(pull) && fits(pull)) found = pull
    if (found === pull && place.timeMs < fromMs) return found
  }
  return findInLine(recency, line, belongs, fits)
}
