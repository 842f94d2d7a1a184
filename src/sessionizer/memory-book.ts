/**
 * Histories that were read from the store lately. What one says of a time before the watermark at which it was read is
 * final, so it is read again only when it is asked about a later time: of a busy client or repository every few seconds.
 */

/** Rows of all histories together, some 200 bytes each; of more, those read first are dropped. */
const capacityRows = 200_000
/** What a history takes beside its rows, in rows. */
const overheadRows = 4

export type MemoryBook<History> = {
  /** undefined: to be loaded first. */
  peek(key: string, timeMs: number): History | undefined
  /** `settledMs`: what began before it is in the store. */
  load(key: string, settledMs: number): Promise<History>
}

export function createMemoryBook<Row, History>(
  fetch: (key: string) => Promise<Row[]>,
  create: (rows: Row[]) => History,
): MemoryBook<History> {
  const known = new Map<string, { history: History; rows: number; knownToMs: number }>()
  const loading = new Map<string, { promise: Promise<History>; settledMs: number }>()
  let total = 0

  function drop(key: string): void {
    total -= known.get(key)?.rows ?? 0
    known.delete(key)
  }

  async function read(key: string, settledMs: number): Promise<History> {
    const found = await fetch(key)
    const history = create(found)
    drop(key)
    const rows = found.length + overheadRows
    known.set(key, { history, rows, knownToMs: settledMs })
    total += rows
    // A Map yields its oldest entries first.
    for (const oldest of known.keys()) {
      if (total <= capacityRows) break
      drop(oldest)
    }
    return history
  }

  return {
    peek(key, timeMs) {
      const entry = known.get(key)
      return entry !== undefined && timeMs < entry.knownToMs ? entry.history : undefined
    },

    load(key, settledMs) {
      // Sessions of one client are often claimed together.
      const begun = loading.get(key)
      if (begun !== undefined && begun.settledMs >= settledMs) return begun.promise
      const promise = read(key, settledMs).finally(() => {
        if (loading.get(key)?.promise === promise) loading.delete(key)
      })
      loading.set(key, { promise, settledMs })
      return promise
    },
  }
}
