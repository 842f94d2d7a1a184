import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeRecord, eraseAddress, recordId } from './decode.ts'
import { createRecordWriter } from './encode.ts'
import { addressOffset, startMsOffset, stringsOffset } from './layout.ts'
import { classes, maxStringBytes, methods, outcomes, recordKinds, type WaybillRecord } from './record.ts'

const sha256 = `sha256:${'0123456789abcdef'.repeat(4)}`
const plain: WaybillRecord = {
  kind: 'request',
  sequence: 2 ** 40 + 1,
  method: 'GET',
  class: 'blob',
  outcome: 'redirect',
  status: 307,
  upstreamStatus: 0,
  startMs: 1_790_000_000_123,
  durationMs: 12.5,
  firstByteMs: -1,
  bytesSent: 2 ** 41,
  offset: 0,
  size: -1,
  aborted: false,
  hasNonce: true,
  domain: -1,
  upstream: 3,
  address: Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7]),
  nonce: new Uint8Array(16).fill(9),
  host: 'cr.example.io',
  repository: 'app',
  reference: sha256,
  upstreamRepository: 'acme-org/app',
  userAgent: 'containerd/v2.1.4',
  redirectHost: 'cdn.example.net',
  range: 'bytes=5-',
  digest: sha256,
}

/** A ring of one frame at an odd place, surrounded by canaries that an overrun would change. */
function createTray(refuse = false) {
  const memory = new SharedArrayBuffer(8192)
  const bytes = Buffer.from(memory).fill(0xcc)
  const start = 1000
  const tray = { claimed: 0, reserved: false, committed: 0, start, bytes }
  const writer = createRecordWriter({
    bytes,
    view: new DataView(memory),
    tryClaim(lengthBytes, reserved) {
      tray.claimed = lengthBytes
      tray.reserved = reserved
      return refuse ? -1 : start
    },
    commit() {
      tray.committed += 1
    },
  })
  return { ...writer, tray }
}

function roundTrip(record: WaybillRecord): WaybillRecord {
  const { write, tray } = createTray()
  expect(write(record)).toBe(true)
  expect(tray.committed).toBe(1)
  expect(tray.claimed % 8).toBe(0)
  const outside = [tray.bytes.subarray(0, tray.start + 4), tray.bytes.subarray(tray.start + tray.claimed)]
  expect(outside.every((part) => part.every((byte) => byte === 0xcc))).toBe(true)
  return decodeRecord(tray.bytes, tray.start)
}

test('a record comes back as it was', () => {
  expect(roundTrip(plain)).toEqual(plain)
})

test.each([
  ['another algorithm', { digest: `sha512:${'ab'.repeat(64)}` }],
  ['upper-case hex', { digest: `sha256:${'AB'.repeat(32)}` }],
  ['a digit that is none, first', { digest: `sha256:g${'0'.repeat(63)}` }],
  ['a digit that is none, second', { digest: `sha256:0/${'0'.repeat(62)}` }],
  ['a digit that is none, last', { digest: `sha256:${'f'.repeat(63)}g` }],
  ['a digest too short', { digest: `sha256:${'0'.repeat(62)}` }],
  ['no digest', { digest: '', reference: 'latest' }],
  ['a tag', { reference: 'v1.2.3' }],
  [
    'nothing at all',
    {
      host: '',
      repository: '',
      reference: '',
      upstreamRepository: '',
      userAgent: '',
      redirectHost: '',
      range: '',
      digest: '',
    },
  ],
  ['Latin-1 above ASCII', { userAgent: 'caf\u00e9\u00ff', host: '\u0080'.repeat(60) }],
] satisfies [string, Partial<WaybillRecord>][])('%s survives', (_name, change) => {
  const record = { ...plain, ...change }
  expect(roundTrip(record)).toEqual(record)
})

test('each string is cut at its own cap', () => {
  const long: WaybillRecord = { ...plain }
  const names = Object.keys(maxStringBytes) as (keyof typeof maxStringBytes)[]
  for (const [index, name] of names.entries()) long[name] = String.fromCharCode(97 + index).repeat(3000)
  const decoded = roundTrip(long)
  for (const name of names) expect(decoded[name]).toBe(long[name].slice(0, maxStringBytes[name]))
})

test('the caps fit the width of their lengths', () => {
  const { upstreamRepository, userAgent, ...narrow } = maxStringBytes
  expect(Math.max(upstreamRepository, userAgent)).toBeLessThan(2 ** 16)
  expect(Math.max(...Object.values(narrow))).toBeLessThan(2 ** 8)
})

test('any record survives', () => {
  const latin1 = (name: keyof typeof maxStringBytes) =>
    fc
      .array(fc.integer({ min: 0, max: 255 }), { maxLength: maxStringBytes[name] })
      .map((codes) => String.fromCharCode(...codes))
  const digest = fc.oneof(
    latin1('digest'),
    fc
      .uint8Array({ minLength: 32, maxLength: 32 })
      .map((raw) => `sha256:${Buffer.from(raw).toString('hex')}`),
  )
  const number = fc.double({ noNaN: true, noDefaultInfinity: true })
  const sixteen = fc.uint8Array({ minLength: 16, maxLength: 16 })
  const u16 = fc.nat(65_535)
  const record: fc.Arbitrary<WaybillRecord> = fc
    .record({
      kind: fc.constantFrom(...recordKinds),
      sequence: fc.nat(2 ** 48 - 1),
      method: fc.constantFrom(...methods),
      class: fc.constantFrom(...classes),
      outcome: fc.constantFrom(...outcomes),
      status: u16,
      upstreamStatus: u16,
      startMs: number,
      durationMs: number,
      firstByteMs: number,
      bytesSent: number,
      offset: number,
      size: number,
      aborted: fc.boolean(),
      hasNonce: fc.boolean(),
      domain: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
      upstream: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
      address: sixteen,
      nonce: sixteen,
      host: latin1('host'),
      repository: latin1('repository'),
      reference: latin1('reference'),
      upstreamRepository: latin1('upstreamRepository'),
      userAgent: latin1('userAgent'),
      redirectHost: latin1('redirectHost'),
      range: latin1('range'),
      digest,
    })
    .chain((one) => fc.constantFrom(one, { ...one, reference: one.digest }))
  fc.assert(
    fc.property(record, (one) => {
      expect(roundTrip(one)).toEqual(one)
    }),
    { numRuns: 300, seed: 20 },
  )
})

test('a full ring is an answer, and nothing is written', () => {
  const { write, tray } = createTray(true)
  expect(write(plain)).toBe(false)
  expect(tray.committed).toBe(0)
  expect(tray.bytes.every((byte) => byte === 0xcc)).toBe(true)
})

test('only heartbeats ask for the reserved room', () => {
  const { write, tray } = createTray()
  write(plain)
  expect(tray.reserved).toBe(false)
  write({ ...plain, kind: 'heartbeat' })
  expect(tray.reserved).toBe(true)
})

test('a blob by digest takes its digest once, as 32 bytes', () => {
  const { write, tray } = createTray()
  const none = {
    host: '',
    repository: '',
    upstreamRepository: '',
    userAgent: '',
    redirectHost: '',
    range: '',
  }
  write({ ...plain, ...none })
  expect(tray.claimed).toBe(stringsOffset + 32)
})

test('erasing leaves no byte of the address and all of the rest', () => {
  const { write, tray } = createTray()
  write(plain)
  const decoded = decodeRecord(tray.bytes, tray.start)
  eraseAddress(tray.bytes, tray.start)
  expect(tray.bytes.includes(Buffer.from([192, 0, 2, 7]))).toBe(false)
  expect(decodeRecord(tray.bytes, tray.start)).toEqual({ ...plain, address: new Uint8Array(16) })
  expect(decoded.address).toEqual(plain.address)
})

test('the start time lies where the layout says, for the ring', () => {
  const { write, tray } = createTray()
  write(plain)
  expect(tray.bytes.readDoubleLE(tray.start + startMsOffset)).toBe(plain.startMs)
  expect(tray.bytes.subarray(tray.start + addressOffset).subarray(0, 16)).toEqual(Buffer.from(plain.address))
})

test('memory that holds no record is an error', () => {
  expect(() => decodeRecord(Buffer.alloc(8192, 0xcc), 0)).toThrow(RangeError)
  const { write, tray } = createTray()
  write(plain)
  expect(() => decodeRecord(tray.bytes.subarray(0, tray.start + stringsOffset + 10), tray.start)).toThrow(
    'runs past',
  )
})

test('an id is boot, ring and sequence in 32 digits', () => {
  expect(recordId('00112233445566ff', 1, 255)).toBe('00112233445566ff00010000000000ff')
  expect(recordId('00112233445566ff', 65_535, 2 ** 48 - 1)).toBe(`00112233445566ff${'f'.repeat(16)}`)
})
