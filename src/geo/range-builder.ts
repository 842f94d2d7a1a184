/** Collects ranges for a table: sorted ones one after another, or CIDRs in any order, of which the narrowest counts. */
import { encodeTable, type TableMeta } from './range-table.ts'

/** A list of numbers that grows: millions of ranges would not fit an array of boxed numbers. */
function createNumbers() {
  let words = new Uint32Array(1024)
  let length = 0
  return {
    push(value: number) {
      if (length === words.length) {
        const larger = new Uint32Array(2 * length)
        larger.set(words)
        words = larger
      }
      words[length++] = value
    },
    take: () => words.subarray(0, length),
  }
}

export type TableBuilder = {
  /** The number of the row with this text. */
  rowOf(text: string): number
  /** In the order of the addresses. `end` is exclusive; what lies between two ranges has row 0. */
  addIpv4(start: number, end: number, row: number): void
  /** By the first 64 bits; of several within a /48 the widest counts when the table is no finer. */
  addIpv6(start: bigint, end: bigint, row: number): void
  encode(): Uint8Array
}

export function createTableBuilder(meta: TableMeta, finestIpv6: 48 | 64): TableBuilder {
  const rows = new Map<string, number>([['', 0]])
  const ipv4 = { starts: createNumbers(), rows: createNumbers(), last: 0, end: 0 }
  const ipv6 = { highs: createNumbers(), lows: createNumbers(), rows: createNumbers(), last: 0, end: 0n }
  const grain = finestIpv6 === 64 ? 1n : 1n << 16n
  /** The ranges within one /48 that are finer than it. */
  let crumbs: { start: bigint; size: bigint; row: number } | null = null

  function pushIpv4(start: number, row: number) {
    if (row === ipv4.last) return
    ipv4.starts.push(start)
    ipv4.rows.push(row)
    ipv4.last = row
  }
  function pushIpv6(start: bigint, row: number) {
    if (row === ipv6.last) return
    ipv6.highs.push(Number(start >> 32n))
    ipv6.lows.push(Number(start & 0xffff_ffffn))
    ipv6.rows.push(row)
    ipv6.last = row
  }
  function putIpv6(start: bigint, end: bigint, row: number) {
    if (start > ipv6.end) pushIpv6(ipv6.end, 0)
    pushIpv6(start, row)
    ipv6.end = end
  }
  function settleCrumbs() {
    if (crumbs === null) return
    const { start, row } = crumbs
    crumbs = null
    putIpv6(start, start + grain, row)
  }

  return {
    rowOf(text) {
      const known = rows.get(text)
      if (known !== undefined) return known
      const number = rows.size
      rows.set(text, number)
      return number
    },
    addIpv4(start, end, row) {
      const from = Math.max(start, ipv4.end)
      if (from >= end) return
      if (from > ipv4.end) pushIpv4(ipv4.end, 0)
      pushIpv4(from, row)
      ipv4.end = end
    },
    addIpv6(start, end, row) {
      const place = start - (start % grain)
      if (crumbs !== null && crumbs.start !== place) settleCrumbs()
      if (end - start < grain) {
        if (crumbs === null) crumbs = { start: place, size: end - start, row }
        else if (end - start > crumbs.size) crumbs = { ...crumbs, size: end - start, row }
        return
      }
      const from = start > ipv6.end ? start : ipv6.end
      if (from < end) putIpv6(from, end, row)
    },
    encode() {
      settleCrumbs()
      if (ipv4.end < 2 ** 32) pushIpv4(ipv4.end, 0)
      if (ipv6.end < 1n << 64n) pushIpv6(ipv6.end, 0)
      const [, ...texts] = rows.keys()
      return encodeTable({
        meta,
        finestIpv6,
        rows: texts,
        ipv4: { starts: ipv4.starts.take(), rows: ipv4.rows.take() },
        ipv6: { highs: ipv6.highs.take(), lows: ipv6.lows.take(), rows: ipv6.rows.take() },
      })
    },
  }
}

/** `start`: of IPv4 32 bits, of IPv6 its first 64; longer prefixes of IPv6 are cut to their /64. */
export type Cidr = { family: 4 | 6; start: bigint; bits: number }

/** Text of a CIDR or of one address; null when it is neither, or has bits set behind its prefix. */
export function parseCidr(text: string, parse: (text: string) => Uint8Array | null): Cidr | null {
  const [addressText = '', bitsText, ...more] = text.split('/')
  if (more.length > 0 || (bitsText !== undefined && !/^\d{1,3}$/.test(bitsText))) return null
  const address = parse(addressText)
  if (address === null) return null
  const family = addressText.includes(':') ? 6 : 4
  const width = family === 4 ? 32 : 128
  const bits = bitsText === undefined ? width : Number(bitsText)
  if (bits > width) return null
  const whole = BigInt(`0x${Buffer.from(family === 4 ? address.subarray(12) : address).toString('hex')}`)
  if ((whole & ((1n << BigInt(width - bits)) - 1n)) !== 0n) return null
  if (family === 4) return { family, start: whole, bits }
  return { family, start: whole >> 64n, bits: Math.min(bits, 64) }
}

/** The fewest CIDRs that make up a range. `end` is exclusive; of IPv6 the first 64 bits. */
export function cidrsOf(family: 4 | 6, start: bigint, end: bigint): Cidr[] {
  const width = family === 4 ? 32 : 64
  const found: Cidr[] = []
  for (let at = start; at < end; ) {
    let free = 0
    // As large as its first address and what is left allow.
    while (free < width && at % (1n << BigInt(free + 1)) === 0n && at + (1n << BigInt(free + 1)) <= end)
      free++
    found.push({ family, start: at, bits: width - free })
    at += 1n << BigInt(free)
  }
  return found
}

type Range = { start: bigint; end: bigint; row: number }

/** CIDRs lie within each other or apart: sorted, a stack of those that are open says which is the narrowest. */
function flatten(ranges: Range[], emit: (range: Range) => void): void {
  // Of two alike the one that came later is on top.
  const sorted = ranges.sort((a, b) => {
    if (a.start !== b.start) return a.start < b.start ? -1 : 1
    return a.end === b.end ? 0 : a.end > b.end ? -1 : 1
  })
  const open: Range[] = []
  let at = 0n
  const closeUntil = (start: bigint) => {
    for (let top = open.at(-1); top !== undefined && top.end <= start; top = open.at(-1)) {
      if (at < top.end) emit({ start: at, end: top.end, row: top.row })
      at = at > top.end ? at : top.end
      open.pop()
    }
  }
  for (const range of sorted) {
    closeUntil(range.start)
    const top = open.at(-1)
    if (top !== undefined && at < range.start) emit({ start: at, end: range.start, row: top.row })
    at = range.start
    open.push(range)
  }
  closeUntil(1n << 65n)
}

/** The table of CIDRs in any order; of those that hold an address the narrowest counts. */
export function buildFromCidrs(meta: TableMeta, cidrs: Iterable<{ cidr: Cidr; text: string }>): Uint8Array {
  const builder = createTableBuilder(meta, 64)
  const lists: Record<4 | 6, Range[]> = { 4: [], 6: [] }
  for (const { cidr, text } of cidrs) {
    const size = 1n << BigInt((cidr.family === 4 ? 32 : 64) - cidr.bits)
    lists[cidr.family].push({ start: cidr.start, end: cidr.start + size, row: builder.rowOf(text) })
  }
  flatten(lists[4], ({ start, end, row }) => builder.addIpv4(Number(start), Number(end), row))
  flatten(lists[6], ({ start, end, row }) => builder.addIpv6(start, end, row))
  return builder.encode()
}

/** For handing to threads. */
export function shareBytes(bytes: Uint8Array): SharedArrayBuffer {
  const sab = new SharedArrayBuffer(bytes.length)
  new Uint8Array(sab).set(bytes)
  return sab
}
