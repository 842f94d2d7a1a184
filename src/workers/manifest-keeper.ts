/** Sees a manifest into the log through failures: without it the sessions that fetched it do not know their layers. */
import { setTimeout as wait } from 'node:timers/promises'
import { type FailureReason, failureReasonOf } from './failures.ts'

export type KeptManifest = { digest: string; mediaType: string; bytes: Uint8Array }

export type ManifestKeeperOptions = {
  /** Hands it to the pool; resolves once it is safe. */
  run(manifest: KeptManifest): Promise<unknown>
  onRetry(reason: FailureReason): void
  log: { warn(fields: object, message: string): void }
  /** Tests only. */
  delay?: (delayMs: number, signal: AbortSignal) => Promise<unknown>
}

export type ManifestKeeper = {
  keep(manifest: KeptManifest): void
  /** Ends all waiting. */
  close(): void
}

/** Of up to 8 MiB each (`limits.manifestBytes`), though most are a few KB. */
const maxUnsafe = 256
/** One that ends workers may do so no more often. */
const maxWorkerEnds = 3
/** A full disk is waited for about four minutes; after that the manifest comes again within the hour. */
const maxRuns = 14
const firstDelayMs = 100
const longestDelayMs = 30_000

const endsWorker: readonly FailureReason[] = ['worker_exit', 'out_of_memory', 'timeout']

export function createManifestKeeper(options: ManifestKeeperOptions): ManifestKeeper {
  const stop = new AbortController()
  const { delay = (delayMs, signal) => wait(delayMs, undefined, { signal }) } = options
  let unsafe = 0

  function giveUp(fields: object): void {
    options.log.warn(fields, 'a manifest was not kept: its sessions do not know their layers')
  }

  async function see(manifest: KeptManifest): Promise<void> {
    let workerEnds = 0
    for (let runs = 1; !stop.signal.aborted; runs++) {
      try {
        await options.run(manifest)
        return
      } catch (error) {
        // A pool that is being closed rejects everything.
        if (stop.signal.aborted) return
        const reason = failureReasonOf(error)
        if (endsWorker.includes(reason)) workerEnds++
        options.onRetry(reason)
        if (workerEnds >= maxWorkerEnds || runs >= maxRuns) {
          giveUp({ err: error, reason })
          return
        }
      }
      const delayMs = Math.min(longestDelayMs, firstDelayMs * 2 ** (runs - 1))
      await delay(delayMs, stop.signal).catch(() => undefined)
    }
  }

  return {
    keep(manifest) {
      if (unsafe >= maxUnsafe) {
        giveUp({ reason: 'overflow' })
        return
      }
      unsafe++
      see(manifest)
        .finally(() => unsafe--)
        .catch(() => undefined)
    },
    close: () => stop.abort(),
  }
}
