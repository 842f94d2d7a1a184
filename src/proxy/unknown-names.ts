/**
 * Names that an upstream has refused again and again: not asked for once more for a while. Who looks whether a
 * name is free, pushes, and pulls must find it, so the first refusals are not remembered against it.
 */
import type { LocalError } from './errors.ts'
import { createExpiringMap } from './expiring-map.ts'

export type UnknownNames = {
  /** With what to refuse it unasked; undefined: ask. */
  refusal(key: string): LocalError | undefined
  /** `answer`: of the upstream; all who waited for the same one count as one. */
  count(key: string, answer: object, error: LocalError): void
  forget(key: string): void
}

// More than a client asks for one name in a row: HEAD, GET, and each again.
const refusedAfter = 4
// Long enough for the retries of many clients, short enough to push and pull.
const lifetimeMs = 3000
const maxEntries = 4096

export function createUnknownNames(): UnknownNames {
  const names = createExpiringMap<{ error: LocalError; times: number }>({ maxEntries, lifetimeMs })
  const counted = new WeakSet<object>()
  return {
    refusal(key) {
      const known = names.get(key, performance.now())
      return known && known.times >= refusedAfter ? known.error : undefined
    },
    count(key, answer, error) {
      if (counted.has(answer)) return
      counted.add(answer)
      const nowMs = performance.now()
      names.set(key, { error, times: (names.get(key, nowMs)?.times ?? 0) + 1 }, nowMs)
    },
    forget: (key) => names.delete(key),
  }
}
