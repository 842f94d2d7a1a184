/**
 * What a pull got of its image: the platform manifests it is about, their config and layers, and whether all came.
 */
import type { BlobRole } from './contents.ts'
import { blobUses, fetchedPlatforms, isDelivered, manifestRole, manifestUse, type Pull } from './pull.ts'
import type { Transfer } from './transfer.ts'

/** `unknown`: no manifest in the graph speaks of it, so it may be anything. */
export type RequestedRole = BlobRole | 'unknown'

function intersect(a: Set<string>, b: Set<string>): Set<string> {
  return new Set([...a].filter((one) => b.has(one)))
}

/** Platform manifests that use any of the blobs which only one manifest uses: the client had the manifest itself. */
function inferPlatforms(pull: Pull): string[] {
  let candidates: Set<string> | null = null
  for (const transfer of pull.transfers.values()) {
    if (transfer.class !== 'blob') continue
    const uses = blobUses(pull, transfer.digest).filter((use) => use.role !== 'attached')
    if (uses.length === 0) continue
    const owners = new Set(uses.map((use) => use.manifest))
    candidates = candidates === null ? owners : intersect(candidates, owners)
  }
  return candidates?.size === 1 ? [...candidates] : []
}

/**
 * The platform manifests of the pull: those fetched; else the root if it is one itself; else the only child that
 * has all the blobs requested. Attestations are never among them (10.2, `platform`).
 */
export function platformsOf(pull: Pull): readonly string[] {
  const fetched = fetchedPlatforms(pull)
  if (fetched.length > 0) return fetched
  if (pull.digest !== null && manifestRole(pull, pull.digest) === 'platform') return [pull.digest]
  return inferPlatforms(pull)
}

/** Digests that belong to the given platform manifests in one of the roles; null if one of them is not in the graph. */
export function contentsOf(
  pull: Pull,
  platforms: readonly string[],
  roles: readonly BlobRole[],
): Set<string> | null {
  const digests = new Set<string>()
  if (platforms.some((digest) => !manifestUse(pull, digest)?.known)) return null
  for (const contents of pull.contents) {
    for (const platform of platforms) {
      for (const { digest, role } of contents.used.get(platform) ?? []) {
        if (roles.includes(role)) digests.add(digest)
      }
    }
  }
  return digests
}

/** The role in which a blob was fetched: that in an image before that in something attached to it. */
export function requestedRole(pull: Pull, digest: string): RequestedRole {
  const uses = blobUses(pull, digest)
  const own = uses.find((use) => use.role !== 'attached')
  return own?.role ?? uses[0]?.role ?? 'unknown'
}

/** Foreign layers are fetched elsewhere (10.3-20), attached blobs change nothing (10.3-5). */
const besides: readonly RequestedRole[] = ['attached', 'foreign']

/** GETs of config, layers and blobs of unknown role: what the kind is decided on. */
export function imageTransfers(pull: Pull): Transfer[] {
  return [...pull.transfers.values()].filter(
    (transfer) => transfer.class === 'blob' && !besides.includes(requestedRole(pull, transfer.digest)),
  )
}

/** The layers requested, as far as one knows: blobs of unknown role count, a config among them too. */
export function requestedLayers(pull: Pull): Transfer[] {
  const configs: readonly RequestedRole[] = ['config', 'empty']
  return imageTransfers(pull).filter((transfer) => !configs.includes(requestedRole(pull, transfer.digest)))
}

/** Layers of the platform manifests without foreign ones (CONTRACT 7, `layers_total`). */
export function countLayers(pull: Pull): number | null {
  const platforms = platformsOf(pull)
  if (platforms.length === 0) return null
  return contentsOf(pull, platforms, ['layer', 'optional'])?.size ?? null
}

function findComplete(pull: Pull): boolean {
  const platforms = platformsOf(pull)
  const needed = contentsOf(pull, platforms, ['config', 'layer'])
  if (platforms.length === 0 || needed === null || needed.size === 0) return false
  if (imageTransfers(pull).length === 0) return false
  return [...needed].every((digest) => isDelivered(pull, digest))
}

/** 10.2 `full`: config and every layer of each platform manifest delivered or redirected. */
export function isComplete(pull: Pull): boolean {
  const { kept } = pull
  if (kept.isCompleteAt !== pull.revision || kept.isCompleteOf !== pull.facts.length) {
    kept.isComplete = findComplete(pull)
    kept.isCompleteAt = pull.revision
    kept.isCompleteOf = pull.facts.length
  }
  return kept.isComplete
}
