/** The hosts that upstreams redirected blobs to, with when each was last seen: what a firewall must let through. */

export type RedirectHostList = {
  /** `upstream`: index; `seenMs`: Unix ms. */
  see(upstream: number, host: string, seenMs: number): void
  /** For `/readyz`: last seen first. */
  describe(): { host: string; upstream: string; last_seen: string }[]
}

// Of all proxy threads together; a registry has a handful.
const maxHosts = 128

/** `upstreams`: host of each index of the config. */
export function createRedirectHostList(upstreams: readonly string[]): RedirectHostList {
  const seen = new Map<string, { host: string; upstream: string; seenMs: number }>()
  return {
    see(index, host, seenMs) {
      const upstream = upstreams[index] ?? ''
      const key = `${upstream} ${host}`
      const last = seen.get(key)?.seenMs ?? 0
      // Inserted again, so that the first of the Map is the one not told of for longest.
      seen.delete(key)
      seen.set(key, { host, upstream, seenMs: Math.max(last, seenMs) })
      for (const oldest of seen.keys()) {
        if (seen.size <= maxHosts) break
        seen.delete(oldest)
      }
    },
    describe: () =>
      [...seen.values()]
        .sort((a, b) => b.seenMs - a.seenMs)
        .map(({ host, upstream, seenMs }) => ({ host, upstream, last_seen: new Date(seenMs).toISOString() })),
  }
}
