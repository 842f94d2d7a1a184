/**
 * Kinds of values for numbers of threads; `auto` is settled by the number of cores.
 */
import type { Kind } from './kinds.ts'

/** More than any machine in sight has cores, and few enough that a typing mistake does not start thousands. */
const maxThreads = 128

export type Workers = { min: number; max: number }

const isCount = (count: number) => count >= 1 && count <= maxThreads

export const threadCount: Kind<number | 'auto'> = {
  placeholder: 'N',
  expected: `auto or a whole number from 1 to ${maxThreads}`,
  jsonSchema: { anyOf: [{ const: 'auto' }, { type: 'integer', minimum: 1, maximum: maxThreads }] },
  read: (text) => {
    if (text === 'auto') return 'auto'
    return /^\d{1,3}$/.test(text) && isCount(Number(text)) ? Number(text) : undefined
  },
}

export const workerCount: Kind<Workers | 'auto'> = {
  placeholder: 'N',
  expected: `auto, a whole number from 1 to ${maxThreads}, or MIN-MAX like 1-4`,
  jsonSchema: {
    anyOf: [
      { type: 'integer', minimum: 1, maximum: maxThreads },
      { type: 'string', pattern: '^(auto|[0-9]{1,3}-[0-9]{1,3})$' },
    ],
  },
  read: (text) => {
    if (text === 'auto') return 'auto'
    const match = /^(\d{1,3})(?:-(\d{1,3}))?$/.exec(text)
    if (match === null) return undefined
    const min = Number(match[1])
    const max = Number(match[2] ?? match[1])
    return isCount(min) && isCount(max) && min <= max ? { min, max } : undefined
  },
}

export function resolveProxyThreads(count: number | 'auto', cpuCount: number): number {
  return count === 'auto' ? Math.min(maxThreads, Math.max(1, Math.floor(cpuCount / 2))) : count
}

/** A copy, so that freezing the config freezes no default. */
export function resolveWorkers(count: Workers | 'auto', cpuCount: number): Workers {
  return count === 'auto' ? { min: 1, max: Math.min(maxThreads, Math.max(2, cpuCount - 1)) } : { ...count }
}
