/**
 * Redis and Kafka: on when their address is given, and then complete.
 */
import { resolve } from 'node:path'
import { type ReadFile, tryReadCertificates } from './files.ts'
import { type Key, settings } from './schema.ts'
import type { SettledValues } from './settled-values.ts'
import type { Config } from './types.ts'

export function resolveRedis(values: SettledValues, readFile: ReadFile): Config['redis'] {
  const url = values.get('redis.url')
  const [first] = values.givenBelow('redis.')
  if (first !== undefined) values.miss('redis.url', first)
  if (url === null) return null
  const cluster = values.get('redis.cluster')
  const tls = values.get('redis.tls')
  const ca = readAuthorities(values, 'redis.tls.ca', readFile)
  if (tls === false && url.tls) values.refuse('redis.tls', 'expected on, as the URL starts with rediss://')
  if (cluster && url.database !== 0) {
    values.refuse('redis.url', 'expected no database but 0, as a Redis Cluster has no other')
  }
  return { url: url.url, cluster, tls: (tls ?? url.tls) ? { ca } : null }
}

const topicKeys = [
  'kafka.requestsTopic',
  'kafka.eventsTopic',
  'kafka.deadLettersTopic',
  'kafka.manifestsTopic',
] as const satisfies readonly Key[]

export function resolveKafka(values: SettledValues, readFile: ReadFile): Config['kafka'] {
  const brokers = values.all('kafka.brokers')
  const [first] = values.givenBelow('kafka.')
  if (first !== undefined) values.miss('kafka.brokers', first)
  if (brokers.length === 0) return null
  findRepeatedTopics(values)
  const ca = readAuthorities(values, 'kafka.ssl.ca', readFile)
  const ssl = values.get('kafka.ssl')
  const sasl = resolveSasl(values)
  if (sasl !== null && !ssl) {
    values.warnings.push('kafka.sasl: without kafka.ssl the sign-in goes over the network unencrypted')
  }
  return {
    brokers,
    ssl: ssl && ca !== null ? { ca } : ssl,
    sasl,
    compression: values.get('kafka.compression'),
    requestsTopic: values.get('kafka.requestsTopic'),
    eventsTopic: values.get('kafka.eventsTopic'),
    deadLettersTopic: values.get('kafka.deadLettersTopic'),
    manifestsTopic: values.get('kafka.manifestsTopic'),
    createTopics: values.get('kafka.createTopics'),
    partitions: values.get('kafka.partitions'),
    replicationFactor: values.get('kafka.replicationFactor'),
  }
}

function resolveSasl(values: SettledValues): NonNullable<Config['kafka']>['sasl'] {
  const [first] = values.givenBelow('kafka.sasl.')
  if (first === undefined) return null
  for (const key of ['kafka.sasl.mechanism', 'kafka.sasl.username', 'kafka.sasl.password'] as const) {
    values.miss(key, first)
  }
  const mechanism = values.get('kafka.sasl.mechanism')
  const username = values.get('kafka.sasl.username')
  const password = values.get('kafka.sasl.password')
  return mechanism === null || username === null || password === null
    ? null
    : { mechanism, username, password }
}

/** Consumers tell the streams apart by topic, and only manifests can be compacted. */
function findRepeatedTopics(values: SettledValues): void {
  for (const [index, key] of topicKeys.entries()) {
    const topic = values.get(key)
    const other = topicKeys.slice(0, index).find((earlier) => values.get(earlier) === topic)
    if (topic !== null && other !== undefined)
      values.refuse(key, `expected another topic than that of ${other}`)
  }
}

function readAuthorities(
  values: SettledValues,
  key: 'redis.tls.ca' | 'kafka.ssl.ca',
  readFile: ReadFile,
): string | null {
  const found = values.found(key)
  if (found === undefined) return null
  const content = tryReadCertificates(readFile, resolve(found.source.dir, String(found.value)))
  if (content.ok) return content.content.pem
  values.refuse(key, `${content.why}; expected ${settings[key].kind.expected}`)
  return null
}
