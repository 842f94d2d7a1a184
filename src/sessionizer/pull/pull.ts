/**
 * A pull while it is put together: its facts, what its root resolved to, what that leads to, what was asked of it.
 * What is asked for each fact is counted as facts come, or kept until something changes it: a pull can have thousands.
 */
import type { Fact } from '../types.ts'
import type { BlobUse, Contents, ManifestRole, ManifestUse } from './contents.ts'
import { parseReference } from './request.ts'
import { isFinished, type Transfer } from './transfer.ts'

/**
 * How the pull began. `root`: a manifest by tag or digest. The others wait for a root and become records of their
 * own if none comes (10.1): `orphan`: blobs alone; `attached`: what belongs to a subject that was not asked for
 * (signatures); `lists`: tags or referrers.
 */
export type Origin = 'root' | 'orphan' | 'attached' | 'lists'

export type Pull = {
  origin: Origin
  /** Place in the order of creation. */
  order: number
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
  /** Of an orphan alone: what it may give to a root that has the blob. */
  byDigest: Map<string, Fact[]> | null
  /** GETs of manifests and blobs, by digest (a manifest of unknown digest: by reference). */
  transfers: Map<string, Transfer>
  /** The root was answered at least once. */
  resolved: boolean
  /** The last request for the root that was not answered, until one is. */
  rootFailure: Fact | null
  startMs: number
  endMs: number
  /** GETs of manifests and blobs. */
  downloads: number
  /** Digests by which manifests were asked for with GET, and answered. */
  fetched: Set<string>
  heartbeats: number
  /** Its facts are another's now. */
  taken: boolean
  /** Grows with whatever changes what is known of its manifests. */
  revision: number
  kept: Kept
  news: News
}

/** What was found out before, and under which revision. */
type Kept = {
  platforms: readonly string[]
  platformsAt: number
  hasUnknown: boolean
  hasUnknownAt: number
  /** With so many facts. */
  isComplete: boolean
  isCompleteAt: number
  isCompleteOf: number
  /** How many of the first facts speak of the root alone, while it had this digest. */
  rootFacts: number
  rootFactsOf: string | null
  later: LaterContents | null
}

/** All contents but the first in one, where there are many; of equal digests the earlier wins. */
type LaterContents = {
  count: number
  manifests: Map<string, Contents>
  blobs: Map<string, BlobUse[]>
}

/** What changed since the session last looked: by it the pull is found (see session.ts). */
export type News = { revision: number; transfers: string[]; contents: Contents[] }

/** Fewer are walked through faster than looked up. */
const manyContents = 8

export function createPull(origin: Origin, order: number): Pull {
  return {
    origin,
    order,
    reference: null,
    tag: null,
    tagSource: null,
    digest: null,
    subject: null,
    facts: [],
    sessionIds: new Set(),
    contents: [],
    byDigest: origin === 'orphan' ? new Map() : null,
    transfers: new Map(),
    resolved: false,
    rootFailure: null,
    startMs: Number.POSITIVE_INFINITY,
    endMs: Number.NEGATIVE_INFINITY,
    downloads: 0,
    fetched: new Set(),
    heartbeats: 0,
    taken: false,
    revision: 0,
    kept: {
      platforms: [],
      platformsAt: -1,
      hasUnknown: false,
      hasUnknownAt: -1,
      isComplete: false,
      isCompleteAt: -1,
      isCompleteOf: 0,
      rootFacts: 0,
      rootFactsOf: null,
      later: null,
    },
    news: { revision: -1, transfers: [], contents: [] },
  }
}

export function isRootRequest(pull: Pull, fact: Fact): boolean {
  if (fact.class !== 'manifest' || pull.origin !== 'root') return false
  if (fact.reference === pull.reference) return true
  return pull.digest !== null && (fact.reference === pull.digest || fact.digest === pull.digest)
}

/** Nothing but its root was asked for, and lists of tags. */
export function hasOnlyRootFacts(pull: Pull): boolean {
  const { kept, facts } = pull
  if (kept.rootFactsOf !== pull.digest) {
    kept.rootFactsOf = pull.digest
    kept.rootFacts = 0
  }
  for (let fact = facts[kept.rootFacts]; fact !== undefined; fact = facts[++kept.rootFacts]) {
    if (!isRootRequest(pull, fact) && fact.class !== 'tags') return false
  }
  return true
}

function laterContents(pull: Pull): LaterContents {
  let later = pull.kept.later
  if (later === null) {
    later = { count: 1, manifests: new Map(), blobs: new Map() }
    pull.kept.later = later
  }
  for (let next = pull.contents[later.count]; next !== undefined; next = pull.contents[++later.count]) {
    for (const digest of next.manifests.keys()) {
      if (!later.manifests.has(digest)) later.manifests.set(digest, next)
    }
    for (const [digest, uses] of next.blobs) {
      const known = later.blobs.get(digest)
      if (known === undefined) later.blobs.set(digest, [...uses])
      else for (const use of uses) known.push(use)
    }
  }
  return later
}

/** The first of its contents that has this manifest. */
export function contentsWith(pull: Pull, digest: string): Contents | null {
  if (pull.contents.length <= manyContents) {
    return pull.contents.find((contents) => contents.manifests.has(digest)) ?? null
  }
  const root = pull.contents[0]
  return root?.manifests.has(digest) ? root : (laterContents(pull).manifests.get(digest) ?? null)
}

export function manifestUse(pull: Pull, digest: string): ManifestUse | null {
  return contentsWith(pull, digest)?.manifests.get(digest) ?? null
}

export function manifestRole(pull: Pull, digest: string): ManifestRole {
  return manifestUse(pull, digest)?.role ?? 'unknown'
}

const noUses: readonly BlobUse[] = []

export function blobUses(pull: Pull, digest: string): readonly BlobUse[] {
  const own = pull.contents[0]?.blobs.get(digest) ?? noUses
  if (pull.contents.length <= 1) return own
  if (pull.contents.length > manyContents) {
    const others = laterContents(pull).blobs.get(digest)
    return others === undefined ? own : [...own, ...others]
  }
  return pull.contents.flatMap((contents) => contents.blobs.get(digest) ?? noUses)
}

/** Size by descriptor, null when no known manifest speaks of the digest. */
export function descriptorSize(pull: Pull, digest: string): number | null {
  return manifestUse(pull, digest)?.size ?? blobUses(pull, digest)[0]?.size ?? null
}

export function isDelivered(pull: Pull, digest: string): boolean {
  const transfer = pull.transfers.get(digest)
  if (transfer === undefined) return false
  return isFinished(transfer, transfer.size ?? descriptorSize(pull, digest))
}

function findUnknownContents(pull: Pull): boolean {
  if (pull.origin === 'root' && !pull.resolved) return false
  if (pull.origin === 'root' && pull.digest === null) return true
  const root = pull.contents[0]
  if (root !== undefined && !root.manifests.get(root.root)?.known) return true
  for (const [digest, transfer] of pull.transfers) {
    if (transfer.class === 'manifest' && transfer.answered && !manifestUse(pull, digest)?.known) return true
  }
  return false
}

/** Some manifest of the pull is not in the graph: what it leads to cannot be told from what it does not. */
export function hasUnknownContents(pull: Pull): boolean {
  const { kept } = pull
  if (kept.hasUnknownAt !== pull.revision) {
    kept.hasUnknown = findUnknownContents(pull)
    kept.hasUnknownAt = pull.revision
  }
  return kept.hasUnknown
}

/** The platform manifests that were fetched, each once. */
export function fetchedPlatforms(pull: Pull): readonly string[] {
  const { kept } = pull
  if (kept.platformsAt === pull.revision) return kept.platforms
  const fetched: string[] = []
  for (const [digest, transfer] of pull.transfers) {
    if (transfer.class !== 'manifest' || !transfer.answered) continue
    if (manifestRole(pull, digest) === 'platform') fetched.push(digest)
  }
  kept.platforms = fetched
  kept.platformsAt = pull.revision
  return fetched
}

/** Only HEADs so far: lists and attached tags say nothing of a download. Closes sooner than others (CONTRACT 2). */
export function isHeadOnly(pull: Pull): boolean {
  return pull.origin === 'root' && pull.downloads === 0
}

export function isDownload(fact: Fact): boolean {
  if (fact.class === 'blob') return true
  return fact.class === 'manifest' && parseReference(fact.reference ?? '').kind !== 'attached'
}

export function isTokenPull(pull: Pull): boolean {
  return pull.facts[0]?.context.session_method === 'token'
}
