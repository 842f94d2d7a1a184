/**
 * Reads records back from ring memory, makes their ids, and erases the one thing that may not be kept.
 */
import {
  addressBytes,
  addressOffset,
  bytesSentOffset,
  classOffset,
  digestLengthOffset,
  domainOffset,
  durationMsOffset,
  firstByteMsOffset,
  flags,
  flagsOffset,
  hostLengthOffset,
  kindOffset,
  methodOffset,
  nonceBytes,
  nonceOffset,
  offsetOffset,
  outcomeOffset,
  rangeLengthOffset,
  redirectHostLengthOffset,
  referenceLengthOffset,
  repositoryLengthOffset,
  sequenceOffset,
  sha256Prefix,
  sizeOffset,
  startMsOffset,
  statusOffset,
  stringsOffset,
  upstreamOffset,
  upstreamRepositoryLengthOffset,
  upstreamStatusOffset,
  userAgentLengthOffset,
} from './layout.ts'
import { classes, methods, outcomes, recordKinds, type WaybillRecord } from './record.ts'

/** What of a record may not be kept: 16 bytes each. */
export type RecordSecrets = Pick<WaybillRecord, 'address' | 'nonce'>

/** Memory of its own for one record after the other: so few bytes would lie in the heap, where the collector copies them. */
export function createRecordSecrets(): RecordSecrets {
  return {
    address: new Uint8Array(new ArrayBuffer(addressBytes)),
    nonce: new Uint8Array(new ArrayBuffer(nonceBytes)),
  }
}

/**
 * The record whose frame starts at `offset`; all its bytes are copies, those of `secrets` in the arrays given. Throws
 * on memory that holds none.
 */
export function decodeRecord(
  buffer: Buffer,
  offset: number,
  secrets: RecordSecrets = createRecordSecrets(),
): WaybillRecord {
  const set = buffer.readUInt16LE(offset + flagsOffset)
  let at = offset + stringsOffset
  const take = (length: number, encoding: 'latin1' | 'hex' = 'latin1') => {
    at += length
    if (at > buffer.length) throw new RangeError(`the record at byte ${offset} runs past its memory`)
    return buffer.toString(encoding, at - length, at)
  }
  const digestLength = buffer.readUInt8(offset + digestLengthOffset)
  const digest =
    (set & flags.digestIsRaw) !== 0 ? sha256Prefix + take(digestLength, 'hex') : take(digestLength)
  const upstreamRepository = take(buffer.readUInt16LE(offset + upstreamRepositoryLengthOffset))
  const userAgent = take(buffer.readUInt16LE(offset + userAgentLengthOffset))
  const host = take(buffer.readUInt8(offset + hostLengthOffset))
  const repository = take(buffer.readUInt8(offset + repositoryLengthOffset))
  const reference = take(buffer.readUInt8(offset + referenceLengthOffset))
  const redirectHost = take(buffer.readUInt8(offset + redirectHostLengthOffset))
  const range = take(buffer.readUInt8(offset + rangeLengthOffset))
  const { address, nonce } = secrets
  copyInto(address, buffer, offset + addressOffset)
  copyInto(nonce, buffer, offset + nonceOffset)
  return {
    kind: nameOf(recordKinds, buffer, offset + kindOffset),
    sequence: buffer.readDoubleLE(offset + sequenceOffset),
    method: nameOf(methods, buffer, offset + methodOffset),
    class: nameOf(classes, buffer, offset + classOffset),
    outcome: nameOf(outcomes, buffer, offset + outcomeOffset),
    status: buffer.readUInt16LE(offset + statusOffset),
    upstreamStatus: buffer.readUInt16LE(offset + upstreamStatusOffset),
    startMs: buffer.readDoubleLE(offset + startMsOffset),
    durationMs: buffer.readDoubleLE(offset + durationMsOffset),
    firstByteMs: buffer.readDoubleLE(offset + firstByteMsOffset),
    bytesSent: buffer.readDoubleLE(offset + bytesSentOffset),
    offset: buffer.readDoubleLE(offset + offsetOffset),
    size: buffer.readDoubleLE(offset + sizeOffset),
    aborted: (set & flags.aborted) !== 0,
    hasNonce: (set & flags.hasNonce) !== 0,
    domain: buffer.readInt32LE(offset + domainOffset),
    upstream: buffer.readInt32LE(offset + upstreamOffset),
    address,
    nonce,
    host,
    repository,
    reference: (set & flags.referenceIsDigest) !== 0 ? digest : reference,
    upstreamRepository,
    userAgent,
    redirectHost,
    range,
    digest,
  }
}

/** Zeroes the client's address in the frame, for a record that has to be kept as it is. */
export function eraseAddress(buffer: Buffer, offset: number): void {
  buffer.fill(0, offset + addressOffset, offset + addressOffset + addressBytes)
}

/** The record's id: boot (16 hex digits), ring (4) and sequence (12). */
export function recordId(boot: string, ring: number, sequence: number): string {
  return boot + ring.toString(16).padStart(4, '0') + sequence.toString(16).padStart(12, '0')
}

function nameOf<Name>(names: readonly Name[], buffer: Buffer, at: number): Name {
  const name = names[buffer.readUInt8(at)]
  if (name === undefined) throw new RangeError(`no record at byte ${at}: its code is ${buffer.readUInt8(at)}`)
  return name
}

/** In a loop: for so few bytes a view and `set` take several times as long. */
function copyInto(bytes: Uint8Array, buffer: Buffer, at: number): void {
  for (let i = 0; i < bytes.length; i++) bytes[i] = buffer[at + i]!
}
