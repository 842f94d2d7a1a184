/**
 * A pull while it is put together: its facts, what its root resolved to, what that leads to, what was asked of it.
 */
import type { Fact } from '../types.ts'
import type { BlobUse, Contents, ManifestRole, ManifestUse } from './contents.ts'
import { endOf, isAnswered, parseReference } from './request.ts'
import { addToTransfer, createTransfer, isFinished, type Transfer } from './transfer.ts'

/**
 * How the pull began. `root`: a manifest by tag or digest. The others wait for a root and become records of their
 * own if none comes (10.1): `orphan`: blobs alone; `attached`: what belongs to a subject that was not asked for
 * (signatures); `lists`: tags or referrers.
 */
export type Origin = 'root' | 'orphan' | 'attached' | 'lists'

export type Pull = {
  origin: Origin
  /** What the root was asked by: tag or digest. */
  reference: string | null
  tag: string | null
  tagSource: 'requested' | 'inferred' | null
  /** What the root resolved to, from HEAD or GET. */
  digest: string | null
  /** Digest that attached tags or referrers lists speak of, when there is no root. */
  subject: string | null
  facts: Fact[]
  sessionIds: Set<string>
  /** Of the root, then of each manifest that joined without being one of its children. */
  contents: Contents[]
  /** GETs of manifests and blobs, by digest (a manifest of unknown digest: by reference). */
  transfers: Map<string, Transfer>
  /** The root was answered at least once. */
  resolved: boolean
  /** The last request for the root that was not answered, until one is. */
  rootFailure: Fact | null
  startMs: number
  endMs: number
}

export function createPull(origin: Origin): Pull {
  return {
    origin,
    reference: null,
    tag: null,
    tagSource: null,
    digest: null,
    subject: null,
    facts: [],
    sessionIds: new Set(),
    contents: [],
    transfers: new Map(),
    resolved: false,
    rootFailure: null,
    startMs: Number.POSITIVE_INFINITY,
    endMs: Number.NEGATIVE_INFINITY,
  }
}

export function isRootRequest(pull: Pull, fact: Fact): boolean {
  if (fact.class !== 'manifest' || pull.origin !== 'root') return false
  if (fact.reference === pull.reference) return true
  return pull.digest !== null && (fact.reference === pull.digest || fact.digest === pull.digest)
}

/** Manifests are known by what they resolved to; the root also when an answer left that out. */
function transferKey(pull: Pull, fact: Fact): string | null {
  if (fact.class !== 'blob' && fact.class !== 'manifest') return null
  if (fact.digest !== null) return fact.digest
  const ofRoot = fact.reference === pull.reference && isAnswered(fact)
  return ofRoot && pull.digest !== null ? pull.digest : fact.reference
}

function addTransfer(pull: Pull, fact: Fact): void {
  const key = fact.method === 'GET' ? transferKey(pull, fact) : null
  if (key === null) return
  const transfer = pull.transfers.get(key) ?? createTransfer(key, fact)
  pull.transfers.set(key, transfer)
  addToTransfer(transfer, fact)
}

export function addFact(pull: Pull, fact: Fact): void {
  pull.facts.push(fact)
  pull.sessionIds.add(fact.sessionId)
  pull.startMs = Math.min(pull.startMs, fact.time)
  pull.endMs = Math.max(pull.endMs, endOf(fact))
  addTransfer(pull, fact)
  if (!isRootRequest(pull, fact)) return
  if (!isAnswered(fact)) {
    pull.rootFailure = fact
    return
  }
  pull.resolved = true
  pull.rootFailure = null
}

/** Says what the root resolved to. What was read before under the tag counts for the digest from now on. */
export function resolveRoot(pull: Pull, digest: string, read: (root: string) => Contents): void {
  if (pull.digest === digest) return
  pull.digest = digest
  pull.contents = [read(digest), ...pull.contents.filter((contents) => contents.root !== digest)]
  if (pull.reference === null) return
  const early = pull.transfers.get(pull.reference)
  if (early === undefined || !early.answered || pull.reference === digest) return
  pull.transfers.delete(pull.reference)
  for (const fact of pull.facts) if (fact.reference === pull.reference) addTransfer(pull, fact)
}

/** Adds a manifest that the root does not lead to: a signature, or a child of an index that is not in the graph. */
export function joinContents(pull: Pull, contents: Contents): void {
  if (manifestUse(pull, contents.root) === null) pull.contents.push(contents)
}

export function manifestUse(pull: Pull, digest: string): ManifestUse | null {
  for (const contents of pull.contents) {
    const use = contents.manifests.get(digest)
    if (use !== undefined) return use
  }
  return null
}

export function manifestRole(pull: Pull, digest: string): ManifestRole {
  return manifestUse(pull, digest)?.role ?? 'unknown'
}

export function blobUses(pull: Pull, digest: string): BlobUse[] {
  return pull.contents.flatMap((contents) => contents.blobs.get(digest) ?? [])
}

/** Size by descriptor, null when no known manifest speaks of the digest. */
export function descriptorSize(pull: Pull, digest: string): number | null {
  return manifestUse(pull, digest)?.size ?? blobUses(pull, digest)[0]?.size ?? null
}

export function isDelivered(pull: Pull, digest: string): boolean {
  const transfer = pull.transfers.get(digest)
  return transfer !== undefined && isFinished(transfer, descriptorSize(pull, digest))
}

/** Some manifest of the pull is not in the graph: what it leads to cannot be told from what it does not. */
export function hasUnknownContents(pull: Pull): boolean {
  if (pull.origin === 'root' && !pull.resolved) return false
  if (pull.origin === 'root' && pull.digest === null) return true
  const root = pull.contents[0]
  if (root !== undefined && !root.manifests.get(root.root)?.known) return true
  for (const [digest, transfer] of pull.transfers) {
    if (transfer.class === 'manifest' && transfer.answered && !manifestUse(pull, digest)?.known) return true
  }
  return false
}

/** The platform manifests that were fetched, each once. */
export function fetchedPlatforms(pull: Pull): string[] {
  const fetched: string[] = []
  for (const [digest, transfer] of pull.transfers) {
    if (transfer.class !== 'manifest' || !transfer.answered) continue
    if (manifestRole(pull, digest) === 'platform') fetched.push(digest)
  }
  return fetched
}

/** Only HEADs so far: lists and attached tags say nothing of a download. Closes sooner than others (CONTRACT 2). */
export function isHeadOnly(pull: Pull): boolean {
  if (pull.origin !== 'root') return false
  return !pull.facts.some((fact) => fact.method === 'GET' && isDownload(fact))
}

export function isDownload(fact: Fact): boolean {
  if (fact.class === 'blob') return true
  return fact.class === 'manifest' && parseReference(fact.reference ?? '').kind !== 'attached'
}

export function isTokenPull(pull: Pull): boolean {
  return pull.facts[0]?.context.session_method === 'token'
}
