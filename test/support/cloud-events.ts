/** What each Kafka message must be (contract 7): key, CloudEvents headers, time, and a value of its schema. */
import { expect } from 'vitest'
import type { KafkaMessage } from './kafka.ts'
import { type SchemaName, schemaErrors } from './schema-validation.ts'

/** `time` and `node` null: those of the publication, not of the value. */
export type Described = { id: string; key: string; time: string | null; node: string | null }

export function expectCloudEvents<Value>(
  messages: readonly KafkaMessage[],
  schema: SchemaName,
  describe: (value: Value) => Described,
): void {
  for (const { key, value, headers, timestamp } of messages) {
    const parsed = JSON.parse(value ?? '') as Value
    expect(schemaErrors(schema, parsed)).toEqual([])
    const { id, key: expectedKey, time, node } = describe(parsed)
    expect(key).toBe(expectedKey)
    expect(headers).toEqual({
      ce_specversion: '1.0',
      ce_id: id,
      ce_type: `waybill.${schema}.v1`,
      ce_source: node === null ? expect.stringMatching(/^waybill\/[0-9a-f]+$/) : `waybill/${node}`,
      ce_time: time ?? expect.any(String),
      'content-type': 'application/json',
    })
    expect(timestamp).toBe(Date.parse(headers['ce_time'] ?? ''))
  }
}
