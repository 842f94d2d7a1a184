/** Says in the log when a dependency fails and when it works again: once for all threads, and never once a try. */
import type { DependencyReport } from './dependencies.ts'

type Log = Record<'info' | 'warn', (fields: object, message: string) => void>

export const dependencyMessages = {
  degraded: 'a dependency fails',
  down: 'a dependency is down',
  ok: 'a dependency works again',
} as const

/** One that comes and goes is told of so often, whatever it does. */
const quietMs = 60_000
const lookEveryMs = 500

export function watchDependencies(options: {
  names(): readonly string[]
  report(name: string): DependencyReport
  log: Log
  /** Monotonic, ms. */
  now?: () => number
  intervalMs?: number
}): { close(): void } {
  const { names, log, now = () => performance.now() } = options
  const told = new Map<string, { state: DependencyReport['state']; lastMs: Map<string, number> }>()

  const look = (): void => {
    for (const name of names()) {
      const { state, since, why } = options.report(name)
      const known = told.get(name) ?? { state: 'ok', lastMs: new Map() }
      told.set(name, known)
      // From `down` it is only ever `ok` that is news: what failed before it was down was told.
      if (state === known.state || (state === 'degraded' && known.state === 'down')) continue
      if (now() - (known.lastMs.get(state) ?? Number.NEGATIVE_INFINITY) < quietMs) continue
      known.state = state
      known.lastMs.set(state, now())
      const level = state === 'ok' ? 'info' : 'warn'
      log[level]({ dependency: name, ...(why === null ? {} : { why }), since }, dependencyMessages[state])
    }
  }
  const timer = setInterval(look, options.intervalMs ?? lookEveryMs)
  // Never the reason that the process stays alive.
  timer.unref()
  return {
    close() {
      clearInterval(timer)
      look()
    },
  }
}
