/**
 * Whether Kafka takes what it is sent, by topic: said once when it changes, not on every try.
 */
import type { Log } from './kafka-connection.ts'
import type { PublishError, PublishFailure } from './kafka-errors.ts'

/** `told`: each reason is said once, even if two of them take turns. */
type Trouble = { error: PublishError; told: Set<PublishFailure>; sinceMs: number; failures: number }

export function createKafkaState(options: {
  log: Log
  now: () => number
  onState(up: boolean, why: string | null): void
}) {
  const { log, now, onState } = options
  const troubled = new Map<string, Trouble>()

  return {
    failed(topic: string, error: PublishError): void {
      const trouble = troubled.get(topic) ?? { error, told: new Set(), sinceMs: now(), failures: 0 }
      troubled.set(topic, trouble)
      trouble.failures++
      trouble.error = error
      if (trouble.told.has(error.reason)) return
      trouble.told.add(error.reason)
      log.warn({ topic, reason: error.reason }, error.message)
      onState(false, error.message)
    },

    succeeded(topic: string): void {
      const before = troubled.get(topic)
      if (before === undefined) return
      troubled.delete(topic)
      const { sinceMs, failures } = before
      log.info({ topic, failures, downMs: now() - sinceMs }, 'Kafka takes messages again')
      const [other] = troubled.values()
      onState(other === undefined, other?.error.message ?? null)
    },
  }
}
