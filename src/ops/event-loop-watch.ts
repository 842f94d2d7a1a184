/** Measures how late the event loop of each thread is, into memory that `/metrics` reads. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { hrtime } from 'node:process'

export type ThreadLag = { thread: string; lagSeconds: number }

/** A timer of 20 ms: 50 wake-ups a second cost nothing, and lag that matters is longer. */
const resolutionMs = 20
/** Shorter than the usual 15 s between scrapes, so that no peak falls between two. */
const defaultIntervalMs = 5_000
const longsEach = 2

/** Two int64 a thread: longest delay of its last interval in µs, and when it said so (monotonic ms; 0: never). */
export function createEventLoopMemory(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer(threads * longsEach * 8)
}

/** Starts watching the calling thread, which alone writes `slot`. */
export function watchEventLoop(options: { sab: SharedArrayBuffer; slot: number; intervalMs?: number }): {
  close(): void
} {
  const view = new BigInt64Array(options.sab)
  const start = options.slot * longsEach
  const delays = monitorEventLoopDelay({ resolution: resolutionMs })
  const publish = (): void => {
    // It measures from timer to timer, so an idle loop shows the resolution itself. Without a sample max is 0.
    const lagUs = BigInt(Math.max(0, Math.round(delays.max / 1000) - resolutionMs * 1000))
    delays.reset()
    // The delay before the time that vouches for it.
    Atomics.store(view, start, lagUs)
    Atomics.store(view, start + 1, monotonicMs())
  }
  delays.enable()
  publish()
  const timer = setInterval(publish, options.intervalMs ?? defaultIntervalMs)
  timer.unref()
  return {
    close() {
      clearInterval(timer)
      delays.disable()
      // A thread that ended in order is no longer told of.
      Atomics.store(view, start + 1, 0n)
    },
  }
}

/** `threads`: the name of each slot; slots whose thread does not run are left out. */
export function readEventLoopLags(options: {
  sab: SharedArrayBuffer
  threads: readonly string[]
  intervalMs?: number
}): ThreadLag[] {
  const view = new BigInt64Array(options.sab)
  const intervalMs = options.intervalMs ?? defaultIntervalMs
  const now = monotonicMs()
  return options.threads.flatMap((thread, slot) => {
    // Acquires the delay stored before it.
    const toldAt = Atomics.load(view, slot * longsEach + 1)
    if (toldAt === 0n) return []
    const told = Number(Atomics.load(view, slot * longsEach)) / 1e6
    // A loop that hangs cannot say so: its silence is its lag.
    const silence = (Number(now - toldAt) - intervalMs) / 1000
    return [{ thread, lagSeconds: Math.max(told, silence, 0) }]
  })
}

/** The one clock that all threads of a process share and that never jumps. */
function monotonicMs(): bigint {
  return hrtime.bigint() / 1_000_000n
}
