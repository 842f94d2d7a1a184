/**
 * The dead letter: one entry that no retry will deliver, set aside with the reason
 * (`schemas/dead-letter.json`).
 */
import type { PublishedEntry } from './messages.ts'

/**
 * Errors of the broker that speak of one message and stay the same however often it is sent
 * (protocol error codes 10, 18, 32 and 87), and the reason each is counted under.
 */
export const deadLetterReasons = {
  MESSAGE_TOO_LARGE: 'message_too_large',
  RECORD_LIST_TOO_LARGE: 'message_too_large',
  INVALID_TIMESTAMP: 'invalid_timestamp',
  INVALID_RECORD: 'invalid_record',
} as const
export type DeadLetterReason = (typeof deadLetterReasons)[keyof typeof deadLetterReasons]

export type DeadLetter = {
  schema: 'waybill.dead-letter/1'
  /** The entry's own id (a manifest's: its digest): the same on every delivery. */
  id: string
  /** When it was set aside, RFC 3339 UTC with ms. */
  time: string
  /** A bounded word: one of `deadLetterReasons` here, others where other parts give up. */
  reason: string
  /** The stream it was meant for; null where it was lost before that was known. */
  stream: 'events' | 'requests' | 'manifests' | null
  /** The message key it would have had. */
  key: string | null
  /** Length of its JSON (or of its binary form) in bytes. */
  bytes: number
  /** The entry as JSON text, so that it can be sent again; null where it is too large or unreadable. */
  entry: string | null
  node: string
}

export function toDeadLetter(
  rejected: PublishedEntry,
  reason: DeadLetterReason,
  nowMs: number,
  node: string,
): DeadLetter {
  return {
    schema: 'waybill.dead-letter/1',
    id: rejected.id,
    time: new Date(nowMs).toISOString(),
    reason,
    stream: rejected.stream === 'dead-letters' ? null : rejected.stream,
    key: rejected.key,
    bytes: Buffer.byteLength(rejected.json),
    // What was too large for its own topic would be too large here as well, envelope and escapes added.
    entry: reason === 'message_too_large' ? null : rejected.json,
    node,
  }
}
