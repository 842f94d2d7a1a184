/**
 * What a failed call to Kafka means: whose fault, whether trying again helps, and in which words to say it.
 */
import { type DeadLetterReason, deadLetterReasons } from './dead-letter.ts'

export const publishFailures = [
  'unreachable',
  'timeout',
  'authentication',
  'authorization',
  'unknown_topic',
  'topic_creation',
  'busy',
  'closed',
  'rejected',
] as const
export type PublishFailure = (typeof publishFailures)[number]

/** Why entries were not published; the log delivers them again. */
export type PublishError = Error & { reason: PublishFailure }

export function publishError(reason: PublishFailure, message: string): PublishError {
  return Object.assign(new Error(message), { reason })
}

export function isPublishError(error: unknown): error is PublishError {
  return error instanceof Error && publishFailures.includes((error as Partial<PublishError>).reason!)
}

type KafkaError = { name: string; message: string; type?: string; retriable?: boolean }

/** kafkajs wraps what happened in what it did about it; the innermost cause is the one that speaks. */
export function innermostCause(error: unknown): KafkaError {
  let found = error as KafkaError & { cause?: unknown }
  for (let depth = 0; depth < 8 && found.type === undefined && found.cause instanceof Error; depth++) {
    found = found.cause as KafkaError
  }
  return found
}

/** The reason under which a message becomes a dead letter; null when the error is not the message's own. */
export function deadLetterReason(error: unknown): DeadLetterReason | null {
  const { type } = innermostCause(error)
  return type !== undefined && type in deadLetterReasons
    ? deadLetterReasons[type as keyof typeof deadLetterReasons]
    : null
}

/** Leadership moves and the like, over in a moment: worth another try with fresh metadata. */
export function isPassing(error: unknown): boolean {
  const cause = innermostCause(error)
  if (cause.type === 'UNKNOWN_TOPIC_OR_PARTITION') return false
  if (cause.name === 'KafkaJSMetadataNotLoaded' || cause.name === 'KafkaJSBrokerNotFound') return true
  return cause.type !== undefined && cause.retriable === true
}

export function explain(error: unknown, topic: string): PublishError {
  if (isPublishError(error)) return error
  const { name, message, type } = innermostCause(error)
  if (type === 'UNKNOWN_TOPIC_OR_PARTITION') {
    return publishError(
      'unknown_topic',
      `Kafka has no topic ${topic}: create it, or set kafka.createTopics to true`,
    )
  }
  if (type?.endsWith('_AUTHORIZATION_FAILED')) {
    return publishError('authorization', `Kafka does not allow this user to write to topic ${topic}: ${type}`)
  }
  if (name.includes('SASL') || type?.includes('SASL') === true) {
    return publishError('authentication', 'Kafka refused the credentials of kafka.sasl')
  }
  if (name === 'KafkaJSRequestTimeoutError' || type === 'REQUEST_TIMED_OUT') {
    return publishError('timeout', `Kafka did not acknowledge in time for topic ${topic}`)
  }
  // A broker that hung up before: kafkajs throws a bare error for it.
  const hungUp = message === 'Broker not connected'
  if (name.startsWith('KafkaJSConnection') || name === 'KafkaJSLockTimeout' || hungUp) {
    return publishError('unreachable', `Kafka cannot be reached: ${message}`)
  }
  return publishError('rejected', `Kafka did not take messages for topic ${topic}: ${type ?? message}`)
}
