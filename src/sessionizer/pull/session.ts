/**
 * The pulls of one machine while its facts are joined to them, in order of (time, id), and what they are found by.
 * A busy client has thousands of pulls open at once: each request is compared only with those that it may belong to.
 */
import type { Fact, Graph } from '../types.ts'
import { isClosedAt } from './closing.ts'
import { type Contents, createContentsReader } from './contents.ts'
import { addToLine, createLine, type Line } from './line.ts'
import { createPull, hasUnknownContents, isHeadOnly, isTokenPull, type Origin, type Pull } from './pull.ts'
import { createRecency, noteActivity, type Recency } from './recency.ts'
import { addToRootLines, createRootLines, type RootLines } from './root-lines.ts'
import { type Logs, logOf, type Shelving } from './shelf.ts'

/** A check that gave its event in an earlier run, or in this one: lends its tag to a later pull of its digest. */
export type KnownTag = { tag: string; digest: string; endMs: number }

/** What the machines behind one address share. */
export type Client = {
  /** In order of creation, those taken over too. */
  pulls: Pull[]
  idleMs: number
  read: (digest: string) => Contents
  /** Tags that were resolved before, by digest; and those of checks that are pulls here. */
  knownTags: Map<string, KnownTag[]>
  checks: Map<string, Line>
}

export type Session = Shelving & {
  client: Client
  idleMs: number
  read: (digest: string) => Contents
  /** Several tokens: else all pulls share that of a fact, or none does. */
  isMixed: boolean
  /** Those that some pull holds. */
  tokens: Set<string>
  recency: Recency
  rootLines: RootLines
  roots: Line
  orphans: Line
  /** All that are no root. */
  waiting: Line
  /** Lists of tags, which have no subject. */
  tagLists: Line
  unknown: Line
}

export function createClient(graph: Graph, idleMs: number, knownTags: readonly KnownTag[]): Client {
  return {
    pulls: [],
    idleMs,
    read: createContentsReader(graph),
    knownTags: Map.groupBy(knownTags, ({ digest }) => digest),
    checks: new Map(),
  }
}

export function createSession(client: Client, isMixed: boolean): Session {
  const logs: Logs = {
    transfers: new Map(),
    contents: new Map(),
    subjects: new Map(),
    manifests: new Map(),
    blobs: new Map(),
  }
  const seen = new Set<string>()
  function read(root: string): Contents {
    const contents = client.read(root)
    if (seen.has(root)) return contents
    seen.add(root)
    for (const digest of contents.manifests.keys()) logOf(logs.manifests, digest).push(contents)
    for (const digest of contents.blobs.keys()) logOf(logs.blobs, digest).push(contents)
    return contents
  }
  return {
    client,
    idleMs: client.idleMs,
    nowMs: Number.NEGATIVE_INFINITY,
    read,
    isMixed,
    tokens: new Set(),
    recency: createRecency(),
    rootLines: createRootLines(client.checks),
    roots: createLine(),
    orphans: createLine(),
    waiting: createLine(),
    tagLists: createLine(),
    unknown: createLine(),
    logs,
    shelves: { blobs: new Map(), manifests: new Map(), subjects: new Map() },
  }
}

export function isOpen(session: Session, pull: Pull): boolean {
  return !pull.taken && !isClosedAt(pull, session.nowMs, session.idleMs)
}

const anyPull = (): boolean => true

/**
 * Of pulls that all fit, those that hold facts of the same token, if any do: a token is stronger than any guess
 * (10.1). containerd's first GET brings a token that no pull holds. It is the last choice: were it to rule out pulls
 * before it is known which of them fit, a pull that is finished and gone in one run would have ruled out others in the
 * run before, and facts would change their pull.
 */
export function preferToken(
  session: Session,
  fact: Fact,
  choose: (may: (pull: Pull) => boolean) => Pull | undefined,
): Pull | undefined {
  if (!session.isMixed || !session.tokens.has(fact.sessionId)) return choose(anyPull)
  return choose((pull) => sharesToken(pull, fact)) ?? choose(anyPull)
}

/** Whether a fact may join by guess alone: never a pull that another token already fetched for. */
export function mayBelong(pull: Pull, fact: Fact): boolean {
  if (fact.context.session_method !== 'token') return true
  return sharesToken(pull, fact) || isHeadOnly(pull)
}

export function sharesToken(pull: Pull, fact: Fact): boolean {
  return isTokenPull(pull) && pull.sessionIds.has(fact.sessionId)
}

export function startPull(session: Session, origin: Origin): Pull {
  const { pulls } = session.client
  const pull = createPull(origin, pulls.length)
  pulls.push(pull)
  return pull
}

function addToOriginLines(session: Session, pull: Pull): void {
  if (pull.origin === 'root') {
    addToLine(session.roots, pull)
    return
  }
  addToLine(session.waiting, pull)
  if (pull.origin === 'orphan') addToLine(session.orphans, pull)
  if (pull.subject !== null) logOf(session.logs.subjects, pull.subject).push(pull)
  else if (pull.origin === 'lists') addToLine(session.tagLists, pull)
}

/** To be called when facts were added: from then on the pull is found by them. */
export function settlePull(session: Session, pull: Pull, fact: Fact | null): void {
  const { logs } = session
  const { news } = pull
  if (fact !== null) noteActivity(session.recency, pull, fact)
  for (const digest of news.transfers) logOf(logs.transfers, digest).push(pull)
  for (const { root } of news.contents) logOf(logs.contents, root).push(pull)
  news.transfers.length = 0
  news.contents.length = 0
  if (session.isMixed && isTokenPull(pull)) for (const id of pull.sessionIds) session.tokens.add(id)
  if (news.revision === -1) addToOriginLines(session, pull)
  else if (news.revision === pull.revision && fact?.class !== 'manifest') return
  news.revision = pull.revision
  if (hasUnknownContents(pull)) addToLine(session.unknown, pull)
  if (pull.origin === 'root') addToRootLines(session.rootLines, pull)
}
