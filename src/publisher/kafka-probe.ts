/** Asks Kafka now and then whether it is there and has its topics, so that its state is known without any traffic. */
import type { PublishError } from './kafka-errors.ts'

export type KafkaProbe = {
  /** Ends it; a call under way ends by its own deadline. */
  close(): void
}

const intervalMs = 5000
/** Five failures in a row count as down: known within seconds. */
const failingIntervalMs = 1000

export function startKafkaProbe(options: {
  /** Rejects with a `PublishError`. */
  check(): Promise<void>
  /** What is known of Kafka from use; with a failure known, use goes on and says more than a probe. */
  isOk(): boolean
  succeeded(): void
  failed(error: PublishError): void
}): KafkaProbe {
  let closed = false
  let timer: NodeJS.Timeout | null = null
  /** Whether it was a probe that failed last: a probe may then say that it is well again. */
  let failedHere = false

  async function probe(): Promise<void> {
    if (options.isOk() || failedHere) {
      try {
        await options.check()
        if (failedHere && !closed) options.succeeded()
        failedHere = false
      } catch (error) {
        if (!closed) options.failed(error as PublishError)
        failedHere = true
      }
    }
    plan(failedHere ? failingIntervalMs : intervalMs)
  }

  function plan(delayMs: number): void {
    if (!closed) timer = setTimeout(() => void probe(), delayMs)
  }

  plan(0)
  return {
    close() {
      closed = true
      if (timer !== null) clearTimeout(timer)
    },
  }
}
