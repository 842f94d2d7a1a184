/** What errors of kafkajs are taken for, how the settings reach it, and when a change of state is said. */
import kafkajs from 'kafkajs'
import { expect, test } from 'vitest'
import { type KafkaSettings, toKafkaConfig } from './kafka-connection.ts'
import { deadLetterReason, explain, isPassing, publishError } from './kafka-errors.ts'
import { createKafkaState } from './kafka-state.ts'

const { KafkaJSConnectionError, KafkaJSNumberOfRetriesExceeded, KafkaJSProtocolError } = kafkajs
const ofBroker = (type: string, retriable: boolean) =>
  new KafkaJSProtocolError(Object.assign(new Error(type.toLowerCase()), { type, retriable }))
const retried = (cause: Error) =>
  new KafkaJSNumberOfRetriesExceeded(cause, { retryCount: 1, retryTime: 1, cause } as never)

test.each([
  {
    error: ofBroker('MESSAGE_TOO_LARGE', false),
    reason: 'rejected',
    dead: 'message_too_large',
    passing: false,
  },
  { error: ofBroker('INVALID_RECORD', false), reason: 'rejected', dead: 'invalid_record', passing: false },
  { error: ofBroker('NOT_LEADER_FOR_PARTITION', true), reason: 'rejected', dead: null, passing: true },
  {
    error: ofBroker('UNKNOWN_TOPIC_OR_PARTITION', true),
    reason: 'unknown_topic',
    dead: null,
    passing: false,
  },
  {
    error: ofBroker('TOPIC_AUTHORIZATION_FAILED', false),
    reason: 'authorization',
    dead: null,
    passing: false,
  },
  { error: ofBroker('REQUEST_TIMED_OUT', true), reason: 'timeout', dead: null, passing: true },
  { error: ofBroker('NOT_ENOUGH_REPLICAS', true), reason: 'rejected', dead: null, passing: true },
  {
    error: Object.assign(new Error('user x'), { name: 'KafkaJSSASLAuthenticationError' }),
    reason: 'authentication',
    dead: null,
    passing: false,
  },
  { error: new KafkaJSConnectionError('refused', {}), reason: 'unreachable', dead: null, passing: false },
  { error: new Error('Broker not connected'), reason: 'unreachable', dead: null, passing: false },
  { error: publishError('busy', 'busy'), reason: 'busy', dead: null, passing: false },
])('$error.message: $reason', ({ error, reason, dead, passing }) => {
  for (const seen of [error, retried(error), retried(retried(error))]) {
    expect(deadLetterReason(seen)).toBe(dead)
    expect(isPassing(seen)).toBe(passing)
  }
  const explained = explain(error, 'waybill.events')
  expect(explained.reason).toBe(reason)
  expect(explained.message).not.toContain('user x')
})

const settings: KafkaSettings = {
  brokers: ['192.0.2.1:9092', '192.0.2.2:9092'],
  ssl: false,
  sasl: null,
  compression: 'gzip',
  requestsTopic: null,
  eventsTopic: null,
  deadLettersTopic: null,
  manifestsTopic: null,
  createTopics: false,
  partitions: 1,
  replicationFactor: 1,
}
const sasl = { mechanism: 'scram-sha-512', username: 'waybill', password: 'secret' } as const

test.each([
  [{}, { ssl: false }],
  [{ ssl: true }, { ssl: true }],
  [{ ssl: { ca: null } }, { ssl: true }],
  [
    { ssl: { ca: 'PEM' }, sasl },
    { ssl: { ca: 'PEM' }, sasl },
  ],
])('settings %j', (fields, expected) => {
  const config = toKafkaConfig({ ...settings, ...fields }, 'waybill-a', 4_000)
  expect(config).toMatchObject({ clientId: 'waybill-a', requestTimeout: 4_000, ...expected })
  expect('sasl' in config).toBe('sasl' in fields)
})

test('trouble is said when it begins, changes and ends, not on every try', () => {
  const lines: string[] = []
  const states: [boolean, string | null][] = []
  const add = (_: object, message: string) => void lines.push(message)
  const state = createKafkaState({
    log: { debug: add, info: add, warn: add, error: add },
    now: () => 0,
    onState: (up, why) => void states.push([up, why]),
  })
  state.succeeded('a')
  for (let n = 0; n < 3; n++) state.failed('a', publishError('unreachable', 'gone'))
  state.failed('b', publishError('unknown_topic', 'no b'))
  state.failed('a', publishError('timeout', 'slow'))
  state.failed('a', publishError('unreachable', 'gone again'))
  state.succeeded('a')
  state.succeeded('a')
  state.succeeded('b')
  expect(lines).toEqual(['gone', 'no b', 'slow', 'Kafka takes messages again', 'Kafka takes messages again'])
  expect(states).toEqual([
    [false, 'gone'],
    [false, 'no b'],
    [false, 'slow'],
    [false, 'no b'],
    [true, null],
  ])
})
