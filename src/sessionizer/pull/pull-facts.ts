/**
 * What happens to a pull: facts are added or taken out, its root is resolved, manifests join it.
 */
import type { Fact } from '../types.ts'
import type { Contents } from './contents.ts'
import { contentsWith, isDownload, isRootRequest, isTokenPull, manifestUse, type Pull } from './pull.ts'
import { endOf, isAnswered } from './request.ts'
import { addToTransfer, createTransfer } from './transfer.ts'

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
  let transfer = pull.transfers.get(key)
  if (transfer === undefined) {
    transfer = createTransfer(key, fact)
    pull.transfers.set(key, transfer)
  }
  const wasAnswered = transfer.answered
  addToTransfer(transfer, fact)
  pull.news.transfers.push(key)
  // Its root asked for among the blobs.
  if (fact.class === 'blob' && (key === pull.digest || key === pull.reference)) pull.revision += 1
  if (wasAnswered === transfer.answered) return
  // Its blobs are expected from now on.
  const contents = contentsWith(pull, key)
  if (contents !== null) pull.news.contents.push(contents)
  if (contents !== null || transfer.class === 'manifest') pull.revision += 1
}

function addByDigest(pull: Pull, fact: Fact): void {
  if (pull.byDigest === null || fact.digest === null) return
  const same = pull.byDigest.get(fact.digest)
  if (same === undefined) pull.byDigest.set(fact.digest, [fact])
  else same.push(fact)
}

/** Takes facts out of an orphan. The rest begins anew: manifests that came along speak of what was taken. */
export function removeFacts(pull: Pull, taken: ReadonlySet<Fact>): void {
  const keys = new Set<string>()
  for (const fact of taken) if (fact.digest !== null) keys.add(fact.digest)
  const wasToken = isTokenPull(pull)
  pull.facts = pull.facts.filter((fact) => !taken.has(fact))
  pull.taken = pull.facts.length === 0
  pull.sessionIds.clear()
  pull.startMs = Number.POSITIVE_INFINITY
  pull.endMs = Number.NEGATIVE_INFINITY
  pull.downloads = 0
  pull.heartbeats = 0
  pull.contents = []
  pull.kept.later = null
  pull.revision += 1
  for (const key of keys) {
    pull.byDigest?.delete(key)
    pull.transfers.delete(key)
  }
  for (const fact of pull.facts) {
    countFact(pull, fact)
    const key = transferKey(pull, fact)
    if (key === null || !keys.has(key)) continue
    addByDigest(pull, fact)
    addTransfer(pull, fact)
  }
  // What is found by its token is looked up by what it asked for.
  if (isTokenPull(pull) !== wasToken) for (const key of pull.transfers.keys()) pull.news.transfers.push(key)
}

function countFact(pull: Pull, fact: Fact): void {
  pull.sessionIds.add(fact.sessionId)
  pull.startMs = Math.min(pull.startMs, fact.time)
  pull.endMs = Math.max(pull.endMs, endOf(fact))
  if (fact.method === 'GET' && isDownload(fact)) pull.downloads += 1
  if (fact.heartbeat) pull.heartbeats += 1
}

export function addFact(pull: Pull, fact: Fact): void {
  pull.facts.push(fact)
  addByDigest(pull, fact)
  countFact(pull, fact)
  addTransfer(pull, fact)
  const answered = isAnswered(fact)
  if (answered && fact.class === 'manifest' && fact.method === 'GET' && fact.reference !== null) {
    pull.fetched.add(fact.reference)
  }
  if (!isRootRequest(pull, fact)) return
  if (!answered) {
    pull.rootFailure = fact
    return
  }
  if (!pull.resolved) pull.revision += 1
  pull.resolved = true
  pull.rootFailure = null
}

/** Says what the root resolved to. What was read before under the tag counts for the digest from now on. */
export function resolveRoot(pull: Pull, digest: string, read: (root: string) => Contents): void {
  if (pull.digest === digest) return
  pull.digest = digest
  pull.contents = [read(digest), ...pull.contents.filter((contents) => contents.root !== digest)]
  pull.revision += 1
  pull.kept.later = null
  for (const contents of pull.contents) pull.news.contents.push(contents)
  if (pull.reference === null) return
  const early = pull.transfers.get(pull.reference)
  if (early === undefined || !early.answered || pull.reference === digest) return
  pull.transfers.delete(pull.reference)
  pull.news.transfers.push(pull.reference)
  for (const fact of pull.facts) if (fact.reference === pull.reference) addTransfer(pull, fact)
}

/** Adds a manifest that the root does not lead to: a signature, or a child of an index that is not in the graph. */
export function joinContents(pull: Pull, contents: Contents): void {
  if (manifestUse(pull, contents.root) === null) addContents(pull, contents)
}

export function addContents(pull: Pull, contents: Contents): void {
  pull.contents.push(contents)
  pull.news.contents.push(contents)
  pull.revision += 1
}
