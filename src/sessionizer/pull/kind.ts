/**
 * What a pull was: its type and kind by the tables of CONTRACT 7 and 10.2.
 */
import type { PackageEvent } from '../../record/events.ts'
import type { Fact } from '../types.ts'
import { imageTransfers, isComplete, requestedLayers } from './delivery.ts'
import {
  descriptorSize,
  fetchedPlatforms,
  isDelivered,
  isDownload,
  isHeadOnly,
  manifestRole,
  type Pull,
} from './pull.ts'
import { isAnswered, parseReference } from './request.ts'
import { isFinished, isScattered, type Transfer } from './transfer.ts'

export type Verdict = Pick<PackageEvent, 'type' | 'kind' | 'fail_reason'>

/** 10.2 `lazy`: "many small ranges". Fewer are taken for a download in pieces that was given up. */
const lazyReads = 3

function lastFact(pull: Pull): Fact | null {
  return pull.facts.at(-1) ?? null
}

/** All GETs for manifests of the platform were refused. */
function platformFailure(pull: Pull): Fact | null {
  const refused = [...pull.transfers.values()].filter(
    (transfer) => transfer.class === 'manifest' && !transfer.answered,
  )
  return refused.findLast((transfer) => manifestRole(pull, transfer.digest) === 'platform')?.last ?? null
}

/** The request that made the pull fail: nothing of the image came, and the last answer to its root was an error. */
function findFailure(pull: Pull): Fact | null {
  if (imageTransfers(pull).some((transfer) => transfer.answered)) return null
  if (pull.origin === 'orphan') return pull.facts.some(isAnswered) ? null : lastFact(pull)
  if (!pull.resolved) return pull.rootFailure ?? lastFact(pull)
  if (fetchedPlatforms(pull).length > 0) return null
  return pull.rootFailure ?? platformFailure(pull)
}

/** The subject that a request for a signature, attestation or SBOM speaks of; null for any other request. */
export function attachedSubject(pull: Pull, fact: Fact): string | null {
  if (fact.class !== 'manifest') return null
  const reference = parseReference(fact.reference ?? '')
  return reference.kind === 'attached' && manifestRole(pull, reference.subject) !== 'attached'
    ? reference.subject
    : null
}

/** A manifest that joined because it is attached to the image, and is not listed by its index. */
function isJoinedAttachment(pull: Pull, digest: string): boolean {
  return pull.contents
    .slice(1)
    .some((contents) => contents.root === digest && manifestRole(pull, digest) === 'attached')
}

/**
 * 10.3-5, 6: what belongs to the image itself was asked for, and nothing of the image. The attestations that an
 * index lists, and what is attached to them, belong to pulls of Docker ≥ 29.1 and are no verification.
 */
function isVerification(pull: Pull): boolean {
  if (pull.origin === 'attached') return true
  if (pull.origin !== 'root' || imageTransfers(pull).length > 0) return false
  if (pull.digest !== null && manifestRole(pull, pull.digest) === 'attached') return !isHeadOnly(pull)
  return pull.facts.some(
    (fact) =>
      attachedSubject(pull, fact) !== null ||
      (fact.method === 'GET' && fact.digest !== null && isJoinedAttachment(pull, fact.digest)),
  )
}

function isLazy(unfinished: Transfer[]): boolean {
  const reads = unfinished.reduce((sum, transfer) => sum + transfer.partialReads, 0)
  const many = reads >= lazyReads || unfinished.some((transfer) => transfer.multipart)
  return many && unfinished.every(isScattered)
}

function hasCutManifest(pull: Pull): boolean {
  return [...pull.transfers.values()].some(
    (transfer) =>
      transfer.class === 'manifest' &&
      transfer.answered &&
      manifestRole(pull, transfer.digest) !== 'attached' &&
      !isFinished(transfer, descriptorSize(pull, transfer.digest)),
  )
}

function kindOfPull(pull: Pull): PackageEvent['kind'] {
  const unfinished = imageTransfers(pull).filter((transfer) => !isDelivered(pull, transfer.digest))
  if (unfinished.length > 0) return isLazy(unfinished) ? 'lazy' : 'interrupted'
  if (hasCutManifest(pull)) return 'interrupted'
  if (isComplete(pull)) return 'full'
  return requestedLayers(pull).length === 0 ? 'manifest_only' : 'incremental'
}

export function judge(pull: Pull): Verdict {
  if (pull.origin === 'lists') return { type: 'discovery', kind: 'discovery', fail_reason: null }
  const checked = !pull.facts.some((fact) => fact.method === 'GET' && isDownload(fact))
  const failure = pull.origin === 'attached' ? null : findFailure(pull)
  if (failure !== null) {
    return { type: checked ? 'check' : 'pull', kind: 'failed', fail_reason: String(failure.status) }
  }
  if (isVerification(pull)) return { type: 'verify', kind: 'verify', fail_reason: null }
  if (checked) return { type: 'check', kind: 'check', fail_reason: null }
  return { type: 'pull', kind: kindOfPull(pull), fail_reason: null }
}
