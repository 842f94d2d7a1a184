/**
 * Pulls by what one digest is to them. A shelf is put in order when its digest is asked for, from what changed since
 * (`Logs`), so that what nobody asks for again costs nothing.
 */
import type { Contents } from './contents.ts'
import { addToLine, createLine, type Line } from './line.ts'
import {
  blobUses,
  fetchedPlatforms,
  isDelivered,
  isTokenPull,
  manifestRole,
  manifestUse,
  type Pull,
} from './pull.ts'
import { isFinished, isRunningAt } from './transfer.ts'

type Source = { log: readonly Pull[]; at: number }

type Reading = {
  digest: string
  sources: Source[]
  /** Contents that have the digest; of the first so many, the pulls are read. */
  holders: readonly Contents[]
  held: number
}

export type BlobShelf = Reading & {
  /** Not asked for yet: some manifest that uses it was fetched, or none was. */
  wanted: Line
  possible: Line
  /** Asked for: some answer still runs; all came; not all came, and nothing runs. */
  running: Line
  delivered: Line
  cut: Line
  /** Will be cut when their answers have ended; the last ends first. */
  ending: { endMs: number; pull: Pull }[]
}

export type ManifestShelf = Reading & {
  /** It is one of their children. */
  listed: Line
  /** They have not fetched it yet; nor any other platform. */
  outstanding: Line
  fresh: Line
  /** They have a part of it. */
  cut: Line
  /** They have asked for it, with a token. */
  owned: Line
}

export type SubjectShelf = Reading & { about: Line }

export type Shelves = {
  blobs: Map<string, BlobShelf>
  manifests: Map<string, ManifestShelf>
  subjects: Map<string, SubjectShelf>
}

/** By digest: pulls in the order in which something about them changed, with repeats. */
export type Logs = {
  /** It was asked for with GET. */
  transfers: Map<string, Pull[]>
  /** It is the root of some of their contents, which are new, or of which a manifest was fetched. */
  contents: Map<string, Pull[]>
  /** It is their subject. */
  subjects: Map<string, Pull[]>
  /** Not pulls, but contents that have the manifest, or the blob. */
  manifests: Map<string, Contents[]>
  blobs: Map<string, Contents[]>
}

/** What shelves ask of the session. */
export type Shelving = {
  shelves: Shelves
  /** Start of the request that is joined. */
  nowMs: number
  logs: Logs
}

export function logOf<T>(logs: Map<string, T[]>, key: string): T[] {
  let log = logs.get(key)
  if (log === undefined) {
    log = []
    logs.set(key, log)
  }
  return log
}

function startReading(digest: string, log: readonly Pull[], holders: readonly Contents[]): Reading {
  return { digest, sources: [{ log, at: 0 }], holders, held: 0 }
}

/** Each pull that changed since the last time. */
function readNews(session: Shelving, reading: Reading, place: (pull: Pull) => void): void {
  for (; reading.held < reading.holders.length; reading.held += 1) {
    const root = reading.holders[reading.held]?.root ?? ''
    reading.sources.push({ log: logOf(session.logs.contents, root), at: 0 })
  }
  for (const source of reading.sources) {
    for (; source.at < source.log.length; source.at += 1) place(source.log[source.at] as Pull)
  }
}

/** Some manifest that uses the blob was fetched, or is the root itself. */
function isExpected(pull: Pull, digest: string): boolean {
  return blobUses(pull, digest).some(
    (use) => use.manifest === pull.digest || pull.transfers.get(use.manifest)?.answered === true,
  )
}

export function isWanted(pull: Pull, digest: string): boolean {
  return !pull.transfers.has(digest) && isExpected(pull, digest)
}

/** A child that was not fetched has the blob: the client may have had its manifest from an earlier pull. */
export function isPossible(pull: Pull, digest: string): boolean {
  return !pull.transfers.has(digest) && blobUses(pull, digest).length > 0 && !isExpected(pull, digest)
}

export function isRunning(pull: Pull, digest: string, timeMs: number): boolean {
  const transfer = pull.transfers.get(digest)
  return transfer !== undefined && isRunningAt(transfer, timeMs)
}

export function isCut(pull: Pull, digest: string, timeMs: number): boolean {
  return pull.transfers.has(digest) && !isRunning(pull, digest, timeMs) && !isDelivered(pull, digest)
}

function addToEnding(shelf: BlobShelf, pull: Pull, endMs: number): void {
  let at = shelf.ending.length
  while (at > 0 && (shelf.ending[at - 1]?.endMs ?? endMs) < endMs) at -= 1
  shelf.ending.splice(at, 0, { endMs, pull })
}

function placeOnBlobShelf(session: Shelving, shelf: BlobShelf, pull: Pull): void {
  const { digest } = shelf
  const transfer = pull.transfers.get(digest)
  if (transfer === undefined) {
    if (isWanted(pull, digest)) addToLine(shelf.wanted, pull)
    else if (isPossible(pull, digest)) addToLine(shelf.possible, pull)
    return
  }
  const running = isRunningAt(transfer, session.nowMs)
  if (running) addToLine(shelf.running, pull)
  if (isDelivered(pull, digest)) addToLine(shelf.delivered, pull)
  else if (!running) addToLine(shelf.cut, pull)
  else if (!transfer.running) addToEnding(shelf, pull, transfer.endMs)
}

export function openBlobShelf(session: Shelving, digest: string): BlobShelf {
  let shelf = session.shelves.blobs.get(digest)
  if (shelf === undefined) {
    const { transfers, blobs } = session.logs
    shelf = {
      ...startReading(digest, logOf(transfers, digest), logOf(blobs, digest)),
      wanted: createLine(),
      possible: createLine(),
      running: createLine(),
      delivered: createLine(),
      cut: createLine(),
      ending: [],
    }
    session.shelves.blobs.set(digest, shelf)
  }
  const current = shelf
  readNews(session, current, (pull) => placeOnBlobShelf(session, current, pull))
  for (let next = current.ending.at(-1); next !== undefined; next = current.ending.at(-1)) {
    if (next.endMs > session.nowMs) break
    current.ending.pop()
    placeOnBlobShelf(session, current, next.pull)
  }
  return current
}

export function isChild(pull: Pull, digest: string): boolean {
  return pull.digest !== digest && manifestRole(pull, digest) !== 'unknown'
}

export function isOutstanding(pull: Pull, digest: string): boolean {
  return isChild(pull, digest) && pull.transfers.get(digest)?.answered !== true
}

/** Of this manifest a part came. */
export function isManifestCut(pull: Pull, digest: string): boolean {
  const transfer = pull.transfers.get(digest)
  return transfer?.answered === true && !isFinished(transfer, null)
}

function placeOnManifestShelf(shelf: ManifestShelf, pull: Pull): void {
  const { digest } = shelf
  if (isChild(pull, digest)) addToLine(shelf.listed, pull)
  if (isOutstanding(pull, digest)) {
    addToLine(shelf.outstanding, pull)
    if (fetchedPlatforms(pull).length === 0) addToLine(shelf.fresh, pull)
  }
  if (isManifestCut(pull, digest)) addToLine(shelf.cut, pull)
  if (pull.transfers.has(digest) && isTokenPull(pull)) addToLine(shelf.owned, pull)
}

export function openManifestShelf(session: Shelving, digest: string): ManifestShelf {
  let shelf = session.shelves.manifests.get(digest)
  if (shelf === undefined) {
    const { transfers, manifests } = session.logs
    shelf = {
      ...startReading(digest, logOf(transfers, digest), logOf(manifests, digest)),
      listed: createLine(),
      outstanding: createLine(),
      fresh: createLine(),
      cut: createLine(),
      owned: createLine(),
    }
    session.shelves.manifests.set(digest, shelf)
  }
  const current = shelf
  readNews(session, current, (pull) => placeOnManifestShelf(current, pull))
  return current
}

/** Is the digest the pull's own, or one of its manifests? */
export function isAbout(pull: Pull, digest: string): boolean {
  return pull.digest === digest || pull.subject === digest || manifestUse(pull, digest) !== null
}

export function openSubjectShelf(session: Shelving, digest: string): SubjectShelf {
  let shelf = session.shelves.subjects.get(digest)
  if (shelf === undefined) {
    const { subjects, manifests } = session.logs
    shelf = {
      ...startReading(digest, logOf(subjects, digest), logOf(manifests, digest)),
      about: createLine(),
    }
    session.shelves.subjects.set(digest, shelf)
  }
  const { about } = shelf
  readNews(session, shelf, (pull) => addToLine(about, pull))
  return shelf
}
