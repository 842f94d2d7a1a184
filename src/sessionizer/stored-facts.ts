/** Rows of a store, packed, back to facts in their order. */
import { unpackContext } from './context-codec.ts'
import { timeOf, type UnpackedFact, unpackFact } from './fact-codec.ts'
import { compareFacts } from './pull/request.ts'
import type { StoredFact } from './store.ts'
import type { FactContext } from './types.ts'

export type UnpackedSession = {
  /** In order of (time, id). */
  facts: StoredFact[]
  /** Ids of rows that are no facts of this version or were damaged. */
  unreadable: string[]
  /** Younger facts were left in the store. */
  more: boolean
}

export type FactRow = { field: Uint8Array; value: Uint8Array }

/** Of more rows than these, those that began first. */
function takeOldest(rows: readonly FactRow[], most: number): readonly FactRow[] {
  if (rows.length <= most) return rows
  const timed = rows.map((row) => ({ row, timeMs: timeOf(row.value) }))
  timed.sort((a, b) => a.timeMs - b.timeMs || Buffer.compare(a.row.field, b.row.field))
  return timed.slice(0, most).map(({ row }) => row)
}

/** What cannot be read must not stop the session, or all that are claimed with it, for ever. */
function tryUnpack<T>(unpack: () => T): T | null {
  try {
    return unpack()
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

/** As read: of a session that holds more than `mostFacts` at least so many of the oldest. */
export type StoredSession = {
  rows: readonly FactRow[]
  contexts: ReadonlyMap<number, Buffer>
  held: number
  mostFacts: number
}

export function unpackSession(sessionId: string, stored: StoredSession): UnpackedSession {
  const contexts = new Map<number, FactContext>()
  for (const [id, bytes] of stored.contexts) {
    const context = tryUnpack(() => unpackContext(bytes))
    if (context !== null) contexts.set(id, context)
  }
  const session: UnpackedSession = { facts: [], unreadable: [], more: stored.held > stored.mostFacts }
  for (const { field, value } of takeOldest(stored.rows, stored.mostFacts)) {
    const id = Buffer.from(field.buffer, field.byteOffset, 16).toString('hex')
    const key = { id, heartbeat: field.length > 16, sessionId }
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    const unpacked = tryUnpack((): UnpackedFact | null =>
      unpackFact(bytes, key, (context) => contexts.get(context)),
    )
    if (unpacked === null) session.unreadable.push(id)
    else session.facts.push(unpacked)
  }
  session.facts.sort((a, b) => compareFacts(a.fact, b.fact))
  return session
}
