/**
 * Pulls that may be what a request is looking for, oldest first. A line is cleaned while it is walked along: what no
 * longer belongs to it is taken out when met, so that nobody has to look for a pull in all lines when it changes.
 */
import type { Pull } from './pull.ts'

export type Line = {
  pulls: Pull[]
  /** Before it all were taken out. */
  start: number
}

export type Test = (pull: Pull) => boolean

/** From here on the room of those taken out at the start is given back. */
const manyGone = 64

export function createLine(): Line {
  return { pulls: [], start: 0 }
}

/** Where the pull is, or would be. */
function findPlace({ pulls, start }: Line, pull: Pull): number {
  let low = start
  let high = pulls.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((pulls[middle] as Pull).order < pull.order) low = middle + 1
    else high = middle
  }
  return low
}

/** A pull that is in the line already stays there once. */
export function addToLine(line: Line, pull: Pull): void {
  const last = line.pulls.at(-1)
  if (last === undefined || line.start === line.pulls.length || last.order < pull.order) {
    line.pulls.push(pull)
    return
  }
  const place = findPlace(line, pull)
  if (line.pulls[place] !== pull) line.pulls.splice(place, 0, pull)
}

function giveBack(line: Line): void {
  if (line.start < manyGone || line.start * 2 < line.pulls.length) return
  line.pulls.splice(0, line.start)
  line.start = 0
}

/** `belongs`: false takes a pull out of the line; it must be added again when that changes. */
export function findOldest(line: Line | undefined, belongs: Test, fits: Test): Pull | undefined {
  if (line === undefined) return undefined
  let found: Pull | undefined
  for (let at = line.start; at < line.pulls.length && found === undefined; at += 1) {
    const pull = line.pulls[at] as Pull
    if (belongs(pull)) {
      if (fits(pull)) found = pull
    } else if (at === line.start) {
      line.start += 1
    } else {
      line.pulls.splice(at, 1)
      at -= 1
    }
  }
  giveBack(line)
  return found
}

export function findNewest(line: Line | undefined, belongs: Test, fits: Test): Pull | undefined {
  if (line === undefined) return undefined
  for (let at = line.pulls.length - 1; at >= line.start; at -= 1) {
    const pull = line.pulls[at] as Pull
    if (!belongs(pull)) line.pulls.splice(at, 1)
    else if (fits(pull)) return pull
  }
  return undefined
}

export function older(a: Pull | undefined, b: Pull | undefined): Pull | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return a.order < b.order ? a : b
}

export function newer(a: Pull | undefined, b: Pull | undefined): Pull | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return a.order > b.order ? a : b
}
