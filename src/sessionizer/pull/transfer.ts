/**
 * All GETs of one digest within one pull: which bytes came, whether it is finished, how it was read.
 */
import type { Fact } from '../types.ts'
import { addRange, coversRange, type Interval } from './ranges.ts'
import { compareFacts, endOf, isAnswered, isRedirect } from './request.ts'

export type Transfer = {
  digest: string
  class: 'manifest' | 'blob'
  /** The first by (time, id); where it began says whether the transfer resumed an older one. */
  first: Fact
  last: Fact
  ranges: Interval[]
  answered: boolean
  /** An answer came to its end that was the whole representation. */
  whole: boolean
  redirected: boolean
  /** Answered with bytes by this front at least once. */
  observed: boolean
  /** Ranges that ended before the end of the representation without being cut off: the client wanted no more. */
  partialReads: number
  /** One answer with several ranges (multipart/byteranges): a 206 that has no complete length of its own. */
  multipart: boolean
  size: number | null
  endMs: number
  /** Of some request only heartbeats are known. */
  running: boolean
}

export function createTransfer(digest: string, fact: Fact): Transfer {
  return {
    digest,
    class: fact.class === 'blob' ? 'blob' : 'manifest',
    first: fact,
    last: fact,
    ranges: [],
    answered: false,
    whole: false,
    redirected: false,
    observed: false,
    partialReads: 0,
    multipart: false,
    size: null,
    endMs: endOf(fact),
    running: false,
  }
}

/** Body positions that a fact delivered; of a multipart answer as if its parts followed each other (docs/sessions.md). */
function deliveredEnd(fact: Fact): number {
  const end = fact.offset + fact.bytesSent
  return fact.size === null ? end : Math.min(end, fact.size)
}

export function addToTransfer(transfer: Transfer, fact: Fact): void {
  if (compareFacts(fact, transfer.first) < 0) transfer.first = fact
  if (compareFacts(fact, transfer.last) > 0) transfer.last = fact
  transfer.endMs = Math.max(transfer.endMs, endOf(fact))
  transfer.running ||= fact.heartbeat
  if (!isAnswered(fact)) return
  transfer.answered = true
  transfer.size = fact.size === null ? transfer.size : Math.max(fact.size, transfer.size ?? 0)
  if (isRedirect(fact)) {
    transfer.redirected = true
    return
  }
  transfer.observed = true
  const ended = !fact.aborted && !fact.heartbeat
  if (fact.status === 304) {
    transfer.whole ||= ended
    return
  }
  const end = deliveredEnd(fact)
  addRange(transfer.ranges, fact.offset, end)
  if (!ended) return
  if (fact.status === 200) transfer.whole = true
  else if (fact.size === null) transfer.multipart = true
  else if (end < fact.size) transfer.partialReads += 1
}

/**
 * What a running transfer will have delivered is not known yet: joining must not depend on it, or a heartbeat would
 * join other facts than the end it stands for.
 */
export function isRunningAt(transfer: Transfer, timeMs: number): boolean {
  return transfer.running || transfer.endMs > timeMs
}

function isReadInParts(transfer: Transfer): boolean {
  return transfer.partialReads > 0 || transfer.multipart
}

/** The first bytes asked for were not the first of the blob, and none before them came: the rest of an older pull. */
export function isResumed(transfer: Transfer): boolean {
  const start = transfer.ranges[0]?.[0] ?? 0
  return start > 0 && transfer.first.offset === start && !isReadInParts(transfer)
}

/**
 * 10.2: delivered ranges ∪ [0, first offset of a resume] cover [0, size). A redirect counts as finished: the bytes
 * go past this front, so the pull is decided on what was requested.
 */
export function isFinished(transfer: Transfer, descriptorSize: number | null): boolean {
  if (transfer.whole || transfer.redirected) return true
  const size = transfer.size ?? descriptorSize
  if (size === null) return transfer.multipart
  if (coversRange(transfer.ranges, 0, size)) return true
  return isResumed(transfer) && coversRange(transfer.ranges, transfer.first.offset, size)
}

/** Read here and there on purpose, as lazy snapshotters do, and not simply cut off while it came in order. */
export function isScattered(transfer: Transfer): boolean {
  const inOrder = transfer.ranges.length === 1 && transfer.ranges[0]?.[0] === 0
  return transfer.multipart || (transfer.partialReads > 0 && !inOrder)
}
