/**
 * From an entry to a Kafka message: key, JSON value, timestamp and the headers of CloudEvents' binary mode
 * (Kafka protocol binding 1.0.2, section 3.2: `ce_` before each attribute, `content-type` for the data).
 */
import type { Message } from 'kafkajs'
import type { Manifest, PackageEvent, RequestEvent } from '../record/events.ts'
import type { DeadLetter } from './dead-letter.ts'

export const streams = ['events', 'requests', 'manifests', 'dead-letters'] as const
export type Stream = (typeof streams)[number]

export type PublishedEntry = {
  stream: Stream
  id: string
  key: string
  json: string
  /** What the message takes in a request before compression, in bytes. */
  bytes: number
  message: Message
}

/** Header names and values, varints and deltas of one record: measured 190 to 220 bytes, rounded up. */
const envelopeBytes = 256

const specVersion = Buffer.from('1.0')
const contentType = Buffer.from('application/json')

/** `waybill.package-event/1` as a CloudEvents type: `waybill.package-event.v1`. */
export function toCloudEventType(schema: string): string {
  return schema.replace('/', '.v')
}

const types = {
  events: Buffer.from(toCloudEventType('waybill.package-event/1')),
  requests: Buffer.from(toCloudEventType('waybill.request-event/1')),
  manifests: Buffer.from(toCloudEventType('waybill.manifest/1')),
  'dead-letters': Buffer.from(toCloudEventType('waybill.dead-letter/1')),
} as const

function toEntry(
  stream: Stream,
  id: string,
  key: string,
  time: string,
  node: string,
  value: object,
): PublishedEntry {
  const json = JSON.stringify(value)
  return {
    stream,
    id,
    key,
    json,
    bytes: Buffer.byteLength(json) + envelopeBytes,
    message: {
      key,
      value: json,
      timestamp: String(Date.parse(time)),
      headers: {
        ce_specversion: specVersion,
        ce_id: id,
        ce_type: types[stream],
        ce_source: `waybill/${node}`,
        ce_time: time,
        'content-type': contentType,
      },
    },
  }
}

/** Key: the session, so that what belongs together is read in order; ping, token and the like have none. */
export function requestEntry(event: RequestEvent): PublishedEntry {
  return toEntry('requests', event.id, event.session_id ?? event.id, event.time, event.node, event)
}

export function packageEntry(event: PackageEvent): PublishedEntry {
  return toEntry('events', event.id, event.session_ids[0] ?? event.id, event.ended_at, event.node, event)
}

/** A manifest has no time and no node of its own: those of this publication. */
export function manifestEntry(manifest: Manifest, nowMs: number, node: string): PublishedEntry {
  const time = new Date(nowMs).toISOString()
  return toEntry('manifests', manifest.digest, manifest.digest, time, node, manifest)
}

export function deadLetterEntry(letter: DeadLetter): PublishedEntry {
  return toEntry('dead-letters', letter.id, letter.key ?? letter.id, letter.time, letter.node, letter)
}

/** Consecutive groups of at most `maxBytes` each; an entry that is larger on its own is a group of one. */
export function splitByBytes(entries: readonly PublishedEntry[], maxBytes: number): PublishedEntry[][] {
  const groups: PublishedEntry[][] = []
  let group: PublishedEntry[] = []
  let bytes = 0
  for (const entry of entries) {
    if (group.length > 0 && bytes + entry.bytes > maxBytes) {
      groups.push(group)
      group = []
      bytes = 0
    }
    group.push(entry)
    bytes += entry.bytes
  }
  if (group.length > 0) groups.push(group)
  return groups
}
