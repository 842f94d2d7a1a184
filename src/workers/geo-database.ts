/** Reads a geo database once, into memory that all workers share, and refuses what would fail later. */
import { open } from 'node:fs/promises'
import { Reader, type Response } from 'maxmind'
import { compileOverrides } from '../geo/overrides.ts'
import { shareBytes } from '../geo/range-builder.ts'
import { isTable, openTable } from '../geo/range-table.ts'
import { isSound } from './geo-probe.ts'

/** What the main thread hands to the workers (`createGeoLookup`). */
export type GeoDatabase = {
  sab: SharedArrayBuffer
  /** `table`: one of our own (geo/range-table.ts). */
  format: 'mmdb' | 'table'
  /** As the file says it: `GeoLite2-City`, `city ipv4`, `place` … */
  type: string
  /** Unix ms at which the file was built; null when it does not say so. */
  buildEpoch: number | null
  /** 4: the file knows no IPv6, and would answer nonsense. */
  ipVersion: 4 | 6
}

export const geoRoles = ['city', 'asn', 'company', 'overrides', 'cloud'] as const
/** What a database is used for: the keys of `geo` in the config, and the ranges of the clouds. */
export type GeoRole = (typeof geoRoles)[number]
export type GeoDatabases = Readonly<Record<GeoRole, GeoDatabase | null>>
export const noGeoDatabases: GeoDatabases = {
  city: null,
  asn: null,
  company: null,
  overrides: null,
  cloud: null,
}

/** The largest in the field is the 134 MB of a city file for both families. */
const maxFileBytes = 2 ** 30

const unsound = 'is not a sound MaxMind DB file'

/** Names of databases by what they hold; one that is none of these may hold anything. */
const placeTypes = /city|country|enterprise|location|place|ipinfo/i
const networkTypes = /asn|isp|enterprise|company|domain|connection|anonymous|ipinfo|network/i

/** A file for places that tells of networks too. */
export function knowsNetworks(database: GeoDatabase | null | undefined): boolean {
  return database?.format === 'mmdb' && networkTypes.test(database.type)
}

/** Why the database cannot serve for that; null: it can. */
function mismatch(role: GeoRole, type: string): string | null {
  const isPlace = placeTypes.test(type)
  const isNetwork = networkTypes.test(type)
  if (!isPlace && !isNetwork) return null
  if (role === 'city' && !isPlace) return `is a ${type} database, which knows no countries`
  if ((role === 'asn' || role === 'company') && !isNetwork)
    return `is a ${type} database, which knows no networks`
  return null
}

/** A file that is broken answers with an error and not with a throw: the database in use stays in use. */
export async function loadDatabase(
  path: string,
  role: GeoRole | null = null,
): Promise<GeoDatabase | { error: string }> {
  try {
    const read = await readShared(path)
    if ('error' in read) return read
    if (role === 'overrides') return loadOverrides(read)
    const loaded = isTable(read.sab) ? loadTable(read.sab) : loadMaxMind(read.sab)
    if ('error' in loaded || role === null) return loaded
    const wrong = mismatch(role, loaded.type)
    return wrong === null ? loaded : { error: wrong }
  } catch (error) {
    return { error: reasonOf(error) }
  }
}

function loadMaxMind(sab: SharedArrayBuffer): GeoDatabase | { error: string } {
  const reader = new Reader<Response>(Buffer.from(sab))
  const { databaseType, buildEpoch, ipVersion } = reader.metadata
  if (ipVersion !== 4 && ipVersion !== 6) return { error: `has the unknown IP version ${ipVersion}` }
  if (!isSound(sab, reader)) return { error: unsound }
  const builtMs = buildEpoch instanceof Date ? buildEpoch.getTime() : Number.NaN
  return {
    sab,
    format: 'mmdb',
    type: typeof databaseType === 'string' ? databaseType.slice(0, 64) : 'unknown',
    buildEpoch: Number.isNaN(builtMs) ? null : builtMs,
    ipVersion,
  }
}

function loadTable(sab: SharedArrayBuffer): GeoDatabase | { error: string } {
  const table = openTable(sab, true)
  if ('error' in table) return table
  const { kind, builtMs } = table.meta
  return { sab, format: 'table', type: kind, buildEpoch: builtMs, ipVersion: 6 }
}

function loadOverrides({ sab, changedMs }: Read): GeoDatabase | { error: string } {
  const compiled = compileOverrides(Buffer.from(sab).toString('utf8'), changedMs)
  if ('problems' in compiled) return { error: compiled.problems.join('; ') }
  return loadTable(shareBytes(compiled.bytes))
}

type Read = { sab: SharedArrayBuffer; changedMs: number }

async function readShared(path: string): Promise<Read | { error: string }> {
  const file = await open(path)
  try {
    const { size, mtimeMs } = await file.stat()
    if (size === 0) return { error: 'is empty' }
    if (size > maxFileBytes) return { error: `has more than ${maxFileBytes} bytes` }
    const sab = new SharedArrayBuffer(size)
    const bytes = Buffer.from(sab)
    for (let done = 0; done < size; ) {
      const { bytesRead } = await file.read(bytes, done, size - done, done)
      if (bytesRead === 0) return { error: 'became shorter while it was read' }
      done += bytesRead
    }
    return { sab, changedMs: Math.round(mtimeMs) }
  } finally {
    await file.close()
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    return `cannot be read (${error.code})`
  }
  return unsound
}
