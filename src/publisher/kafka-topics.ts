/**
 * Creates the configured topics that do not exist yet.
 */
import type { ITopicConfig } from 'kafkajs'
import type { KafkaConnection, KafkaSettings, Log } from './kafka-connection.ts'
import { isPublishError, publishError } from './kafka-errors.ts'

export function toTopicConfigs(settings: KafkaSettings): ITopicConfig[] {
  const { requestsTopic, eventsTopic, manifestsTopic, deadLettersTopic } = settings
  const { partitions: numPartitions, replicationFactor } = settings
  const names = new Set([requestsTopic, eventsTopic, manifestsTopic, deadLettersTopic])
  return [...names]
    .filter((topic) => topic !== null)
    .map((topic) => ({
      topic,
      numPartitions,
      replicationFactor,
      // The manifest graph is a table by digest, wanted whole however old an entry is.
      ...(topic === manifestsTopic ? { configEntries: [{ name: 'cleanup.policy', value: 'compact' }] } : {}),
    }))
}

/** Rejects with what to change; topics that are already there are left as they are. */
export async function createMissingTopics(
  connection: KafkaConnection,
  settings: KafkaSettings,
  log: Log,
): Promise<void> {
  await connection.administer(async (admin) => {
    for (const config of toTopicConfigs(settings)) {
      try {
        const created = await admin.createTopics({ topics: [config], waitForLeaders: true })
        if (created)
          log.info({ topic: config.topic, partitions: config.numPartitions }, 'Kafka topic created')
      } catch (error) {
        throw explainCreation(error, config.topic)
      }
    }
  })
}

function explainCreation(error: unknown, topic: string): unknown {
  const errors = (error as { errors?: { type?: string; message?: string }[] }).errors
  if (isPublishError(error) || errors === undefined) return error
  const why = errors.map(({ type, message }) => type ?? message).join(', ')
  return publishError(
    'topic_creation',
    `Kafka topic ${topic} could not be created (${why}): see kafka.partitions and kafka.replicationFactor, or create it and leave kafka.createTopics off`,
  )
}
