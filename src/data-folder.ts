/**
 * What the data folder holds besides the log and the database: its lock, and the name of this node.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { lockDirectory } from './log/lock.ts'
import { StartError } from './threads.ts'

export type DataFolder = {
  log: string
  database: string
  deadLetters: string
  node: string
  release(): void
}

/** Throws a StartError when the folder cannot be used, or another process uses it. */
export function openDataFolder(path: string, node: string | null): DataFolder {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    const lock = lockDirectory(path)
    if (!lock.ok) {
      const holder = lock.heldBy === null ? '' : ` (process ${lock.heldBy})`
      throw new StartError(`data: ${path}: another waybill uses this folder${holder}`)
    }
    return {
      log: join(path, 'log'),
      database: join(path, 'waybill.db'),
      deadLetters: join(path, 'dead-letters.ndjson'),
      node: node ?? nodeName(join(path, 'node')),
      release: lock.release,
    }
  } catch (error) {
    if (error instanceof StartError) throw error
    throw new StartError(`data: ${path}: ${(error as Error).message}`)
  }
}

function nodeName(file: string): string {
  if (existsSync(file)) {
    const name = readFileSync(file, 'utf8').trim()
    if (/^[A-Za-z0-9_.-]{1,64}$/.test(name)) return name
  }
  const name = randomBytes(6).toString('hex')
  writeFileSync(file, `${name}\n`)
  return name
}

/**
 * Sets a damaged database aside under another name: pulls are served and counted anew, and what was in it can
 * still be looked at. Returns the new name.
 */
export function setDatabaseAside(path: string, nowMs: number): string {
  const aside = `${path}.damaged-${new Date(nowMs).toISOString().replaceAll(':', '')}`
  for (const suffix of ['', '-wal', '-shm']) {
    if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix)
  }
  return aside
}
