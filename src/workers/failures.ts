/** What can go wrong with a batch, in the few words that metrics and logs have for it. */

/**
 * The disk or the log says no to everyone: the records are not to blame, so the batch waits and is tried again
 * for as long as it takes. `LOG_UNAVAILABLE` is the log's own: full, or closed.
 */
export const transientCodes = ['ENOSPC', 'EIO', 'EROFS', 'EDQUOT', 'LOG_UNAVAILABLE'] as const
export type TransientCode = (typeof transientCodes)[number]

export const failureReasons = ['enrichment', 'worker_exit', 'out_of_memory', 'timeout'] as const
/** `enrichment`: a step threw, or the record could not be read. */
export type FailureReason = (typeof failureReasons)[number]

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
}

export function transientCodeOf(error: unknown): TransientCode | null {
  const code = codeOf(error)
  return transientCodes.find((known) => known === code) ?? null
}

/** Of a task that the pool could not finish; the pool's own errors are told by their code, name and words. */
export function failureReasonOf(error: unknown): FailureReason {
  if (codeOf(error) === 'ERR_WORKER_OUT_OF_MEMORY') return 'out_of_memory'
  if (!(error instanceof Error)) return 'enrichment'
  if (error.name === 'AbortError' || error.name === 'TimeoutError') return 'timeout'
  // Piscina gives the loss of a worker no code.
  return /worker exited|Terminating worker/i.test(error.message) ? 'worker_exit' : 'enrichment'
}

/** Where an error was thrown, without its message: that may quote what it was about. */
export function placeOf(error: unknown): string | null {
  if (!(error instanceof Error) || error.stack === undefined) return null
  return error.stack.match(/^\s+at .*$/m)?.[0].trim() ?? null
}
