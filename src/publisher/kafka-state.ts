/**
 * Whether Kafka takes what it is sent, by topic: said once when it changes, not on every try.
 */
import type { Log } from './kafka-connection.ts'
import type { PublishError } from './kafka-errors.ts'

type Trouble = { error: PublishError; sinceMs: number; failures: number }

export function createKafkaState(options: {
  log: Log
  now: () => number
  onState(up: boolean, why: string | null): void
}) {
  const { log, now, onState } = options
  const troubled = new Map<string, Trouble>()

  return {
    failed(topic: string, error: PublishError): void {
      const before = troubled.get(topic)
      if (before?.error.reason === error.reason) {
        before.failures++
        return
      }
      troubled.set(topic, {
        error,
        sinceMs: before?.sinceMs ?? now(),
        failures: (before?.failures ?? 0) + 1,
      })
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
