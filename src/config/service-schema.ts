/**
 * The rows of the table of settings that are about Redis and Kafka.
 */
import { broker, redisUrl } from './addresses.ts'
import { authorities } from './domain-schema.ts'
import { boolean, choice, integer, matching, word } from './kinds.ts'
import { type Setting, setting } from './setting.ts'

const topic = matching(
  'TOPIC',
  'a topic name of letters, digits, ".", "_" and "-", or null for off',
  '^(?!\\.{1,2}$)[A-Za-z0-9._-]{1,249}$',
)

export const serviceSettings = {
  'redis.url': setting(redisUrl, {
    help: 'Redis that keeps the sessions; any number of nodes share it.',
    flag: 'redis',
    variable: 'WAYBILL_REDIS',
    unset: 'sessions in the embedded store',
    secret: 'url',
  }),
  'redis.cluster': setting(boolean, { help: 'The URL names a node of a Redis Cluster.', default: 'off' }),
  'redis.tls': setting(boolean, { help: 'Speak TLS to Redis; on with rediss://.', unset: 'by the URL' }),
  'redis.tls.ca': setting(authorities, {
    help: 'Authorities that the certificate of Redis is checked with.',
    unset: 'those of the system',
  }),
  'kafka.brokers': setting(broker, {
    help: 'Kafka brokers that events are published to.',
    flag: 'kafka',
    variable: 'WAYBILL_KAFKA',
    list: true,
    needsOne: true,
    unset: 'events in the embedded store',
  }),
  'kafka.ssl': setting(boolean, { help: 'Speak TLS to the brokers.', default: 'off' }),
  'kafka.ssl.ca': setting(authorities, {
    help: 'Authorities that the certificates of the brokers are checked with.',
    unset: 'those of the system',
  }),
  'kafka.sasl.mechanism': setting(choice(['plain', 'scram-sha-256', 'scram-sha-512']), {
    help: 'How Waybill signs in to Kafka.',
    unset: 'no sign-in',
  }),
  'kafka.sasl.username': setting(word, { help: 'User name for Kafka.', unset: 'no sign-in' }),
  'kafka.sasl.password': setting(word, { help: 'Password for Kafka.', unset: 'no sign-in', secret: 'word' }),
  'kafka.compression': setting(choice(['none', 'gzip']), {
    help: 'Compression of what is published.',
    default: 'gzip',
  }),
  'kafka.requestsTopic': setting(topic, {
    help: 'Topic of request events.',
    default: 'waybill.requests',
    nullable: true,
  }),
  'kafka.eventsTopic': setting(topic, {
    help: 'Topic of package events.',
    default: 'waybill.events',
    nullable: true,
  }),
  'kafka.deadLettersTopic': setting(topic, {
    help: 'Topic of what could not be processed.',
    default: 'waybill.dead-letters',
    nullable: true,
  }),
  'kafka.manifestsTopic': setting(topic, {
    help: 'Topic of manifests, to be compacted.',
    default: 'waybill.manifests',
    nullable: true,
  }),
  'kafka.createTopics': setting(boolean, { help: 'Create topics that are missing.', default: 'off' }),
  'kafka.partitions': setting(integer(1, 10_000), { help: 'Partitions of a created topic.', default: '12' }),
  'kafka.replicationFactor': setting(integer(1, 100), { help: 'Copies of a created topic.', default: '3' }),
} as const satisfies Readonly<Record<string, Setting>>
