/**
 * The storage hosts that upstreams redirect blobs to: operators publish them to users behind a firewall.
 */

export type RedirectHosts = {
  /** `host`: with port where it is not that of the scheme. */
  see(upstream: number, host: string): void
}

// A registry has a handful; one that makes up names must not fill memory, nor the port to the main thread.
const maxHosts = 128
const reportEveryMs = 60_000

/** `report` is called for a new host, and once a minute for one that is still seen. */
export function createRedirectHosts(options: {
  report(upstream: number, host: string, seenMs: number): void
  now(): number
}): RedirectHosts {
  const reported = new Map<string, number>()
  return {
    see(upstream, host) {
      const key = `${upstream} ${host}`
      const nowMs = options.now()
      const lastMs = reported.get(key)
      if (lastMs !== undefined && nowMs - lastMs < reportEveryMs) return
      // Inserted again, so that the first of the Map is the one not seen for longest.
      reported.delete(key)
      for (const oldest of reported.keys()) {
        if (reported.size < maxHosts) break
        reported.delete(oldest)
      }
      reported.set(key, nowMs)
      options.report(upstream, host, nowMs)
    },
  }
}
