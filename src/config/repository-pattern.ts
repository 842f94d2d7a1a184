/**
 * Patterns of repository names: how they are read, and which of them another one already covers.
 */
import { namePart } from './addresses.ts'
import type { Kind } from './kinds.ts'

const wildcards: readonly string[] = ['*', '**']

function isPattern(text: string): boolean {
  const parts = text.split('/')
  const stars = parts.filter((part) => wildcards.includes(part)).length
  // 255 is the limit of most clients for a whole name.
  return (
    stars <= 1 && text.length <= 255 && parts.every((part) => wildcards.includes(part) || namePart.test(part))
  )
}

function explainPattern(text: string): string | undefined {
  if (/[A-Z]/.test(text)) return 'expected a name in lower case'
  if (text.startsWith('/') || text.endsWith('/')) return 'expected a name without "/" at its start or end'
  if ((text.match(/\*+/g) ?? []).length > 1) return 'expected no more than one wildcard'
  return /\*/.test(text) ? 'expected a wildcard that is a whole part, like acme/* or acme/**' : undefined
}

const jsonSchema = { type: 'string', pattern: '^[a-z0-9*][a-z0-9._/*-]*$', maxLength: 255 } as const

export const repositoryPattern: Kind<string> = {
  placeholder: 'PATTERN',
  expected:
    'a repository name, in which one part may be * (one part) or ** (any parts), like app, acme/* or **',
  jsonSchema,
  read: (text) => (isPattern(text) ? text : undefined),
  explain: explainPattern,
}

export const upstreamRepository: Kind<string> = {
  placeholder: 'NAME',
  expected:
    'a repository name, with ** for what the wildcard of the pattern matched, like acme-org/app or mirror/**',
  jsonSchema,
  read: (text) => (isPattern(text) ? text : undefined),
  explain: explainPattern,
}

export function hasWildcard(pattern: string): boolean {
  return pattern.includes('*')
}

/** Whether `wide` matches every name that `narrow` does. */
export function covers(wide: string, narrow: string): boolean {
  if (wide === narrow) return true
  const star = wide.indexOf('*')
  if (star < 0) return false
  const isDeep = wide.startsWith('**', star)
  const before = wide.slice(0, star)
  const after = wide.slice(star + (isDeep ? 2 : 1))
  if (narrow.length <= before.length + after.length) return false
  if (!narrow.startsWith(before) || !narrow.endsWith(after)) return false
  // A wildcard of the narrow one in here stands for at least one part, and a deep one for several.
  const matched = narrow.slice(before.length, narrow.length - after.length)
  return isDeep || !/\/|\*\*/.test(matched)
}
