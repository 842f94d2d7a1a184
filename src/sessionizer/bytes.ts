/** Compact binary values: what the fact and context codecs are made of. */

const hexText = /^(?:[0-9a-f]{2}){4,}$/
const timeText = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const timeLength = 24

function isTime(value: string): boolean {
  if (value.length !== timeLength || !timeText.test(value)) return false
  const timeMs = Date.parse(value)
  return !Number.isNaN(timeMs) && new Date(timeMs).toISOString() === value
}

// A string's head is its length in bytes and its kind.
const kinds = { none: 0, text: 1, hex: 2, time: 3 } as const
/** No field of a request event comes near; a bound keeps the scratch space bounded. */
const maxTextBytes = 1024

export type ByteWriter = {
  reset(): void
  byte(value: number): void
  /** Unsigned, up to 2^53; negative and fractional values are rounded into that range. */
  varint(value: number): void
  /** Six bytes, big-endian. */
  uint48(value: number): void
  uint32(value: number): void
  hex(digits: string): void
  text(value: string | null): void
  /** As `text` does, of what is known to be a time (RFC 3339, UTC, with ms). */
  time(value: string): void
  /** A copy of what was written since the reset. */
  bytes(): Buffer
}

export function createByteWriter(capacityBytes = 65_536): ByteWriter {
  const scratch = Buffer.alloc(capacityBytes)
  let at = 0
  const writer: ByteWriter = {
    reset() {
      at = 0
    },
    byte(value) {
      scratch[at++] = value
    },
    varint(value) {
      let rest = Math.max(0, Math.min(Math.round(value), Number.MAX_SAFE_INTEGER))
      while (rest >= 128) {
        scratch[at++] = (rest % 128) | 128
        rest = Math.floor(rest / 128)
      }
      scratch[at++] = rest
    },
    uint48(value) {
      at = scratch.writeUIntBE(value, at, 6)
    },
    uint32(value) {
      at = scratch.writeUInt32BE(value, at)
    },
    hex(digits) {
      at += scratch.write(digits, at, 'hex')
    },
    text(value) {
      if (value === null) {
        writer.varint(kinds.none)
      } else if (isTime(value)) {
        writer.time(value)
      } else if (value.length <= 2 * maxTextBytes && hexText.test(value)) {
        writer.varint((value.length / 2) * 4 + kinds.hex)
        writer.hex(value)
      } else {
        const length = Buffer.byteLength(value)
        const cut = length > maxTextBytes ? Buffer.from(value).subarray(0, maxTextBytes) : null
        writer.varint((cut?.length ?? length) * 4 + kinds.text)
        at += cut === null ? scratch.write(value, at) : cut.copy(scratch, at)
      }
    },
    time(value) {
      writer.varint(kinds.time)
      writer.uint48(Date.parse(value))
    },
    bytes() {
      return Buffer.from(scratch.subarray(0, at))
    },
  }
  return writer
}

export type ByteReader = {
  /** From now on it reads these. */
  reset(bytes: Buffer): void
  /** Bytes not read yet. */
  left(): number
  byte(): number
  varint(): number
  uint48(): number
  uint32(): number
  hex(bytes: number): string
  text(): string | null
}

/** Throws a RangeError when the bytes end early. */
export function createByteReader(first: Buffer = Buffer.alloc(0)): ByteReader {
  let bytes = first
  let at = 0
  /** Where they begin. */
  function skip(count: number): number {
    if (at + count > bytes.length) throw new RangeError('The packed value ends early.')
    at += count
    return at - count
  }
  const reader: ByteReader = {
    reset(next) {
      bytes = next
      at = 0
    },
    left: () => bytes.length - at,
    byte: () => bytes.readUInt8(skip(1)),
    varint() {
      let value = 0
      let factor = 1
      for (let next = 128; next >= 128; factor *= 128) {
        next = reader.byte()
        value += (next % 128) * factor
      }
      return value
    },
    uint48: () => bytes.readUIntBE(skip(6), 6),
    uint32: () => bytes.readUInt32BE(skip(4)),
    hex: (count) => bytes.toString('hex', skip(count), at),
    text() {
      const head = reader.varint()
      const kind = head % 4
      const length = (head - kind) / 4
      if (kind === kinds.none) return null
      if (kind === kinds.time) return new Date(reader.uint48()).toISOString()
      return kind === kinds.hex ? reader.hex(length) : bytes.toString('utf8', skip(length), at)
    },
  }
  return reader
}
