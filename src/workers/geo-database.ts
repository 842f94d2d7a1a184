/** Reads a geo database once, into memory that all workers share, and refuses what would fail later. */
import { open } from 'node:fs/promises'
import { Reader, type Response } from 'maxmind'
import { isSound } from './geo-probe.ts'

/** What the main thread hands to the workers (`createGeoLookup`). */
export type GeoDatabase = {
  sab: SharedArrayBuffer
  /** As the file says it: `GeoLite2-City`, `city ipv4` … */
  type: string
  /** Unix ms at which the file was built; null when it does not say so. */
  buildEpoch: number | null
  /** 4: the file knows no IPv6, and would answer nonsense. */
  ipVersion: 4 | 6
}

/** The largest in the field is the 134 MB of a city file for both families. */
const maxFileBytes = 2 ** 30

const unsound = 'is not a sound MaxMind DB file'

/** A file that is broken answers with an error and not with a throw: the database in use stays in use. */
export async function loadDatabase(path: string): Promise<GeoDatabase | { error: string }> {
  try {
    const sab = await readShared(path)
    if (typeof sab === 'string') return { error: sab }
    const reader = new Reader<Response>(Buffer.from(sab))
    const { databaseType, buildEpoch, ipVersion } = reader.metadata
    if (ipVersion !== 4 && ipVersion !== 6) return { error: `has the unknown IP version ${ipVersion}` }
    if (!isSound(sab, reader)) return { error: unsound }
    const builtMs = buildEpoch instanceof Date ? buildEpoch.getTime() : Number.NaN
    return {
      sab,
      type: typeof databaseType === 'string' ? databaseType.slice(0, 64) : 'unknown',
      buildEpoch: Number.isNaN(builtMs) ? null : builtMs,
      ipVersion,
    }
  } catch (error) {
    return { error: reasonOf(error) }
  }
}

async function readShared(path: string): Promise<SharedArrayBuffer | string> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    if (size === 0) return 'is empty'
    if (size > maxFileBytes) return `has more than ${maxFileBytes} bytes`
    const sab = new SharedArrayBuffer(size)
    const bytes = Buffer.from(sab)
    for (let done = 0; done < size; ) {
      const { bytesRead } = await file.read(bytes, done, size - done, done)
      if (bytesRead === 0) return 'became shorter while it was read'
      done += bytesRead
    }
    return sab
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
