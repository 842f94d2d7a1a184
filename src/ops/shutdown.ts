/** Stops the parts in order within one bound of time, and hurries when told a second time. */
import { describeError } from './describe-error.ts'

export type ShutdownStep = {
  name: string
  /** `deadlineMs`: how long it may take from now; `hurry` fires when the rest of that time is taken away. */
  run(deadlineMs: number, hurry: AbortSignal): Promise<void> | void
}

export type Shutdown = {
  /** The first call starts the stop, the second hurries it, a third ends the process at once. */
  signal(name: string): void
  /** Resolves with the exit code after the last step. */
  done: Promise<number>
}

type Log = Record<'info' | 'warn' | 'error', (fields: object, message: string) => void>

/** What a step still gets once hurried: enough for an fsync, not for a download. */
const hurriedMs = 1_000

export function createShutdown(options: {
  steps: readonly ShutdownStep[]
  /** Bound of all steps together. */
  graceMs: number
  log: Log
  /** Called once, with 0 when every step ended in time and without error, else with 1. */
  exit: (code: number) => void
}): Shutdown {
  const { steps, graceMs, log } = options
  const hurry = new AbortController()
  let signals = 0
  let ended = false
  let resolve: (code: number) => void = () => undefined
  const done = new Promise<number>((settle) => {
    resolve = settle
  })
  const end = (code: number): void => {
    if (ended) return
    ended = true
    resolve(code)
    options.exit(code)
  }

  const runStep = async (step: ShutdownStep, deadlineMs: number): Promise<boolean> => {
    const startedAt = performance.now()
    const outcome = await new Promise<'done' | 'late' | { error: unknown }>((settle) => {
      let timer = setTimeout(settle, deadlineMs, 'late')
      const shorten = (): void => {
        clearTimeout(timer)
        timer = setTimeout(settle, Math.min(hurriedMs, deadlineMs), 'late')
      }
      if (hurry.signal.aborted) shorten()
      else hurry.signal.addEventListener('abort', shorten, { once: true })
      const finish = (result: 'done' | { error: unknown }): void => {
        clearTimeout(timer)
        hurry.signal.removeEventListener('abort', shorten)
        settle(result)
      }
      // A step that throws at once is a rejection like any other.
      Promise.resolve()
        .then(() => step.run(deadlineMs, hurry.signal))
        .then(
          () => finish('done'),
          (error: unknown) => finish({ error }),
        )
    })
    const durationMs = Math.round(performance.now() - startedAt)
    if (outcome === 'done') {
      log.info({ step: step.name, duration_ms: durationMs }, 'stopped')
      return true
    }
    if (outcome === 'late')
      log.error({ step: step.name, duration_ms: durationMs }, 'not stopped in time, going on')
    else log.error({ step: step.name, err: describeError(outcome.error) }, 'failed to stop, going on')
    return false
  }

  const runAll = async (): Promise<void> => {
    const endsAt = performance.now() + graceMs
    let inOrder = true
    for (const [index, step] of steps.entries()) {
      // A twentieth of the time stays kept for each step after this one, so that a slow one cannot starve the
      // last ones, which are those that make things safe.
      const kept = (steps.length - 1 - index) * (graceMs / 20)
      const leftMs = Math.max(0, endsAt - performance.now())
      const deadlineMs = Math.max(leftMs - kept, Math.min(leftMs, graceMs / 20))
      const stepDone = await runStep(
        step,
        hurry.signal.aborted ? Math.min(hurriedMs, deadlineMs) : deadlineMs,
      )
      inOrder = stepDone && inOrder
    }
    end(inOrder ? 0 : 1)
  }

  return {
    done,
    signal(name) {
      signals += 1
      if (signals === 1) {
        log.info({ signal: name, grace_ms: graceMs }, 'stopping')
        // Errors of steps are caught in runStep; what is left would be a bug of this file.
        runAll().catch(() => end(1))
      } else if (signals === 2) {
        log.warn({ signal: name }, 'stopping at once')
        hurry.abort()
      } else {
        end(1)
      }
    },
  }
}
