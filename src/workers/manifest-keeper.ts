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

/** Most are a few KB, so a registry's thousands may come at once, as after a start; some have 8 MiB. */
const maxUnsafeBytes = 64 * 1024 * 1024
/** What each takes at least. */
const overheadBytes = 1024
/** In the pool at a time: batches of records must not wait for all of them. */
const maxRunning = 64
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
  const waiting: KeptManifest[] = []
  let unsafeBytes = 0
  let running = 0

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

  function runNext(): void {
    while (running < maxRunning) {
      const manifest = waiting.shift()
      if (manifest === undefined) return
      running++
      see(manifest)
        .catch(() => undefined)
        .finally(() => {
          running--
          unsafeBytes -= sizeOf(manifest)
          runNext()
        })
    }
  }

  return {
    keep(manifest) {
      if (unsafeBytes + sizeOf(manifest) > maxUnsafeBytes) {
        giveUp({ reason: 'overflow' })
        return
      }
      unsafeBytes += sizeOf(manifest)
      waiting.push(manifest)
      runNext()
    },
    close: () => stop.abort(),
  }
}

function sizeOf({ bytes }: KeptManifest): number {
  return bytes.byteLength + overheadBytes
}
