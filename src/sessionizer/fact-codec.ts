/**
 * Packs a fact into the few dozen bytes that the stores keep. Layout:
 * byte 0: bit 0 HEAD, 1–2 class, 3–5 outcome, 6 aborted, 7 late (set by the store, never here);
 * byte 1: bits 0–1 kind of size, 2 offset follows, 3–4 kind of digest, 5–6 kind of reference, 7 another session;
 * bytes 2–5 context, 6–11 time, then varints: duration (`redis/add-facts.lua` reads that of a heartbeat),
 * status, bytes sent, offset, size; then digest, reference, session.
 */
import { type Outcome, outcomes } from '../record/record.ts'
import { type ByteReader, createByteReader, createByteWriter } from './bytes.ts'
import type { Fact, FactContext } from './types.ts'

const classes = ['manifest', 'blob', 'tags', 'referrers'] as const
const sizes = { none: 0, isBytesSent: 1, follows: 2 } as const
const digests = { none: 0, sha256: 1, text: 2 } as const
const references = { none: 0, isDigest: 1, text: 2 } as const

const sha256Text = /^sha256:[0-9a-f]{64}$/
const sessionText = /^[0-9a-f]{32}$/
export const lateBit = 128

const writer = createByteWriter()
/** For all facts: there are many. */
const reader = createByteReader()

/** `sessionId`: under which it is stored; a fact that came from another session keeps that one's id. */
export function packFact(fact: Fact, sessionId: string, contextId: number): Buffer {
  const { size, digest, reference } = fact
  const bytesSent = Math.max(0, Math.round(fact.bytesSent))
  const sizeKind = size === null ? sizes.none : size === bytesSent ? sizes.isBytesSent : sizes.follows
  const digestKind = digest === null ? digests.none : sha256Text.test(digest) ? digests.sha256 : digests.text
  const referenceKind =
    reference === null ? references.none : reference === digest ? references.isDigest : references.text
  const other = fact.sessionId === sessionId || !sessionText.test(fact.sessionId) ? 0 : 1
  writer.reset()
  writer.byte(
    (fact.method === 'HEAD' ? 1 : 0) |
      (classes.indexOf(fact.class) << 1) |
      (outcomes.indexOf(fact.outcome) << 3) |
      (fact.aborted ? 64 : 0),
  )
  writer.byte(
    sizeKind | (fact.offset > 0 ? 4 : 0) | (digestKind << 3) | (referenceKind << 5) | (other === 1 ? 128 : 0),
  )
  writer.uint32(contextId)
  writer.uint48(fact.time)
  writer.varint(fact.durationMs)
  writer.varint(fact.status)
  writer.varint(bytesSent)
  if (fact.offset > 0) writer.varint(fact.offset)
  if (sizeKind === sizes.follows) writer.varint(size ?? 0)
  if (digestKind === digests.sha256) writer.hex(digest?.slice(7) ?? '')
  if (digestKind === digests.text) writer.text(digest)
  if (referenceKind === references.text) writer.text(reference)
  if (other === 1) writer.hex(fact.sessionId)
  return writer.bytes()
}

const otherSessionBit = 128

/** For a packed fact that goes to another session than it was packed for. */
export function keepSession(value: Buffer, sessionId: string): Buffer {
  const kinds = value.readUInt8(1)
  if ((kinds & otherSessionBit) !== 0) return value
  const kept = Buffer.concat([value, Buffer.from(sessionId, 'hex')])
  kept.writeUInt8(kinds | otherSessionBit, 1)
  return kept
}

/** Unix ms of a packed fact; 0 for what is none. */
export function timeOf(value: Uint8Array): number {
  return value.length < 12 ? 0 : Buffer.from(value.buffer, value.byteOffset, value.length).readUIntBE(6, 6)
}

export type UnpackedFact = { fact: Fact; late: boolean }

/** null: its context is not known. */
export function unpackFact(
  bytes: Buffer,
  key: { id: string; heartbeat: boolean; sessionId: string },
  contextOf: (id: number) => FactContext | undefined,
): UnpackedFact | null {
  reader.reset(bytes)
  const head = reader.byte()
  const kinds = reader.byte()
  const context = contextOf(reader.uint32())
  if (context === undefined) return null
  const time = reader.uint48()
  const durationMs = reader.varint()
  const status = reader.varint()
  const bytesSent = reader.varint()
  const offset = (kinds & 4) === 0 ? 0 : reader.varint()
  const size = readSize(reader, kinds & 3, bytesSent)
  const digest = readDigest(reader, (kinds >> 3) & 3)
  const referenceKind = (kinds >> 5) & 3
  const reference =
    referenceKind === references.isDigest ? digest : referenceKind === references.text ? reader.text() : null
  const sessionId = (kinds & 128) === 0 ? key.sessionId : reader.hex(16)
  const fact: Fact = {
    id: key.id,
    heartbeat: key.heartbeat,
    sessionId,
    time,
    durationMs,
    method: (head & 1) === 1 ? 'HEAD' : 'GET',
    class: classes[((head >> 1) & 3) as 0 | 1 | 2 | 3],
    reference,
    digest,
    status,
    outcome: outcomeOf((head >> 3) & 7),
    bytesSent,
    offset,
    size,
    aborted: (head & 64) !== 0,
    context,
  }
  return { fact, late: (head & lateBit) !== 0 }
}

function outcomeOf(index: number): Outcome {
  return outcomes[index] ?? 'reject'
}

function readSize(from: ByteReader, kind: number, bytesSent: number): number | null {
  if (kind === sizes.none) return null
  return kind === sizes.isBytesSent ? bytesSent : from.varint()
}

function readDigest(from: ByteReader, kind: number): string | null {
  if (kind === digests.none) return null
  return kind === digests.sha256 ? `sha256:${from.hex(32)}` : from.text()
}

/** 16 hex digits that stand for a digest where a wrong match between two costs nothing but an attribution. */
export function shortDigest(digest: string): string {
  const hex = digest.slice(digest.indexOf(':') + 1)
  return hex.slice(0, 16).padEnd(16, '0')
}

/** The 32 hex digits of a session id in 22 characters of base64url, and back. */
export function shortSession(sessionId: string): string {
  return Buffer.from(sessionId, 'hex').toString('base64url')
}

export function longSession(short: string): string {
  return Buffer.from(short, 'base64url').toString('hex')
}
