/**
 * What the indexes of domains and upstreams in records stand for, on its way to the workers. It goes with every
 * batch, so that no worker, however new, sees an index before its name; shared memory makes that cost nothing.
 */
import type { Config } from './config/types.ts'

export type NameTable = {
  domains: readonly { host: string | null }[]
  upstreams: readonly { host: string }[]
}

/** The table as JSON; never changed once it is made. */
export type PackedNames = { version: number; sab: SharedArrayBuffer }

export function packNames(version: number, config: Pick<Config, 'domains' | 'upstreams'>): PackedNames {
  const table: NameTable = {
    domains: config.domains.map(({ host }) => ({ host })),
    upstreams: config.upstreams.map(({ host }) => ({ host })),
  }
  const bytes = new TextEncoder().encode(JSON.stringify(table))
  const sab = new SharedArrayBuffer(bytes.length)
  new Uint8Array(sab).set(bytes)
  return { version, sab }
}

export function unpackNames({ sab }: PackedNames): NameTable {
  // A decoder takes no shared memory.
  return JSON.parse(new TextDecoder().decode(new Uint8Array(sab).slice())) as NameTable
}
