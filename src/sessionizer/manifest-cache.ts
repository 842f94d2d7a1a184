/** Keeps manifests that were read lately: they never change, but reading renews their lifetime in the store. */
import type { Manifest } from '../record/events.ts'
import type { Graph } from './types.ts'

/** Manifests are a few KB parsed; busy registries serve some hundred at a time. */
const capacity = 2048

export type ManifestCache = { load(digests: readonly string[]): Promise<Graph> }

/** `fetch` reads and renews; what was fetched is given out for `freshMs` without asking again. */
export function createManifestCache(options: {
  fetch(digests: readonly string[]): Promise<Manifest[]>
  freshMs: number
  /** A clock that never jumps. */
  nowMs(): number
}): ManifestCache {
  const kept = new Map<string, { manifest: Manifest; untilMs: number }>()
  /** Sessions that are closed together ask for the same, found or not. */
  const asked = new Map<string, Promise<Manifest[]>>()

  function fetchOnce(digests: readonly string[]): Promise<Manifest[]> {
    const fetched = options.fetch(digests)
    for (const digest of digests) {
      const one = fetched.then((manifests) => manifests.filter((manifest) => manifest.digest === digest))
      asked.set(digest, one)
      const forget = () => asked.delete(digest)
      one.then(forget, forget)
    }
    return fetched
  }

  return {
    async load(digests) {
      const now = options.nowMs()
      const graph = new Map<string, Manifest>()
      const missing: string[] = []
      for (const digest of new Set(digests)) {
        const entry = kept.get(digest)
        if (entry !== undefined && entry.untilMs > now) graph.set(digest, entry.manifest)
        else missing.push(digest)
      }
      if (missing.length === 0) return graph
      const shared = missing.flatMap((digest) => asked.get(digest) ?? [])
      const fresh = missing.filter((digest) => !asked.has(digest))
      if (fresh.length > 0) shared.push(fetchOnce(fresh))
      for (const manifest of (await Promise.all(shared)).flat()) {
        graph.set(manifest.digest, manifest)
        kept.delete(manifest.digest)
        kept.set(manifest.digest, { manifest, untilMs: now + options.freshMs })
      }
      // A Map yields its oldest entries first.
      for (const digest of kept.keys()) {
        if (kept.size <= capacity) break
        kept.delete(digest)
      }
      return graph
    },
  }
}
