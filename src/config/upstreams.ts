/**
 * Collects the upstreams of all routes: those that are the same in everything become one.
 */
import { resolve } from 'node:path'
import type { UpstreamUrl } from './addresses.ts'
import { authorities } from './domain-schema.ts'
import { type ReadFile, tryReadCertificates } from './files.ts'
import { type Found, problem } from './findings.ts'
import type { Upstream } from './types.ts'

export type UpstreamList = {
  readonly all: Upstream[]
  /** Its index. */
  add(url: UpstreamUrl, ca?: string | null, credentials?: Upstream['credentials']): number
}

export function createUpstreamList(): UpstreamList {
  const all: Upstream[] = []
  const indexes = new Map<string, number>()
  return {
    all,
    add({ origin, host, dockerHub }, ca = null, credentials = null) {
      const key = JSON.stringify([origin, ca, credentials])
      const known = indexes.get(key)
      if (known !== undefined) return known
      indexes.set(key, all.length)
      all.push({ origin, host, dockerHub, ca, credentials })
      return all.length - 1
    },
  }
}

/** The PEM text that a key names; null without one, and with one that is of no use. */
export function resolveAuthorities(
  problems: string[],
  found: Found | undefined,
  readFile: ReadFile,
): string | null {
  if (found === undefined) return null
  const content = tryReadCertificates(readFile, resolve(found.source.dir, String(found.value)))
  if (content.ok) return content.content.pem
  const tail = `${content.why}; expected ${authorities.expected}`
  problems.push(problem(found.key, found.shown, found.source, tail))
  return null
}

/** Puts the path of an upstream's URL before the name there. */
export function joinRepository(prefix: string, repository: string): string {
  return prefix === '' ? repository : `${prefix}/${repository}`
}
