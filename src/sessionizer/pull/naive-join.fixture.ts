/**
 * The rules of docs/sessions.md, told without regard to time: each request is compared with every open pull. A twin
 * for tests of what is quick.
 */
import type { Fact, Graph } from '../types.ts'
import { createContentsReader } from './contents.ts'
import { judge } from './kind.ts'
import {
  awaitsDigest,
  findByDigest,
  findByTag,
  findForBlob,
  isAbout,
  isUnknown,
  mayBelong,
  type Naive,
  newest,
  openPulls,
  sharesToken,
  type Test,
} from './naive-finders.fixture.ts'
import { createPull, isDownload, type Origin, type Pull } from './pull.ts'
import { addFact, joinContents, resolveRoot } from './pull-facts.ts'
import { compareFacts, endOf, isAnswered, parseReference } from './request.ts'
import type { KnownTag } from './session.ts'

function takes(root: Pull, waiting: Pull, fact: Fact): boolean {
  if (waiting.origin === 'lists') return waiting.subject === null || isAbout(root, waiting.subject)
  if (waiting.origin === 'attached') return waiting.subject !== null && isAbout(root, waiting.subject)
  return root.contents.some((contents) => fact.digest !== null && contents.blobs.has(fact.digest))
}

function takeWaiting(naive: Naive, root: Pull, by: Fact): void {
  for (const waiting of openPulls(naive, by)) {
    if (waiting === root || waiting.origin === 'root') continue
    if (waiting.origin === 'attached' && root.origin !== 'root') continue
    const isFresh = (fact: Fact) => waiting.origin !== 'orphan' || endOf(fact) + naive.idleMs >= by.time
    const taken = new Set(waiting.facts.filter((fact) => isFresh(fact) && takes(root, waiting, fact)))
    if (taken.size === 0) continue
    const rest = createPull(waiting.origin, 0)
    for (const fact of waiting.facts) addFact(taken.has(fact) ? root : rest, fact)
    naive.joined.set(rest, naive.joined.get(waiting) ?? [])
    if (rest.facts.length === 0) root.contents.push(...waiting.contents)
    naive.pulls.splice(naive.pulls.indexOf(waiting), 1, ...(rest.facts.length === 0 ? [] : [rest]))
  }
}

function start(naive: Naive, origin: Origin): Pull {
  const pull = createPull(origin, 0)
  naive.pulls.push(pull)
  return pull
}

function inferTag(naive: Naive, fact: Fact, digest: string): string | null {
  const checks = [...naive.knownTags]
  for (const pull of naive.pulls) {
    if (pull.tag === null || pull.digest === null || judge(pull).kind !== 'check') continue
    checks.push({ tag: pull.tag, digest: pull.digest, endMs: pull.endMs })
  }
  const isFresh = ({ endMs }: KnownTag) => endMs <= fact.time && fact.time - endMs <= naive.idleMs
  const fresh = checks.filter((check) => check.digest === digest && isFresh(check))
  fresh.sort((a, b) => b.endMs - a.endMs || (a.tag < b.tag ? -1 : 1))
  return fresh[0]?.tag ?? null
}

function startRoot(naive: Naive, fact: Fact, tag: string | null): Pull {
  const pull = start(naive, 'root')
  pull.reference = fact.reference
  pull.tag = tag
  if (tag !== null) pull.tagSource = 'requested'
  else if (fact.method === 'GET') {
    pull.tag = inferTag(naive, fact, fact.reference ?? '')
    if (pull.tag !== null) pull.tagSource = 'inferred'
  }
  takeWaiting(naive, pull, fact)
  return pull
}

function joinManifest(naive: Naive, fact: Fact, tag: string | null): void {
  const digest = tag === null ? fact.reference : null
  const found = digest === null ? findByTag(naive, fact) : findByDigest(naive, fact, digest)
  const pull = found ?? startRoot(naive, fact, tag)
  const resolved = fact.digest ?? digest
  if (isAnswered(fact) && resolved !== null) {
    const isOfRoot = pull.origin === 'root' && (pull.reference === fact.reference || awaitsDigest(pull))
    if (isOfRoot && (pull.digest === null || tag !== null) && pull.digest !== resolved) {
      resolveRoot(pull, resolved, naive.read)
      takeWaiting(naive, pull, fact)
    }
    joinContents(pull, naive.read(resolved))
  }
  addJoined(naive, pull, fact)
  if (found === undefined) takeEarlier(naive, pull, fact)
}

/** Of a token, what its root leads to and was asked for by digest less than a second before it. */
function takeEarlier(naive: Naive, root: Pull, fact: Fact): void {
  if (fact.context.session_method !== 'token' || fact.context.client.tool === 'buildkit') return
  for (const digest of root.contents[0]?.manifests.keys() ?? []) {
    for (const pull of naive.open) {
      const isRoot = pull.origin === 'root' && pull.reference === digest && naive.pulls.includes(pull)
      const isFetched = pull.facts.some((one) => one.method === 'GET' && isDownload(one))
      if (!isRoot || !isFetched || !sharesToken(pull, fact) || pull.startMs < fact.time - 1000) continue
      for (const one of pull.facts) addFact(root, one)
      root.contents.push(...pull.contents.filter((contents) => contents.root !== root.digest))
      naive.pulls.splice(naive.pulls.indexOf(pull), 1)
    }
  }
}

function joinSubject(naive: Naive, fact: Fact, subject: string, origin: Origin): void {
  const isRoot: Test = (pull) => pull.origin === 'root'
  const waits: Test = (pull) => pull.origin === 'attached' || pull.origin === origin
  let pull =
    newest(naive, fact, (one) => isRoot(one) && isAbout(one, subject)) ??
    newest(naive, fact, (one) => waits(one) && isAbout(one, subject)) ??
    newest(naive, fact, (one) => isRoot(one) && isUnknown(one) && mayBelong(one, fact))
  if (pull === undefined) {
    pull = start(naive, origin)
    pull.subject = subject
    if (origin === 'attached') takeWaiting(naive, pull, fact)
  }
  if (origin === 'attached' && isAnswered(fact) && fact.digest !== null) {
    joinContents(pull, naive.read(fact.digest))
  }
  addJoined(naive, pull, fact)
}

function addJoined(naive: Naive, pull: Pull, fact: Fact): void {
  addFact(pull, fact)
  naive.joined.set(pull, [...(naive.joined.get(pull) ?? []), fact])
}

function joinFact(naive: Naive, fact: Fact): void {
  if (fact.class === 'tags') {
    const isTagList: Test = (pull) => pull.origin === 'lists' && pull.subject === null
    const found = newest(naive, fact, (pull) => pull.origin === 'root') ?? newest(naive, fact, isTagList)
    addJoined(naive, found ?? start(naive, 'lists'), fact)
  } else if (fact.class === 'referrers') {
    joinSubject(naive, fact, fact.reference ?? fact.digest ?? '', 'lists')
  } else if (fact.class === 'blob') {
    const found = findForBlob(naive, fact, fact.reference ?? fact.digest ?? '')
    addJoined(naive, found ?? start(naive, 'orphan'), fact)
  } else {
    const reference = parseReference(fact.reference ?? '')
    if (reference.kind === 'attached') joinSubject(naive, fact, reference.subject, 'attached')
    else joinManifest(naive, fact, reference.kind === 'tag' ? reference.tag : null)
  }
}

/** As `joinFacts`. */
export function joinNaively(
  facts: readonly Fact[],
  graph: Graph,
  idleMs: number,
  knownTags: readonly KnownTag[],
): Pull[] {
  const read = createContentsReader(graph)
  const naive: Naive = { pulls: [], open: [], graph, idleMs, read, knownTags, joined: new Map() }
  for (const fact of facts) {
    naive.open = openPulls(naive, fact)
    joinFact(naive, fact)
  }
  for (const pull of naive.pulls) pull.facts.sort(compareFacts)
  return naive.pulls.sort((a, b) => compareFacts(a.facts[0] as Fact, b.facts[0] as Fact))
}
