/**
 * Roots by what may still come to them: a retry, the GET after a HEAD, the same request again, what a tag led to.
 */
import type { Fact } from '../types.ts'
import { addToLine, createLine, type Line } from './line.ts'
import { hasOnlyRootFacts, isHeadOnly, isTokenPull, type Pull } from './pull.ts'
import { isRetryable, parseReference } from './request.ts'
import { isFinished, type Transfer } from './transfer.ts'

type ByReference = Map<string | null, Line>

export type RootLines = {
  /** Refused, so that a GET (a HEAD) of the same reference is a retry if it comes in time. */
  retriedByGet: ByReference
  retriedByHead: ByReference
  failed: ByReference
  /** Those that were asked for by digest. */
  byDigest: ByReference
  /** By tag: HEADs alone, answered. */
  checked: ByReference
  /** By tag: nothing but the root was asked for. */
  alone: ByReference
  /** By tag: what the GET of the root brought is not whole. */
  cut: ByReference
  /** By what they resolved to, which they have not fetched by its digest yet. */
  awaited: Map<string, Line>
  /** By what they resolved to: HEADs alone, of a tag. */
  checks: Map<string, Line>
  /** Answered without saying a digest. */
  unnamed: Line
}

/** `checks`: of all machines of the client. */
export function createRootLines(checks: RootLines['checks']): RootLines {
  return {
    retriedByGet: new Map(),
    retriedByHead: new Map(),
    failed: new Map(),
    byDigest: new Map(),
    checked: new Map(),
    alone: new Map(),
    cut: new Map(),
    awaited: new Map(),
    checks,
    unnamed: createLine(),
  }
}

/** The root was refused in a way that clients answer by asking again: the same request, or GET after HEAD (1.2). */
export function isRetriedBy(method: Fact['method'], failure: Fact): boolean {
  if (failure.method === 'HEAD' && method === 'GET') return true
  return failure.method === method && isRetryable(failure)
}

/** What the GET of the root brought so far, if it was answered. */
export function rootTransfer(pull: Pull): Transfer | null {
  const key = pull.digest ?? pull.reference
  const transfer = key === null ? undefined : pull.transfers.get(key)
  return transfer?.answered ? transfer : null
}

export function isRootCut(pull: Pull): boolean {
  const transfer = rootTransfer(pull)
  return transfer !== null && !isFinished(transfer, null)
}

/** Nothing was asked for that comes after the root. */
export function isAtRoot(pull: Pull): boolean {
  return isHeadOnly(pull) || pull.rootFailure !== null || hasOnlyRootFacts(pull)
}

/**
 * The root's own GET by digest is still to come: after a HEAD, or after a tag whose answer led nowhere yet. With a token
 * it may seem to come after what it led to, when the clocks of nodes differ.
 */
export function awaitsRoot(pull: Pull): boolean {
  if (pull.digest === null || pull.fetched.has(pull.digest)) return false
  return isTokenPull(pull) || isAtRoot(pull)
}

/** The root was answered without saying its digest; the next manifest by digest is what it is. */
export function awaitsDigest(pull: Pull): boolean {
  return pull.origin === 'root' && pull.resolved && pull.digest === null
}

function add<Key>(lines: Map<Key, Line>, key: Key, pull: Pull): void {
  let line = lines.get(key)
  if (line === undefined) {
    line = createLine()
    lines.set(key, line)
  }
  addToLine(line, pull)
}

function addByTag(lines: RootLines, pull: Pull): void {
  const { reference } = pull
  if (isHeadOnly(pull) && pull.resolved) add(lines.checked, reference, pull)
  if (hasOnlyRootFacts(pull)) add(lines.alone, reference, pull)
  if (isRootCut(pull)) add(lines.cut, reference, pull)
}

/** To be called whenever a manifest request joined the root, or what is known of its manifests changed. */
export function addToRootLines(lines: RootLines, pull: Pull): void {
  const { reference, rootFailure, digest } = pull
  if (rootFailure !== null) {
    add(lines.failed, reference, pull)
    if (isRetriedBy('GET', rootFailure)) add(lines.retriedByGet, reference, pull)
    if (isRetriedBy('HEAD', rootFailure)) add(lines.retriedByHead, reference, pull)
  }
  const { kind } = parseReference(reference ?? '')
  if (kind === 'tag') addByTag(lines, pull)
  if (kind === 'digest' && isTokenPull(pull)) add(lines.byDigest, reference, pull)
  if (awaitsDigest(pull)) addToLine(lines.unnamed, pull)
  if (digest === null) return
  if (awaitsRoot(pull)) add(lines.awaited, digest, pull)
  if (pull.tag !== null && isHeadOnly(pull)) add(lines.checks, digest, pull)
}
