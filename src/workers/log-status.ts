/**
 * What each worker still has to deliver, in memory that the main thread reads: for metrics, and for the
 * watermark that sessions wait for.
 */

/** In the order of the words below. */
export const logTargets = ['sessions', 'publisher'] as const
export type LogTarget = (typeof logTargets)[number]

/** `oldestMs`: Unix ms; null: nothing is undelivered. */
export type TargetStatus = { undelivered: number; oldestMs: number | null }
export type WorkerStatus = { threadId: number; targets: Record<LogTarget, TargetStatus> }

// A row: thread id (0: free), then undelivered entries and oldest Unix ms (-1: none) of each target.
const rowWords = 1 + 2 * logTargets.length
const none = -1n

export function createLogStatus(rows: number): SharedArrayBuffer {
  return new SharedArrayBuffer(rows * rowWords * 8)
}

/** Takes the lowest free row for a worker; throws when there is none, which is a bug of its caller. */
export function claimStatusRow(sab: SharedArrayBuffer, threadId: number): number {
  const words = new BigInt64Array(sab)
  for (let row = 0; row * rowWords < words.length; row++) {
    // Acquires the row from whoever freed it, and publishes to the main thread whose it is now.
    if (Atomics.compareExchange(words, row * rowWords, 0n, BigInt(threadId)) === 0n) return row
  }
  throw new Error('every row of the log status is taken')
}

export function writeStatus(
  sab: SharedArrayBuffer,
  row: number,
  status: Readonly<Record<LogTarget, TargetStatus>>,
): void {
  const words = new BigInt64Array(sab)
  for (const [index, target] of logTargets.entries()) {
    const at = row * rowWords + 1 + 2 * index
    const { undelivered, oldestMs } = status[target]
    // Published before the task's end is told, so that a record is seen in its ring or here, never in neither.
    Atomics.store(words, at, BigInt(undelivered))
    Atomics.store(words, at + 1, oldestMs === null ? none : BigInt(Math.floor(oldestMs)))
  }
}

/** The rows in use, by row number. */
export function readStatus(sab: SharedArrayBuffer): Map<number, WorkerStatus> {
  const words = new BigInt64Array(sab)
  const statuses = new Map<number, WorkerStatus>()
  for (let row = 0; row * rowWords < words.length; row++) {
    // Acquires what the row's worker published with or before it.
    const threadId = Number(Atomics.load(words, row * rowWords))
    if (threadId === 0) continue
    const targets = Object.fromEntries(
      logTargets.map((target, index) => {
        const at = row * rowWords + 1 + 2 * index
        // Each word is whole; that the two are of one moment does not matter to sums and minima.
        const undelivered = Number(Atomics.load(words, at))
        const oldest = Atomics.load(words, at + 1)
        return [target, { undelivered, oldestMs: oldest === none ? null : Number(oldest) }]
      }),
    ) as Record<LogTarget, TargetStatus>
    statuses.set(row, { threadId, targets })
  }
  return statuses
}

/** Frees the row of a worker that is gone. */
export function freeStatusRow(sab: SharedArrayBuffer, threadId: number): void {
  const words = new BigInt64Array(sab)
  for (let row = 0; row * rowWords < words.length; row++) {
    if (Atomics.load(words, row * rowWords) !== BigInt(threadId)) continue
    for (let word = 1; word < rowWords; word++)
      Atomics.store(words, row * rowWords + word, word % 2 ? 0n : none)
    // Released last: whoever claims the row finds it empty.
    Atomics.store(words, row * rowWords, 0n)
  }
}
