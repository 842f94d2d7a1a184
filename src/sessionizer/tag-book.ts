/**
 * Tag histories that were read from the store lately. What one says of a time before the watermark at which it was
 * read is final, so a history is read again only when it is asked about a later time.
 */
import { createTagHistory, type TagHistory, type TagSighting } from './memory/tag-history.ts'

/** Sightings in all histories together, some 200 bytes each; of more, those read first are dropped. */
const capacityRows = 200_000

export type TagBook = {
  /** undefined: to be loaded first. */
  peek(tagKey: string, timeMs: number): TagHistory | undefined
  /** All that began before the watermark is in the store. */
  load(tagKey: string, watermarkMs: number): Promise<TagHistory>
}

export function createTagBook(fetch: (tagKey: string) => Promise<TagSighting[]>): TagBook {
  const known = new Map<string, { history: TagHistory; rows: number; knownToMs: number }>()
  let total = 0

  function drop(tagKey: string): void {
    total -= known.get(tagKey)?.rows ?? 0
    known.delete(tagKey)
  }

  return {
    peek(tagKey, timeMs) {
      const entry = known.get(tagKey)
      return entry !== undefined && timeMs < entry.knownToMs ? entry.history : undefined
    },

    async load(tagKey, watermarkMs) {
      const rows = await fetch(tagKey)
      const history = createTagHistory(rows)
      drop(tagKey)
      known.set(tagKey, { history, rows: rows.length, knownToMs: watermarkMs })
      total += rows.length
      // A Map yields its oldest entries first.
      for (const oldest of known.keys()) {
        if (total <= capacityRows) break
        drop(oldest)
      }
      return history
    },
  }
}
