/** The encoder gives the bytes that kafkajs's own gives, and kafkajs uses it. */
import { createRequire } from 'node:module'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type EncodedRecord, type RecordFields, tryEncodeRecord, useFastRecords } from './kafkajs-record.ts'

const require = createRequire(import.meta.url)
const recordPath = 'kafkajs/src/protocol/recordBatch/record/v0'
const original = require(recordPath) as (fields: RecordFields) => EncodedRecord

const bytes = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
)

test('any key, value and headers: the bytes that kafkajs makes of them', () => {
  const record = fc.record({
    offsetDelta: fc.nat({ max: 2 ** 20 }),
    timestampDelta: fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 2 ** 30 - 1 })),
    key: bytes,
    value: bytes,
    headers: fc.dictionary(fc.string({ unit: 'binary' }), bytes, { maxKeys: 70, noNullPrototype: true }),
  })
  fc.assert(
    fc.property(record, (fields) => {
      const encoded = tryEncodeRecord(fields)
      expect(encoded?.buffer.equals(original(fields).buffer)).toBe(true)
      expect(Buffer.isBuffer(encoded?.buf)).toBe(true)
    }),
  )
})

test('a value of a megabyte', () => {
  const fields = { key: 'key', value: 'ü'.repeat(600_000), headers: { ce_id: 'id' } }
  expect(tryEncodeRecord(fields)?.buffer.equals(original(fields).buffer)).toBe(true)
})

test.each([
  ['a tombstone', { key: 'key', value: null }],
  ['no key', { key: null, value: 'value' }],
  ['a time before that of the batch', { key: 'key', value: 'value', timestampDelta: -5 }],
  ['a time far behind that of the batch', { key: 'key', value: 'value', timestampDelta: 2 ** 33 }],
  ['several values of a header', { key: 'key', value: 'value', headers: { name: ['one', 'two'] } }],
])('%s is left to kafkajs', (_, fields) => {
  expect(tryEncodeRecord(fields)).toBeNull()
  useFastRecords()
  useFastRecords()
  const used = require(recordPath) as typeof original
  expect(used).not.toBe(original)
  expect(used(fields).buffer.equals(original(fields).buffer)).toBe(true)
})

test('a request to produce holds the same bytes', async () => {
  const load = () =>
    require('kafkajs/src/protocol/requests/produce/v3/request') as (fields: object) => {
      encode(): Promise<EncodedRecord>
    }
  const path = require.resolve('kafkajs/src/protocol/requests/produce/v3/request')
  const messages = Array.from({ length: 300 }, (_, index) => ({
    ...{
      key: `key ${index % 7}`,
      value: `{"number":${index}}`,
      timestamp: String(1_770_000_000_000 + index),
    },
    headers: { ce_id: `id ${index}`, ce_type: Buffer.from('type') },
  }))
  const topicData = [{ topic: 'topic', partitions: [{ partition: 0, messages }] }]
  const encode = async () => {
    delete require.cache[path]
    const made = await load()({ acks: -1, timeout: 1000, topicData }).encode()
    return Buffer.from(made.buffer)
  }
  useFastRecords()
  const fast = await encode()
  Object.assign(require.cache[require.resolve(recordPath)] ?? {}, { exports: original })
  expect(fast.equals(await encode())).toBe(true)
})
