/**
 * Loaded before Waybill by `--import`: ends a thread in the middle of its work when told so.
 *
 * Makes the faults that no test can cause from outside, in the very process that users run. It is told by a file:
 * the first write that finds `<folder>/<fault>` takes it away and suffers the fault. A worker writes to the log
 * (`exit-before-write`, `exit-after-write`), the session thread commits (`exit-before-commit`, `exit-after-commit`);
 * while `no-space` is there, writes to the log say that the disk is full.
 */
import fs from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { isMainThread } from 'node:worker_threads'

/** Environment of a Waybill whose threads look into `folder`. */
export function preloadWorkerFaults(folder: string): Record<string, string> {
  const preload = new URL(`${import.meta.url}?folder=${encodeURIComponent(folder)}`)
  return { NODE_OPTIONS: `--import=${preload.href}` }
}

const folder = new URL(import.meta.url).searchParams.get('folder') ?? ''
const { writevSync } = fs
const { exec } = DatabaseSync.prototype

function take(fault: string): boolean {
  try {
    // Of several threads one removes the file.
    fs.unlinkSync(join(folder, fault))
    return true
  } catch {
    return false
  }
}

if (!isMainThread && folder !== '') {
  fs.writevSync = (...args) => {
    if (take('exit-before-write')) process.exit(7)
    if (fs.existsSync(join(folder, 'no-space'))) {
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', errno: -28 })
    }
    const written = writevSync(...args)
    if (take('exit-after-write')) process.exit(7)
    return written
  }
  DatabaseSync.prototype.exec = function (sql) {
    const isCommit = sql === 'COMMIT'
    if (isCommit && take('exit-before-commit')) process.exit(7)
    exec.call(this, sql)
    if (isCommit && take('exit-after-commit')) process.exit(7)
  }
}
