/**
 * A small memory of what is true for a while only.
 */

export type ExpiringMap<Value> = {
  /** undefined: never known, or no longer. */
  get(key: string, nowMs: number): Value | undefined
  set(key: string, value: Value, nowMs: number): void
  delete(key: string): void
}

/** Holds `maxEntries`, each for `lifetimeMs` from when it was set; what was set first goes first. */
export function createExpiringMap<Value>(options: {
  maxEntries: number
  lifetimeMs: number
}): ExpiringMap<Value> {
  const { maxEntries, lifetimeMs } = options
  const entries = new Map<string, { value: Value; expiresMs: number }>()
  return {
    get(key, nowMs) {
      const entry = entries.get(key)
      if (!entry) return
      if (entry.expiresMs > nowMs) return entry.value
      entries.delete(key)
      return
    },
    set(key, value, nowMs) {
      // Inserted again, so that the first of the Map is the oldest.
      entries.delete(key)
      entries.set(key, { value, expiresMs: nowMs + lifetimeMs })
      if (entries.size <= maxEntries) return
      for (const oldest of entries.keys()) {
        entries.delete(oldest)
        break
      }
    },
    delete: (key) => void entries.delete(key),
  }
}
