/**
 * The values that count once flag, variable, file and default are laid over each other.
 */
import {
  createReading,
  type Found,
  type GroupReading,
  problem,
  type Reading,
  type Source,
} from './findings.ts'
import { type Key, settingsByKey, type ValueOf } from './schema.ts'
import type { Setting } from './setting.ts'

export type SettledValues = {
  /** The value, else the default, else null. */
  get<K extends Key>(key: K): ValueOf<K>
  /** The members of a list, none without a value and a default. */
  all<K extends Key>(key: K): NonNullable<ValueOf<K>>[]
  /** Where the value comes from; undefined for a default. */
  found(key: Key): Found | undefined
  foundAll(key: Key): readonly Found[]
  /** The maps of a list of maps; none without the key. */
  groups(key: string): readonly GroupReading[]
  /** Given at all, also with a wrong value. */
  isGiven(key: Key): boolean
  /** Keys below `prefix` that were given. */
  givenBelow(prefix: string): Key[]
  /** Says what is wrong with a value, or with the default. */
  refuse(key: Key, tail: string): void
  /** Says that `key` is needed because of `because`, whose place is named. */
  miss(key: Key, because: Key): void
  readonly problems: string[]
  readonly warnings: string[]
}

const defaultSource: Source = { name: 'default', dir: '/' }

/** `readings`: the strongest first. Problems of all of them count, also of values that are overruled. */
export function settleValues(readings: readonly Reading[]): SettledValues {
  const merged = createReading()
  merged.problems.push(...readings.flatMap(({ problems }) => problems))
  for (const reading of readings) {
    for (const key of reading.given) merged.given.add(key)
    for (const [key, groups] of reading.groups) merged.groups.set(key, groups)
    for (const [key, found] of reading.found) {
      if (!merged.found.has(key)) merged.found.set(key, found)
    }
  }
  const { problems } = merged
  const foundAll = (key: Key) => merged.found.get(key) ?? []

  function byDefault(key: Key): unknown {
    const setting: Setting | undefined = settingsByKey.get(key)
    return setting?.default === undefined ? null : (setting.kind.read(setting.default) ?? null)
  }

  // The table's kinds made these values, so they have the types that the table gives them.
  function get<K extends Key>(key: K): ValueOf<K> {
    const found = foundAll(key)[0]
    return (found === undefined ? byDefault(key) : found.value) as ValueOf<K>
  }

  function all<K extends Key>(key: K): NonNullable<ValueOf<K>>[] {
    const values = merged.found.get(key)?.map(({ value }) => value) ?? [byDefault(key)]
    return values.filter((value) => value !== null) as NonNullable<ValueOf<K>>[]
  }

  function refuse(key: Key, tail: string): void {
    const found = foundAll(key)[0]
    const shown = found?.shown ?? JSON.stringify(settingsByKey.get(key)?.default ?? 'none')
    problems.push(problem(found?.key ?? key, shown, found?.source ?? defaultSource, tail))
  }

  function miss(key: Key, because: Key): void {
    if (merged.given.has(key)) return
    const place = foundAll(because)[0]?.source
    const name = place === undefined ? `${because} is set` : `${because} is set, ${place.name}`
    const expected = settingsByKey.get(key)?.kind.expected ?? 'a value'
    problems.push(problem(key, 'missing', { name, dir: '/' }, `expected ${expected}`))
  }

  return {
    get,
    all,
    found: (key) => foundAll(key)[0],
    foundAll,
    groups: (key) => merged.groups.get(key) ?? [],
    isGiven: (key) => merged.given.has(key),
    givenBelow: (prefix) => [...merged.given].filter((key): key is Key => key.startsWith(prefix)),
    refuse,
    miss,
    problems,
    warnings: [],
  }
}
