/**
 * What one fact says by itself: how it was answered, when it ended, what its reference names.
 */
import type { Fact } from '../types.ts'

/**
 * `tag` and `digest` name a manifest; `attached` is a tag that only points from a subject to what was made for
 * it: cosign's `sha256-<hex>.sig|.att|.sbom` and the referrers fallback `sha256-<hex>` (OCI distribution 1.1,
 * "Referrers Tag Schema"). Such tags are never reported as tags (10.3-6).
 */
export type Reference =
  | { kind: 'tag'; tag: string }
  | { kind: 'digest'; digest: string }
  | { kind: 'attached'; subject: string; suffix: 'sig' | 'att' | 'sbom' | null }

const attachedTag = /^(sha256|sha512)-([0-9a-f]{64,128})(?:\.(sig|att|sbom))?$/

/** A tag cannot hold a colon (OCI distribution 1.1, "Pulling manifests"), a digest always does. */
export function parseReference(reference: string): Reference {
  if (reference.includes(':')) return { kind: 'digest', digest: reference }
  const match = attachedTag.exec(reference)
  if (match === null) return { kind: 'tag', tag: reference }
  return {
    kind: 'attached',
    subject: `${match[1]}:${match[2]}`,
    suffix: (match[3] as 'sig' | 'att' | 'sbom' | undefined) ?? null,
  }
}

export function endOf(fact: Fact): number {
  return fact.time + fact.durationMs
}

const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

export function isRedirect(fact: Fact): boolean {
  return redirects.has(fact.status)
}

/** The answers that count as given (CONTRACT 7): 200, 206, 304 and redirects. */
export function isAnswered(fact: Fact): boolean {
  return fact.status === 200 || fact.status === 206 || fact.status === 304 || isRedirect(fact)
}

/** A challenge is no answer: it is counted nowhere (CONTRACT 7, `requests`). */
export function isChallenge(fact: Fact): boolean {
  return fact.status === 401
}

/** Answers after which clients ask the same again by themselves (1.2, rows 429 and 5xx). */
export function isRetryable(fact: Fact): boolean {
  return fact.status === 408 || fact.status === 429 || fact.status >= 500
}

/** The tools built on containers/image. */
const patientTools = new Set(['podman', 'buildah', 'skopeo', 'cri-o'])

/**
 * Ms within which a repeated root request is the client's own retry, not a new attempt. The slowest quick retry is
 * helm's (≤ 3 s), kubelet's back-off begins at 10 s: 8 s lies between. containers/image sleeps up to 60 s on a 429.
 */
export function retryWindowMs(failure: Fact): number {
  const tool = failure.context.client.tool
  return failure.status === 429 && tool !== null && patientTools.has(tool) ? 60_000 : 8_000
}

/** Of two facts with one id: the end wins over heartbeats, of several heartbeats the one that saw most. */
function outranks(a: Fact, b: Fact): boolean {
  if (a.heartbeat !== b.heartbeat) return !a.heartbeat
  if (a.durationMs !== b.durationMs) return a.durationMs > b.durationMs
  if (a.bytesSent !== b.bytesSent) return a.bytesSent > b.bytesSent
  return a.sessionId < b.sessionId
}

export function compareFacts(a: Fact, b: Fact): number {
  return a.time - b.time || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
}

/** One fact for each id, in order of (time, id): the order in which they came says nothing (10.3-8). */
export function orderFacts(facts: readonly Fact[]): Fact[] {
  const byId = new Map<string, Fact>()
  for (const fact of facts) {
    const known = byId.get(fact.id)
    if (known === undefined || outranks(fact, known)) byId.set(fact.id, fact)
  }
  return [...byId.values()].sort(compareFacts)
}

/**
 * Who sends requests without a token of a pull: no client changes its tool, version or platform within a pull (other
 * User-Agents that it may have ask for tokens, or whether there is a registry). So machines behind one address are told
 * apart as far as they differ.
 */
export function machineOf({ context }: Fact): string {
  const { tool, version, os, arch } = context.client
  return context.session_method === 'token' ? 'token' : JSON.stringify([tool, version, os, arch])
}
