/**
 * From the facts of one session and the manifest graph to package events: what is a pull, and what was it?
 * docs/sessions.md is the model; section numbers in comments are those of its sources.
 */
import type { Manifest } from '../record/events.ts'
import { isClosedAt } from './pull/closing.ts'
import { imageConfigOf, manifestIn } from './pull/contents.ts'
import { joinFacts } from './pull/join.ts'
import { judge } from './pull/kind.ts'
import { createPackageEvent } from './pull/package-event.ts'
import { isTokenPull, type Pull } from './pull/pull.ts'
import { compareFacts, isChallenge, orderFacts, parseReference } from './pull/request.ts'
import type { KnownTag } from './pull/session.ts'
import { createSurroundings, type EarlierEvent, type OtherSessions } from './pull/surroundings.ts'
import type { Fact, Graph, Summary } from './types.ts'

export type SummaryInput = {
  /** The session's key in the store. Events name the sessions of their facts instead. */
  sessionId: string
  /** In any order, with any repeats. */
  facts: readonly Fact[]
  graph: Graph
  /** Unix ms: all facts that began before it have arrived, or a heartbeat of them. */
  watermark: number
  /** The session is idle: everything is decided now. */
  closing: boolean
  /** Ms without a request after which a pull is over; a check after 10 s if that is sooner. */
  idleMs: number
  /** The node that summarises. Events name the node that served their first request instead. */
  node: string
  /** Events that earlier runs made of this session (of the last 10 min): for attempts, batches and inferred tags. */
  earlier?: readonly EarlierEvent[]
  /** Without it tags are inferred and attempts counted within this session alone. */
  others?: OtherSessions
}

function checkedTags(earlier: readonly EarlierEvent[]): KnownTag[] {
  return earlier.flatMap(({ kind, tag, digest, ended_at }) =>
    kind === 'check' && tag !== null && digest !== null ? [{ tag, digest, endMs: Date.parse(ended_at) }] : [],
  )
}

/** When (unix ms) the first pull of each token that got all of its image was over. */
function settledTokens(pulls: readonly Pull[], earlier: readonly EarlierEvent[]): Map<string, number> {
  const tokens = new Map<string, number>()
  const settle = (ids: Iterable<string>, endMs: number) => {
    for (const id of ids) tokens.set(id, Math.min(endMs, tokens.get(id) ?? endMs))
  }
  for (const pull of pulls) {
    if (isTokenPull(pull) && judge(pull).kind === 'full') settle(pull.sessionIds, pull.endMs)
  }
  for (const { session_method, kind, session_ids, ended_at } of earlier) {
    if (session_method === 'token' && kind === 'full') settle(session_ids, Date.parse(ended_at))
  }
  return tokens
}

/** Blobs that a token asks for again after its pull was over (10.3-12, expired links) make no second pull. */
function isLateRepeat(pull: Pull, settled: ReadonlyMap<string, number>): boolean {
  if (pull.origin !== 'orphan' || !isTokenPull(pull)) return false
  return [...pull.sessionIds].every((id) => (settled.get(id) ?? Number.POSITIVE_INFINITY) <= pull.startMs)
}

/** Pure: the same input gives the same summary, whatever the order and the repeats of its facts. */
export function summarise(input: SummaryInput): Summary {
  const earlier = input.earlier ?? []
  const facts = orderFacts(input.facts)
  const counted = facts.filter((fact) => !isChallenge(fact))
  const pulls = joinFacts(counted, input.graph, input.idleMs, checkedTags(earlier))
  const settled = settledTokens(pulls, earlier)
  const around = createSurroundings(pulls, earlier, input.idleMs, input.others ?? {})
  const summary: Summary = { finished: [], remaining: [], discarded: [] }
  for (const pull of pulls) {
    const factIds = pull.facts.map((fact) => fact.id)
    if (!input.closing && !isClosedAt(pull, input.watermark, input.idleMs))
      for (const fact of pull.facts) summary.remaining.push(fact)
    else if (isLateRepeat(pull, settled)) for (const id of factIds) summary.discarded.push(id)
    else summary.finished.push({ event: createPackageEvent(pull, around(pull), input.graph), factIds })
  }
  for (const fact of facts) if (isChallenge(fact)) summary.discarded.push(fact.id)
  summary.remaining.sort(compareFacts)
  return summary
}

/**
 * The children of indexes that are needed: where blobs were requested, and it is not plain which of them has them: no
 * child was fetched by GET, or nothing that is known explains some blob.
 */
function neededChildren(
  manifests: ReadonlySet<string>,
  fetched: ReadonlySet<string>,
  blobs: ReadonlySet<string>,
  graph: Graph,
): Manifest['manifests'] {
  const unexplained = new Set(blobs)
  for (const manifest of graph.values()) {
    if (manifest.config !== null) unexplained.delete(manifest.config.digest)
    for (const layer of manifest.layers) unexplained.delete(layer.digest)
  }
  return [...manifests].flatMap((digest) => {
    const children = graph.get(digest)?.manifests ?? []
    const isPlain = unexplained.size === 0 && children.some((child) => fetched.has(child.digest))
    return isPlain ? [] : children
  })
}

/**
 * Digests that must be looked up for these facts and are not in the graph: call again with what was found until
 * none is new. Manifests, and the configs of those images whose platform no index says: which of the images that were
 * asked for an index leads to depends on the pull, so theirs are all asked for.
 */
export function needsManifests(facts: readonly Fact[], graph: Graph): string[] {
  const manifests = new Set<string>()
  const fetched = new Set<string>()
  const blobs = new Set<string>()
  for (const fact of facts) {
    if (fact.class === 'blob') blobs.add(fact.reference ?? '')
    if (fact.class !== 'manifest') continue
    const digest = fact.digest ?? fact.reference
    if (digest === null || parseReference(digest).kind !== 'digest') continue
    manifests.add(digest)
    if (fact.method === 'GET') fetched.add(digest)
  }
  const children = blobs.size > 0 ? neededChildren(manifests, fetched, blobs, graph) : []
  const unplaced = children.filter(({ platform }) => platform === null).map(({ digest }) => digest)
  const wanted = new Set([...manifests, ...children.map(({ digest }) => digest)])
  for (const digest of [...manifests, ...unplaced]) {
    const config = imageConfigOf(manifestIn(graph, digest))
    if (config !== null) wanted.add(config)
  }
  return [...wanted].filter((digest) => !graph.has(digest))
}
