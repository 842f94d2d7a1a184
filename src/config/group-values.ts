/**
 * The values of one map in a list of maps, by their keys within it.
 */
import { type Found, type GroupReading, nameKey, problem } from './findings.ts'
import type { Kind } from './kinds.ts'
import type { Setting } from './setting.ts'

type Read<S> = S extends { kind: Kind<infer T> } ? T : never
type Missing<S> = S extends { default: string } ? never : null
type Keys<T> = keyof T & string

export type GroupValues<T extends Readonly<Record<string, Setting>>> = {
  /** Like `domains[0]`. */
  readonly key: string
  /** The value, else the default, else null. */
  get<K extends Keys<T>>(key: K): Read<T[K]> | Missing<T[K]>
  found(key: Keys<T>): Found | undefined
  /** The first key below `prefix` that was given. */
  givenBelow(prefix: string): Keys<T> | undefined
  /** Whether all is there that must be, each of which was told of where it was read. */
  readonly isWhole: boolean
  /** The line of a problem with a value, or with a missing one. */
  describe(key: Keys<T>, tail: string): string
  /** Says that `key` is needed because of `because`. */
  describeMissing(key: Keys<T>, because: Keys<T>): string | undefined
  groups(key: string): readonly GroupReading[]
}

export function createGroupValues<const T extends Readonly<Record<string, Setting>>>(
  settings: T,
  { key: place, source, reading }: GroupReading,
): GroupValues<T> {
  const found = (key: Keys<T>) => reading.found.get(key)?.[0]
  return {
    key: place,
    get<K extends Keys<T>>(key: K) {
      const { kind, default: fallback } = settings[key] as Setting
      const value = found(key)?.value ?? (fallback === undefined ? null : kind.read(fallback))
      // The table's kinds made the value, so it has the type that the table gives it.
      return value as Read<T[K]> | Missing<T[K]>
    },
    found,
    givenBelow: (prefix) => [...reading.given].find((key): key is Keys<T> => key.startsWith(prefix)),
    isWhole: Object.entries(settings).every(([key, { required }]) => !required || found(key) !== undefined),
    describe(key, tail) {
      const at = found(key)
      if (at !== undefined) return problem(at.key, at.shown, at.source, tail)
      return problem(`${place}.${key}`, reading.given.has(key) ? 'wrong' : 'missing', source, tail)
    },
    describeMissing(key, because) {
      if (reading.given.has(key)) return undefined
      const given = found(because)?.source ?? source
      const name = `${place}.${because} is set, ${given.name}`
      const expected = `expected ${(settings[key] as Setting).kind.expected}`
      return problem(nameKey(`${place}.${key}`), 'missing', { ...given, name }, expected)
    },
    groups: (key) => reading.groups.get(key) ?? [],
  }
}
