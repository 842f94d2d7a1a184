/**
 * Manifests that were fetched whole and whose digest was right, by (upstream, repository, digest).
 */

export type CachedManifest = {
  digest: string
  mediaType: string
  /** As the upstream wrote it; '' without one. */
  etag: string
  bytes: Buffer
  /** Value of the first header line, `Via`, and all further lines, as they go to clients. */
  block: Buffer
  /** Monotonic ms at which the upstream last said that it has it. */
  confirmedMs: number
  /** Monotonic ms at which the pool was last told of it. */
  announcedMs: number
}

export type ManifestCache = {
  get(key: string): CachedManifest | undefined
  has(key: string): boolean
  put(key: string, entry: CachedManifest): void
  delete(key: string): void
}

// What an entry costs besides its bytes: objects, key and map slot, generously.
const overheadBytes = 1024

/** Least recently used go first once `maxBytes` are held. */
export function createManifestCache(maxBytes: number): ManifestCache {
  // A Map keeps the order of insertion: what is used is inserted again, so the first is the oldest.
  const entries = new Map<string, CachedManifest>()
  let heldBytes = 0
  const sizeOf = (entry: CachedManifest): number => entry.bytes.length + entry.block.length + overheadBytes
  const remove = (key: string): void => {
    const entry = entries.get(key)
    if (!entry) return
    entries.delete(key)
    heldBytes -= sizeOf(entry)
  }
  return {
    get(key) {
      const entry = entries.get(key)
      if (entry) {
        entries.delete(key)
        entries.set(key, entry)
      }
      return entry
    },
    has: (key) => entries.has(key),
    put(key, entry) {
      remove(key)
      if (sizeOf(entry) > maxBytes) return
      entries.set(key, entry)
      heldBytes += sizeOf(entry)
      for (const oldest of entries.keys()) {
        if (heldBytes <= maxBytes) break
        remove(oldest)
      }
    },
    delete: remove,
  }
}
