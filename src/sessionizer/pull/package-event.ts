/**
 * The package event of a pull (CONTRACT 7), its id, and what it takes from the session around it.
 */
import { hash } from 'node:crypto'
import type { Manifest, PackageEvent } from '../../record/events.ts'
import type { Fact, FactContext, Graph } from '../types.ts'
import { isAttachedKind, manifestIn } from './contents.ts'
import { countForOthers, countRequests, countTraffic } from './counts.ts'
import { imageTransfers, platformsOf } from './delivery.ts'
import { attachedSubject, judge, type Verdict } from './kind.ts'
import { manifestRole, manifestUse, type Pull } from './pull.ts'
import { isAnswered, parseReference } from './request.ts'
import { isResumed } from './transfer.ts'

/** What only the rest of the session tells. */
export type Surroundings = {
  attempts: number
  batchId: string | null
  /** Of a pull by digest for which the session itself knows no tag. */
  tag: string | null
}

/** First byte of what is hashed: a change of the framing, or another use of it, gives other ids. */
const idUses = { event: 1, batch: 2, checks: 3 } as const

/** Each part behind its length in bytes (u32, big-endian), so that no two lists of parts have the same bytes. */
export function hashId(use: keyof typeof idUses, parts: readonly string[]): string {
  const pieces: Uint8Array[] = [Uint8Array.of(idUses[use])]
  for (const part of parts) {
    const bytes = Buffer.from(part, 'utf8')
    const length = Buffer.allocUnsafe(4)
    length.writeUInt32BE(bytes.length)
    pieces.push(length, bytes)
  }
  return hash('sha256', Buffer.concat(pieces), 'hex').slice(0, 32)
}

/** The fact whose client, place and network the event has: a token's address may be another machine's (10.3-16). */
function contextOf(facts: readonly Fact[]): FactContext {
  const resource = facts.find((fact) => fact.class === 'manifest' || fact.class === 'blob')
  const chosen = resource ?? facts[0]
  if (chosen === undefined) throw new Error('a pull without facts has no event')
  return chosen.context
}

/** The attached manifests that were fetched, in order. */
function attachedManifests(pull: Pull): string[] {
  const digests = pull.facts
    .filter((fact) => fact.class === 'manifest' && isAnswered(fact))
    .map((fact) => fact.digest)
  return digests
    .filter((digest) => digest !== null)
    .filter((digest) => manifestRole(pull, digest) === 'attached')
}

const suffixArtifacts = { sig: 'signature', att: 'attestation', sbom: 'sbom' } as const

function artifactOfTags(pull: Pull): PackageEvent['artifact'] {
  const named = pull.facts.map((fact) => parseReference(fact.reference ?? ''))
  for (const reference of named) {
    if (reference.kind === 'attached' && reference.suffix !== null) return suffixArtifacts[reference.suffix]
  }
  return 'other'
}

function artifactOf(
  pull: Pull,
  verdict: Verdict,
  platforms: readonly string[],
  graph: Graph,
): PackageEvent['artifact'] {
  if (verdict.type === 'discovery') return 'other'
  if (verdict.type === 'verify') {
    const kind = attachedManifests(pull)
      .map((digest) => graph.get(digest)?.kind)
      .find((one): one is 'signature' | 'attestation' | 'sbom' => one !== undefined && isAttachedKind(one))
    return kind ?? artifactOfTags(pull)
  }
  const known = (digest: string | null | undefined): Manifest['kind'] | undefined =>
    manifestIn(graph, digest ?? '')?.kind
  const kind = known(platforms[0]) ?? known(pull.digest)
  return kind === undefined || kind === 'index' ? 'image' : kind
}

function subjectOf(pull: Pull, verdict: Verdict, graph: Graph): string | null {
  if (pull.subject !== null) return pull.subject
  const root = graph.get(pull.digest ?? '')?.subject ?? null
  if (verdict.type !== 'verify' || root !== null) return root
  const named = pull.facts.map((fact) => attachedSubject(pull, fact)).find((subject) => subject !== null)
  return named ?? pull.digest
}

function digestOf(pull: Pull): string | null {
  if (pull.digest !== null) return pull.digest
  if (pull.origin === 'attached') return attachedManifests(pull)[0] ?? null
  return pull.reference?.includes(':') ? pull.reference : null
}

function platformFields(
  pull: Pull,
  platforms: readonly string[],
): Pick<PackageEvent, 'platform' | 'platform_digest'> {
  const [only, ...others] = platforms
  if (only === undefined) return { platform: null, platform_digest: null }
  if (others.length > 0) return { platform: 'multiple', platform_digest: null }
  return { platform: manifestUse(pull, only)?.platform ?? null, platform_digest: only }
}

/** `pull.facts` must be in order of (time, id). */
export function createPackageEvent(pull: Pull, around: Surroundings, graph: Graph): PackageEvent {
  const first = pull.facts[0]
  if (first === undefined) throw new Error('a pull without facts has no event')
  const context = contextOf(pull.facts)
  const verdict = judge(pull)
  const platforms = platformsOf(pull)
  return {
    schema: 'waybill.package-event/1',
    id: hashId('event', [first.sessionId, first.id]),
    session_ids: [...pull.sessionIds].sort(),
    session_method: context.session_method,
    type: verdict.type,
    kind: verdict.kind,
    started_at: new Date(first.time).toISOString(),
    ended_at: new Date(pull.endMs).toISOString(),
    duration_ms: pull.endMs - first.time,
    domain: context.domain,
    repository: context.repository,
    upstream: context.upstream,
    upstream_repository: context.upstream_repository,
    artifact: artifactOf(pull, verdict, platforms, graph),
    ...(around.tag === null
      ? { tag: pull.tag, tag_source: pull.tagSource }
      : { tag: around.tag, tag_source: 'inferred' }),
    digest: digestOf(pull),
    ...platformFields(pull, platforms),
    subject: subjectOf(pull, verdict, graph),
    batch_id: around.batchId,
    resumed: imageTransfers(pull).some(isResumed),
    attempts: around.attempts,
    fail_reason: verdict.fail_reason,
    checks: null,
    ...countRequests(pull),
    ...countTraffic(pull, graph),
    counts: countForOthers(pull),
    client: context.client,
    geo: context.geo,
    network: context.network,
    company: context.company,
    data: context.data,
    privacy: context.privacy,
    node: context.node,
  }
}
