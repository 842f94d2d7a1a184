/**
 * A table from ranges of addresses to rows of text, in one piece of memory that all threads share. Starts are
 * sorted; a range ends where the next begins. Row 0 is empty and means that nothing is known.
 *
 * ```
 * u32 magic, metaBytes, ipv4, ipv6, rows, textBytes, finestIpv6 (48 or 64), crc32 of all that follows the header
 * meta, JSON, to a multiple of 4
 * u32 ipv4 starts · u32 ipv6 bits 0-31 · u32 row offsets (rows + 1) · u32 indexes (65537 each, of long lists)
 * u32 (/64) or u16 (/48) ipv6 bits from 32 on · u16, then u8: row numbers of ipv4 · the same of ipv6
 * text of the rows, UTF-8, fields between tabs
 * ```
 * Little-endian, as is every machine that runs this.
 */
import { crc32 } from 'node:zlib'
import { isMappedIpv4 } from './address.ts'

export const tableMagic = 0x31524257
export const headerWords = 8
/** Three bytes for a row's number. */
export const maxRows = 2 ** 24 - 1
const indexEntries = 65_537
/** A binary search in fewer is as fast without. */
const indexedFrom = 4096

export type TableMeta = {
  /** What the rows are: `place` country, region, city; `network` asn, name, size; `cloud`; `override`. */
  kind: string
  /** Unix ms of the data, not of the table. */
  builtMs: number | null
  /** For people: where the data came from. */
  source: string
}

export type RangeTable = {
  meta: TableMeta
  rows: number
  ranges: number
  /** 16 bytes, IPv4 mapped. 0: nothing is known. */
  find(address: Uint8Array): number
  /** Fields of a row; [''] of row 0. */
  row(number: number): string[]
  /** Every range in order, as `find` sees it. `end` is the next start, exclusive; of IPv6 the first 64 bits. */
  forEachIpv4(visit: (start: number, end: number, row: number) => void): void
  forEachIpv6(visit: (start: bigint, end: bigint, row: number) => void): void
}

export type TableParts = {
  meta: TableMeta
  ipv4: { starts: ArrayLike<number>; rows: ArrayLike<number> }
  /** `highs` and `lows`: bits 0-31 and 32-63. */
  ipv6: { highs: ArrayLike<number>; lows: ArrayLike<number>; rows: ArrayLike<number> }
  finestIpv6: 48 | 64
  /** Without row 0. */
  rows: readonly string[]
}

type Layout = { meta: number; ipv4: number; ipv6: number; rows: number; text: number; finestIpv6: number }

function layOut(layout: Layout) {
  let at = headerWords * 4
  const take = (bytes: number): number => {
    const from = at
    at += bytes
    return from
  }
  const indexOf = (count: number) => take(count >= indexedFrom ? indexEntries * 4 : 0)
  return {
    meta: take((layout.meta + 3) & ~3),
    starts: take(layout.ipv4 * 4),
    highs: take(layout.ipv6 * 4),
    offsets: take((layout.rows + 1) * 4),
    index4: indexOf(layout.ipv4),
    index6: indexOf(layout.ipv6),
    lows: take(layout.ipv6 * (layout.finestIpv6 === 64 ? 4 : 2)),
    rows4: take(layout.ipv4 * 2),
    rows6: take(layout.ipv6 * 2),
    upper4: take(layout.ipv4),
    upper6: take(layout.ipv6),
    text: take(layout.text),
    end: at,
  }
}

/** Where each value of the upper 16 bits begins. */
function fillIndex(index: Uint32Array, keys: ArrayLike<number>): void {
  let place = 0
  for (let upper = 0; upper < indexEntries; upper++) {
    while (place < keys.length && keys[place]! >>> 16 < upper) place++
    index[upper] = place
  }
}

/** The bytes of a table file. */
export function encodeTable({ meta, ipv4, ipv6, finestIpv6, rows }: TableParts): Uint8Array {
  if (rows.length > maxRows) throw new RangeError('more rows than three bytes can number')
  const metaBytes = Buffer.from(JSON.stringify(meta))
  const texts = ['', ...rows].map((row) => Buffer.from(row))
  const textBytes = texts.reduce((sum, text) => sum + text.length, 0)
  const counts = { ipv4: ipv4.starts.length, ipv6: ipv6.highs.length, rows: texts.length, finestIpv6 }
  const at = layOut({ ...counts, meta: metaBytes.length, text: textBytes })
  const bytes = new Uint8Array((at.end + 3) & ~3)
  const { buffer } = bytes
  bytes.set(metaBytes, at.meta)
  new Uint32Array(buffer, at.starts, counts.ipv4).set(ipv4.starts)
  new Uint32Array(buffer, at.highs, counts.ipv6).set(ipv6.highs)
  if (counts.ipv4 >= indexedFrom) fillIndex(new Uint32Array(buffer, at.index4, indexEntries), ipv4.starts)
  if (counts.ipv6 >= indexedFrom) fillIndex(new Uint32Array(buffer, at.index6, indexEntries), ipv6.highs)
  if (finestIpv6 === 64) new Uint32Array(buffer, at.lows, counts.ipv6).set(ipv6.lows)
  else {
    const lows = new Uint16Array(buffer, at.lows, counts.ipv6)
    for (let i = 0; i < counts.ipv6; i++) lows[i] = ipv6.lows[i]! >>> 16
  }
  for (const [list, lower, upper] of [
    [ipv4.rows, at.rows4, at.upper4],
    [ipv6.rows, at.rows6, at.upper6],
  ] as const) {
    const words = new Uint16Array(buffer, lower, list.length)
    for (let i = 0; i < list.length; i++) {
      words[i] = list[i]! & 0xffff
      bytes[upper + i] = list[i]! >>> 16
    }
  }
  const offsets = new Uint32Array(buffer, at.offsets, texts.length + 1)
  let place = 0
  for (const [number, text] of texts.entries()) {
    offsets[number] = place
    bytes.set(text, at.text + place)
    place += text.length
  }
  offsets[texts.length] = place
  const header = new Uint32Array(buffer, 0, headerWords)
  header.set([tableMagic, metaBytes.length, counts.ipv4, counts.ipv6, counts.rows, textBytes, finestIpv6])
  header[7] = crc32(bytes.subarray(headerWords * 4))
  return bytes
}

export function isTable(sab: SharedArrayBuffer): boolean {
  return sab.byteLength >= headerWords * 4 && new Uint32Array(sab, 0, 1)[0] === tableMagic
}

/** `check`: reads all of it once, for whoever loads the file; those it is handed to need not. */
export function openTable(sab: SharedArrayBuffer, check = false): RangeTable | { error: string } {
  const damaged = { error: 'is not a sound table of ranges' }
  if (!isTable(sab)) return damaged
  const [, metaBytes, ipv4, ipv6, rows, textBytes, finestIpv6, sum] = new Uint32Array(sab, 0, headerWords)
  const layout = { meta: metaBytes!, ipv4: ipv4!, ipv6: ipv6!, rows: rows!, text: textBytes! }
  const at = layOut({ ...layout, finestIpv6: finestIpv6! })
  if (sab.byteLength !== ((at.end + 3) & ~3)) return damaged
  const bytes = Buffer.from(sab)
  if (check && crc32(bytes.subarray(headerWords * 4)) !== sum) return damaged
  const meta = JSON.parse(bytes.toString('utf8', at.meta, at.meta + layout.meta)) as TableMeta

  const starts = new Uint32Array(sab, at.starts, layout.ipv4)
  const highs = new Uint32Array(sab, at.highs, layout.ipv6)
  const offsets = new Uint32Array(sab, at.offsets, layout.rows + 1)
  const index4 = layout.ipv4 >= indexedFrom ? new Uint32Array(sab, at.index4, indexEntries) : null
  const index6 = layout.ipv6 >= indexedFrom ? new Uint32Array(sab, at.index6, indexEntries) : null
  const isFine = finestIpv6 === 64
  const lows = isFine
    ? new Uint32Array(sab, at.lows, layout.ipv6)
    : new Uint16Array(sab, at.lows, layout.ipv6)
  const rows4 = new Uint16Array(sab, at.rows4, layout.ipv4)
  const rows6 = new Uint16Array(sab, at.rows6, layout.ipv6)
  const upper4 = new Uint8Array(sab, at.upper4, layout.ipv4)
  const upper6 = new Uint8Array(sab, at.upper6, layout.ipv6)

  function findIpv4(key: number): number {
    let from = index4 === null ? 0 : index4[key >>> 16]!
    let to = index4 === null ? starts.length : index4[(key >>> 16) + 1]!
    // The first start beyond the key; the range that holds it begins before.
    while (from < to) {
      const middle = (from + to) >>> 1
      if (starts[middle]! <= key) from = middle + 1
      else to = middle
    }
    return from === 0 ? 0 : rows4[from - 1]! | (upper4[from - 1]! << 16)
  }

  function findIpv6(high: number, low: number): number {
    let from = index6 === null ? 0 : index6[high >>> 16]!
    let to = index6 === null ? highs.length : index6[(high >>> 16) + 1]!
    while (from < to) {
      const middle = (from + to) >>> 1
      const start = highs[middle]!
      if (start < high || (start === high && lows[middle]! <= low)) from = middle + 1
      else to = middle
    }
    return from === 0 ? 0 : rows6[from - 1]! | (upper6[from - 1]! << 16)
  }

  const word = (address: Uint8Array, from: number): number =>
    ((address[from]! << 24) | (address[from + 1]! << 16) | (address[from + 2]! << 8) | address[from + 3]!) >>>
    0
  const startOf = (place: number): bigint =>
    (BigInt(highs[place]!) << 32n) | BigInt(isFine ? lows[place]! : lows[place]! * 0x1_0000)

  return {
    meta,
    rows: layout.rows,
    ranges: layout.ipv4 + layout.ipv6,
    find(address) {
      if (isMappedIpv4(address)) return findIpv4(word(address, 12))
      const low = word(address, 4)
      return findIpv6(word(address, 0), isFine ? low : low >>> 16)
    },
    row(number) {
      const from = offsets[number] ?? 0
      const to = offsets[number + 1] ?? from
      return bytes.toString('utf8', at.text + from, at.text + to).split('\t')
    },
    forEachIpv4(visit) {
      for (let i = 0; i < starts.length; i++) {
        visit(starts[i]!, starts[i + 1] ?? 2 ** 32, rows4[i]! | (upper4[i]! << 16))
      }
    },
    forEachIpv6(visit) {
      for (let i = 0; i < highs.length; i++) {
        const end = i + 1 < highs.length ? startOf(i + 1) : 1n << 64n
        visit(startOf(i), end, rows6[i]! | (upper6[i]! << 16))
      }
    },
  }
}
