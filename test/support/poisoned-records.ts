/**
 * Loaded before Waybill by `--import`: records with certain User-Agents harm the pool worker that reads them,
 * in ways that no test can cause from outside.
 *
 * `poison-exit`: the worker ends. `poison-throw`: the reading throws an error that quotes an address, as
 * libraries do. `poison-later`: the same, outside of any task.
 */
import { isMainThread, workerData } from 'node:worker_threads'

/** Environment of a Waybill whose workers suffer; `quoted` is the address that the errors speak of. */
export function preloadPoison(quoted: string): Record<string, string> {
  // Not in the URL, which stack traces name.
  return { NODE_OPTIONS: `--import=${import.meta.url}`, POISON_QUOTES: quoted }
}

const quoted = process.env['POISON_QUOTES']
const isPoolWorker = !isMainThread && workerData !== null && 'logDirectory' in workerData

if (quoted !== undefined && isPoolWorker) {
  const read = Buffer.prototype.toString
  const fail = () => {
    throw new Error(`connect ECONNREFUSED ${quoted}:443`)
  }
  Buffer.prototype.toString = function (this: Buffer, ...args: Parameters<Buffer['toString']>) {
    const text = read.apply(this, args)
    if (text.startsWith('poison-exit')) process.exit(9)
    if (text.startsWith('poison-throw')) fail()
    if (text.startsWith('poison-later')) setImmediate(fail)
    return text
  }
}
