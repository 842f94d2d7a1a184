/**
 * Writes a record into its ring without an allocation: fields in place, strings over a scratch of the writer's own.
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
  sha256Bytes,
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
import { classes, maxStringBytes, methods, outcomes, recordKinds, type WaybillRecord } from './record.ts'

/** What a record needs of a ring's writer. */
export type RecordRing = {
  readonly bytes: Buffer
  readonly view: DataView
  /** Byte offset of the room, or -1. */
  tryClaim(lengthBytes: number, reserved: boolean): number
  commit(): void
}

export type RecordWriter = {
  /**
   * Writes the record; false when the ring has no room (the ring counts it). The object is read during the
   * call only, so one can be used again and again. Heartbeats may take the room kept for running transfers.
   */
  write(record: WaybillRecord): boolean
}

/** Measured: below this a loop beats the call into the engine's native writer. */
const loopMaxBytes = 8

const kindCodes = codesOf(recordKinds)
const methodCodes = codesOf(methods)
const classCodes = codesOf(classes)
const outcomeCodes = codesOf(outcomes)
const hexPairs = createHexPairs()
const longestStrings = Object.values(maxStringBytes).reduce((sum, bytes) => sum + bytes, 0)

export function createRecordWriter(ring: RecordRing): RecordWriter {
  const { bytes, view } = ring
  const ringWords = new Int32Array(bytes.buffer, bytes.byteOffset)
  // Strings go through memory that is not shared: the engine's quick writer refuses shared memory, and one
  // copy of whole words costs less than five slow calls (measured: 20 ns against 60 for each string).
  const scratch = Buffer.from(new ArrayBuffer((longestStrings + 7) & ~7))
  const scratchWords = new Int32Array(scratch.buffer)
  const tryParseSha256 = createSha256Parser(scratch)

  function write(record: WaybillRecord): boolean {
    const digestIsRaw = tryParseSha256(record.digest)
    const referenceIsDigest = record.reference !== '' && record.reference === record.digest
    const host = Math.min(record.host.length, maxStringBytes.host)
    const repository = Math.min(record.repository.length, maxStringBytes.repository)
    const reference = referenceIsDigest ? 0 : Math.min(record.reference.length, maxStringBytes.reference)
    const redirectHost = Math.min(record.redirectHost.length, maxStringBytes.redirectHost)
    const range = Math.min(record.range.length, maxStringBytes.range)
    const upstreamRepository = Math.min(record.upstreamRepository.length, maxStringBytes.upstreamRepository)
    const userAgent = Math.min(record.userAgent.length, maxStringBytes.userAgent)
    const digestLength = digestIsRaw ? sha256Bytes : Math.min(record.digest.length, maxStringBytes.digest)
    const strings =
      host + repository + reference + redirectHost + range + upstreamRepository + userAgent + digestLength
    const stringWords = ((strings + 7) & ~7) >> 2
    const start = ring.tryClaim(stringsOffset + (stringWords << 2), record.kind === 'heartbeat')
    if (start < 0) return false

    bytes[start + kindOffset] = kindCodes[record.kind]
    bytes[start + methodOffset] = methodCodes[record.method]
    bytes[start + classOffset] = classCodes[record.class]
    bytes[start + outcomeOffset] = outcomeCodes[record.outcome]
    view.setFloat64(start + sequenceOffset, record.sequence, true)
    view.setFloat64(start + startMsOffset, record.startMs, true)
    view.setFloat64(start + durationMsOffset, record.durationMs, true)
    view.setFloat64(start + firstByteMsOffset, record.firstByteMs, true)
    view.setFloat64(start + bytesSentOffset, record.bytesSent, true)
    view.setFloat64(start + offsetOffset, record.offset, true)
    view.setFloat64(start + sizeOffset, record.size, true)
    copyBytes(bytes, start + addressOffset, record.address, addressBytes)
    copyBytes(bytes, start + nonceOffset, record.nonce, nonceBytes)
    view.setInt32(start + domainOffset, record.domain, true)
    view.setInt32(start + upstreamOffset, record.upstream, true)
    view.setUint16(start + statusOffset, record.status, true)
    view.setUint16(start + upstreamStatusOffset, record.upstreamStatus, true)
    view.setUint16(
      start + flagsOffset,
      (record.aborted ? flags.aborted : 0) |
        (record.hasNonce ? flags.hasNonce : 0) |
        (digestIsRaw ? flags.digestIsRaw : 0) |
        (referenceIsDigest ? flags.referenceIsDigest : 0),
      true,
    )
    view.setUint16(start + upstreamRepositoryLengthOffset, upstreamRepository, true)
    view.setUint16(start + userAgentLengthOffset, userAgent, true)
    bytes[start + hostLengthOffset] = host
    bytes[start + repositoryLengthOffset] = repository
    bytes[start + referenceLengthOffset] = reference
    bytes[start + redirectHostLengthOffset] = redirectHost
    bytes[start + rangeLengthOffset] = range
    bytes[start + digestLengthOffset] = digestLength

    let at = digestIsRaw ? sha256Bytes : writeString(scratch, 0, record.digest, digestLength)
    at = writeString(scratch, at, record.upstreamRepository, upstreamRepository)
    at = writeString(scratch, at, record.userAgent, userAgent)
    at = writeString(scratch, at, record.host, host)
    at = writeString(scratch, at, record.repository, repository)
    at = writeString(scratch, at, record.reference, reference)
    at = writeString(scratch, at, record.redirectHost, redirectHost)
    writeString(scratch, at, record.range, range)
    const first = (start + stringsOffset) >> 2
    for (let word = 0; word < stringWords; word += 1) ringWords[first + word] = scratchWords[word]!
    ring.commit()
    return true
  }

  return { write }
}

/** Longer values are cut at `length`; a character beyond Latin-1 loses its high byte. */
function writeString(bytes: Buffer, at: number, value: string, length: number): number {
  if (length <= loopMaxBytes) {
    for (let index = 0; index < length; index += 1) bytes[at + index] = value.charCodeAt(index)
  } else {
    bytes.write(value, at, length, 'latin1')
  }
  return at + length
}

/** A loop: `set` costs more than 16 single bytes. */
function copyBytes(bytes: Buffer, at: number, source: Uint8Array, length: number): void {
  for (let index = 0; index < length; index += 1) bytes[at + index] = source[index]!
}

/** Turns `sha256:` and 64 lower-case hex digits into the first 32 bytes of `raw`; false for anything else. */
function createSha256Parser(raw: Uint8Array): (digest: string) => boolean {
  // The text is written at 1, so that its digits begin at 8 and can be read in pairs.
  const text = Buffer.from(new ArrayBuffer(8 + 2 * sha256Bytes))
  const pairs = new Uint16Array(text.buffer, 8)

  function tryParse(digest: string): boolean {
    if (digest.length !== sha256Prefix.length + 2 * sha256Bytes || !digest.startsWith(sha256Prefix))
      return false
    text.write(digest, 1, 'latin1')
    let seen = 0
    for (let index = 0; index < sha256Bytes; index += 1) {
      const value = hexPairs[pairs[index]!]!
      seen |= value
      raw[index] = value
    }
    return seen >= 0
  }

  return tryParse
}

/** Value of each two lower-case hex digits by their characters read as a little-endian u16, -1 for all others. */
function createHexPairs(): Int16Array {
  const values = new Int16Array(65_536).fill(-1)
  for (let value = 0; value < 256; value += 1) {
    const digits = value.toString(16).padStart(2, '0')
    values[digits.charCodeAt(0) | (digits.charCodeAt(1) << 8)] = value
  }
  return values
}

function codesOf<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name, code) => [name, code])) as Record<Name, number>
}
