/** The operating system's id of the calling thread, by which `top -H` and /proc tell threads apart. */
import { readlinkSync } from 'node:fs'

/** null where there is no Linux /proc. */
export function readThreadId(): number | null {
  try {
    // `<pid>/task/<tid>`; synchronous, so it is this very thread that asks.
    const id = Number(readlinkSync('/proc/thread-self').split('/').at(-1))
    return Number.isSafeInteger(id) ? id : null
  } catch {
    return null
  }
}
