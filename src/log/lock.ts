/**
 * One process for one data folder: a lock of the operating system, which dies with its holder.
 */
import fs from 'node:fs'
import path from 'node:path'
import { pid } from 'node:process'
import { DatabaseSync } from 'node:sqlite'

/** `heldBy`: process id of the holder, null when it is not known. */
export type DirectoryLock = { ok: true; release(): void } | { ok: false; heldBy: number | null }

/** SQLITE_BUSY (https://www.sqlite.org/rescode.html#busy): another process has the lock. */
const busyCode = 5
/** Keeps the locks of this process from being collected, which would open them. */
const held = new Set<DatabaseSync>()

/**
 * Locks the folder, which is made if need be. Throws system errors (EACCES, EROFS …).
 *
 * Node has no file lock of its own; an exclusive transaction of SQLite is one (fcntl), holds between containers
 * that share a volume, where process ids mean nothing, and leaves nothing stale behind after SIGKILL. Nothing
 * else may open the file `lock`: closing it would give the lock up.
 */
export function lockDirectory(directory: string): DirectoryLock {
  fs.mkdirSync(directory, { recursive: true })
  fs.accessSync(directory, fs.constants.W_OK)
  const pidFile = path.join(directory, 'pid')
  const database = new DatabaseSync(path.join(directory, 'lock'))
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if ((error as { errcode?: number }).errcode !== busyCode) throw error
    return { ok: false, heldBy: readPid(pidFile) }
  }
  held.add(database)
  fs.writeFileSync(pidFile, `${pid}\n`)

  function release(): void {
    if (!held.delete(database)) return
    // Before the lock is open: after that the file is another's.
    fs.rmSync(pidFile, { force: true })
    database.close()
  }

  return { ok: true, release }
}

function readPid(file: string): number | null {
  try {
    const holder = Number(fs.readFileSync(file, 'utf8'))
    return Number.isInteger(holder) && holder > 0 ? holder : null
  } catch {
    return null
  }
}
