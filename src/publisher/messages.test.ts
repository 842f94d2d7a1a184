/** Keys, timestamps, headers and groups of Kafka messages, and the partition a key belongs to. */
import kafkajs from 'kafkajs'
import { expect, test } from 'vitest'
import {
  bareRequestEvent,
  hexId,
  sampleManifest,
  samplePackageEvent,
  sampleRequestEvent,
} from '../../test/support/sample-events.ts'
import { manifestEntry, packageEntry, requestEntry, splitByBytes } from './messages.ts'
import { choosePartition } from './partitioner.ts'

const nowMs = Date.parse('2026-03-04T05:06:07.008Z')

test.each([
  {
    name: 'a package event',
    entry: packageEntry(samplePackageEvent(1)),
    key: hexId(0x1001),
    time: '2026-02-03T04:05:09.010Z',
    type: 'waybill.package-event.v1',
  },
  {
    name: 'a request event',
    entry: requestEntry(sampleRequestEvent(1)),
    key: hexId(0x1001),
    time: '2026-02-03T04:05:06.007Z',
    type: 'waybill.request-event.v1',
  },
  {
    name: 'a request without session: keyed by its id',
    entry: requestEntry(bareRequestEvent(7)),
    key: hexId(7),
    time: '2026-02-03T04:05:06.007Z',
    type: 'waybill.request-event.v1',
  },
  {
    name: 'a manifest: keyed by digest, at the time of publication',
    entry: manifestEntry(sampleManifest(3), nowMs, 'node-a'),
    key: sampleManifest(3).digest,
    time: '2026-03-04T05:06:07.008Z',
    type: 'waybill.manifest.v1',
  },
])('$name', ({ entry, key, time, type }) => {
  const { headers, timestamp, ...message } = entry.message
  expect(message.key).toBe(key)
  expect(timestamp).toBe(String(Date.parse(time)))
  expect(Object.fromEntries(Object.entries(headers!).map(([name, value]) => [name, String(value)]))).toEqual({
    ce_specversion: '1.0',
    ce_id: entry.id,
    ce_type: type,
    ce_source: 'waybill/node-a',
    ce_time: time,
    'content-type': 'application/json',
  })
  expect(entry.bytes).toBeGreaterThan(Buffer.byteLength(String(message.value)))
})

test('groups keep order and limit; what is larger alone stands alone', () => {
  const entries = [10, 20, 30, 1000, 5, 5].map((n) =>
    requestEntry(sampleRequestEvent(n, { repository: 'r'.repeat(n) })),
  )
  const limit = entries[0]!.bytes + entries[1]!.bytes
  const groups = splitByBytes(entries, limit)
  expect(groups.map((group) => group.map(({ id }) => Number.parseInt(id, 16)))).toEqual([
    [10, 20],
    [30],
    [1000],
    [5, 5],
  ])
  expect(splitByBytes([], limit)).toEqual([])
})

test('keys fall on the partitions of every standard producer', () => {
  const standard = kafkajs.Partitioners.DefaultPartitioner()
  const partitionMetadata = Array.from({ length: 12 }, (_, partitionId) => ({
    partitionId,
    leader: 1,
    partitionErrorCode: 0,
    replicas: [1],
    isr: [1],
  }))
  const seen = new Set<number>()
  for (let n = 0; n < 500; n++) {
    // Every length from 0 on, with bytes above 127 among them.
    const key = `${'é'.repeat(n % 3)}${(n * 2654435761).toString(36)}`.slice(0, n % 40)
    const expected = standard({ topic: 't', partitionMetadata, message: { key, value: '' } })
    expect(choosePartition(key, 12), key).toBe(expected)
    seen.add(expected)
  }
  expect(seen.size).toBe(12)
})
