/** The two small parts of a delivery: entries out of a frame, and a send that ends. */
import type { LogEntry } from '../record/events.ts'
import type { DeliveryFrame } from './delivery-source.ts'

export type SendFailure = 'timeout' | 'error'

/** null: the target wants none at all. */
export type EntryFilter = ((entry: LogEntry) => boolean) | null

/** The entries that the target wants; `unreadable`: lines that are no JSON. */
export function entriesOf(
  { payload, parsed }: DeliveryFrame,
  filter: EntryFilter,
): { entries: LogEntry[]; unreadable: number } {
  if (filter === null) return { entries: [], unreadable: 0 }
  if (parsed !== undefined) return { entries: parsed.filter(filter), unreadable: 0 }
  const entries: LogEntry[] = []
  let unreadable = 0
  for (const line of payload.toString().split('\n')) {
    if (line === '') continue
    try {
      const entry: LogEntry = JSON.parse(line)
      if (filter(entry)) entries.push(entry)
    } catch {
      unreadable++
    }
  }
  return { entries, unreadable }
}

/** Null when it succeeded. A send that comes to its end after the timeout is not heard any more. */
export async function sendWithin(
  timeoutMs: number,
  send: (signal: AbortSignal) => Promise<unknown>,
): Promise<SendFailure | null> {
  const timeout = new AbortController()
  const { promise, resolve } = Promise.withResolvers<SendFailure>()
  const timer = setTimeout(() => {
    timeout.abort()
    resolve('timeout')
  }, timeoutMs)
  const sent = Promise.resolve()
    .then(() => send(timeout.signal))
    .then(
      () => null,
      () => 'error' as const,
    )
  const failure = await Promise.race([sent, promise])
  clearTimeout(timer)
  return failure
}
