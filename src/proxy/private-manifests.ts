/**
 * Manifests that the upstream shows to one client's own credentials: relayed, never kept; but the graph of an image
 * is told, as events need it.
 */
import { createExpiringMap } from './expiring-map.ts'
import { digestOf } from './manifest-fetch.ts'
import type { RelayPlan } from './relay.ts'
import type { ManifestNotice } from './types.ts'

// As often as of a manifest in the cache.
const announceEveryMs = 3600 * 1000
const maxRemembered = 4096

export function createPrivateManifests(options: {
  manifestBytes: number
  announce(notice: ManifestNotice): void
}): RelayPlan {
  const announced = createExpiringMap<true>({ maxEntries: maxRemembered, lifetimeMs: announceEveryMs })
  return {
    head: ({ exchange, status, total }) =>
      status === 200 && !exchange.isHead && total > 0 && total <= options.manifestBytes ? 'hold' : 'relay',
    finish({ exchange, fields }, body) {
      const { record } = exchange
      const digest = digestOf(body, record.digest)
      const nowMs = performance.now()
      // Bytes of another digest than was asked for are the client's to refuse, and no part of any graph.
      if ((record.digest === '' || record.digest === digest) && !announced.get(digest, nowMs)) {
        announced.set(digest, true, nowMs)
        options.announce({ digest, mediaType: fields.contentType, bytes: body })
      }
      record.digest = digest
      return body
    },
  }
}
