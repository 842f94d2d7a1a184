/** Rows of a store, packed, back to facts in their order. */
import { unpackContext } from './context-codec.ts'
import { type UnpackedFact, unpackFact } from './fact-codec.ts'
import { compareFacts } from './pull/request.ts'
import type { StoredFact } from './store.ts'
import type { FactContext } from './types.ts'

export type UnpackedSession = {
  /** In order of (time, id). */
  facts: StoredFact[]
  /** Ids of rows that are no facts of this version or were damaged. */
  unreadable: string[]
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

export function unpackSession(
  sessionId: string,
  rows: readonly { field: Uint8Array; value: Uint8Array }[],
  packedContexts: ReadonlyMap<number, Buffer>,
): UnpackedSession {
  const contexts = new Map<number, FactContext>()
  for (const [id, bytes] of packedContexts) {
    const context = tryUnpack(() => unpackContext(bytes))
    if (context !== null) contexts.set(id, context)
  }
  const session: UnpackedSession = { facts: [], unreadable: [] }
  for (const { field, value } of rows) {
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
