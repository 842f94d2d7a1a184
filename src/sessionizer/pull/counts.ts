/**
 * The counting fields of a package event: requests, bytes, and the counts of others' definitions (5, CONTRACT 7).
 */
import type { PackageEvent } from '../../record/events.ts'
import type { Fact, Graph } from '../types.ts'
import { manifestIn } from './contents.ts'
import { countLayers, requestedLayers, requestedRole } from './delivery.ts'
import { descriptorSize, manifestRole, type Pull } from './pull.ts'
import { countBytes } from './ranges.ts'
import { isAnswered } from './request.ts'
import type { Transfer } from './transfer.ts'

type RequestCounts = Pick<
  PackageEvent,
  'requests' | 'manifest_gets' | 'manifest_heads' | 'blob_gets' | 'layers_requested' | 'layers_total'
>
type ByteCounts = Pick<PackageEvent, 'bytes_sent' | 'bytes_unique' | 'bytes_expected' | 'bytes_basis'>

function countAnswered(pull: Pull, method: Fact['method'], requestClass: Fact['class']): number {
  return pull.facts.filter(
    (fact) => fact.method === method && fact.class === requestClass && isAnswered(fact),
  ).length
}

export function countRequests(pull: Pull): RequestCounts {
  return {
    requests: pull.facts.length,
    manifest_gets: countAnswered(pull, 'GET', 'manifest'),
    manifest_heads: countAnswered(pull, 'HEAD', 'manifest'),
    blob_gets: countAnswered(pull, 'GET', 'blob'),
    layers_requested: requestedLayers(pull).length,
    layers_total: countLayers(pull),
  }
}

/** Sizes of the distinct manifests and blobs requested, by descriptor, else as answered; null if one is unknown. */
function expectedBytes(pull: Pull, graph: Graph): number | null {
  let sum = 0
  for (const transfer of pull.transfers.values()) {
    // Of a root that was refused it is known from others.
    const size =
      descriptorSize(pull, transfer.digest) ??
      transfer.size ??
      manifestIn(graph, transfer.digest)?.size ??
      null
    if (size === null && transfer.answered) return null
    sum += size ?? 0
  }
  return sum
}

/** Of the blobs alone: manifests are never redirected. */
function basisOf(blobs: Transfer[]): PackageEvent['bytes_basis'] {
  if (!blobs.some((blob) => blob.redirected)) return 'observed'
  return blobs.some((blob) => blob.observed) ? 'mixed' : 'redirected'
}

export function countTraffic(pull: Pull, graph: Graph): ByteCounts {
  const transfers = [...pull.transfers.values()]
  const unique = (transfer: Transfer) =>
    countBytes(transfer.ranges, transfer.size ?? descriptorSize(pull, transfer.digest) ?? undefined)
  return {
    bytes_sent: pull.facts.reduce((sum, fact) => sum + fact.bytesSent, 0),
    bytes_unique: transfers.reduce((sum, transfer) => sum + unique(transfer), 0),
    bytes_expected: expectedBytes(pull, graph),
    bytes_basis: basisOf(transfers.filter((transfer) => transfer.class === 'blob' && transfer.answered)),
  }
}

/**
 * Docker Hub: one for each image manifest by GET, not for indexes. Of manifests that are not in the graph the root
 * is taken for an index if others were fetched along with it.
 */
function countHubPulls(pull: Pull): number {
  let images = 0
  let unknownRoots = 0
  for (const transfer of pull.transfers.values()) {
    if (transfer.class !== 'manifest' || !transfer.answered) continue
    const role = manifestRole(pull, transfer.digest)
    const isRoot = transfer.digest === pull.digest || transfer.digest === pull.reference
    if (role === 'unknown' && isRoot) unknownRoots += 1
    else if (role === 'platform' || role === 'unknown') images += 1
  }
  return images > 0 ? images : unknownRoots
}

/**
 * Docker's publisher insights: by what it began with. A HEAD by tag alone is a version check, but a HEAD by digest
 * alone a pull by digest: who names a digest does not ask what is new.
 */
function dvpAction(pull: Pull): PackageEvent['counts']['dvp_action'] {
  const answered = pull.facts.filter((fact) => fact.class === 'manifest' && isAnswered(fact))
  if (answered.length === 0) return null
  if (!answered.some((fact) => !fact.reference?.includes(':'))) return 'pull_by_digest'
  return answered.some((fact) => fact.method === 'GET') ? 'pull_by_tag' : 'version_check'
}

export function countForOthers(pull: Pull): PackageEvent['counts'] {
  const manifests = countAnswered(pull, 'GET', 'manifest') + countAnswered(pull, 'HEAD', 'manifest')
  const configs = [...pull.transfers.values()].filter(
    (transfer) => transfer.class === 'blob' && requestedRole(pull, transfer.digest) === 'config',
  )
  return {
    hub_pulls: countHubPulls(pull),
    dvp_action: dvpAction(pull),
    scarf_pull: countAnswered(pull, 'GET', 'manifest') > 0,
    k8s_complete_pull: manifests > 0 && countAnswered(pull, 'GET', 'blob') > 0,
    config_blob_pull: configs.some((transfer) => transfer.answered),
  }
}
