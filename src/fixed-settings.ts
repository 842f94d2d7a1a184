/**
 * Which settings another config would change that only a start can change.
 */
import type { Config } from './config/types.ts'

/** Parts of the Config that can change while requests are served. */
const changeable = new Set<string>([
  'domains',
  'upstreams',
  'redirectHosts',
  'trustedProxies',
  'streamRanges',
  // Their file is read again whenever it changes.
  'tokenKeys',
] satisfies (keyof Config)[])

/** Keys of the config file, each once. */
export function findFixedChanges(before: Config, after: Config): string[] {
  const names = new Set<string>()
  for (const part of Object.keys(before)) {
    if (!changeable.has(part))
      compare([part], before[part as keyof Config], after[part as keyof Config], names)
  }
  return [...names]
}

function compare(path: readonly string[], before: unknown, after: unknown, names: Set<string>): void {
  if (isGroup(before) && isGroup(after)) {
    for (const key of Object.keys({ ...before, ...after })) {
      compare([...path, key], before[key], after[key], names)
    }
  } else if (JSON.stringify(before) !== JSON.stringify(after)) {
    names.add(keyOf(path))
  }
}

function isGroup(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The Config has units in its names, and some values of several keys. */
function keyOf(path: readonly string[]): string {
  const key = path.join('.').replace(/Ms$/, '')
  if (key.startsWith('sessions.idle')) return 'sessions.idle'
  if (key.startsWith('threads.workers')) return 'threads.workers'
  if (key === 'limits.minRateBytes') return 'limits.minRate'
  return /^(admin|redis\.tls)\b/.exec(key)?.[0] ?? key
}
