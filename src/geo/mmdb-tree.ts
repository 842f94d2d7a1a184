/** Walks the search tree of a MaxMind DB file: every network there is, each with its record, without guessing addresses. */

import { isMappedIpv4 } from './address.ts'

/** MaxMind DB format 2.0, "Binary Search Tree Section". */
export type TreeShape = { nodeCount: number; recordSize: number; ipVersion: number }

export type TreeVisitor = {
  /** A network of IPv4: its first address, and how many bits of it are the network's. */
  ipv4(start: number, bits: number, pointer: number): void
  /** A network of IPv6, by the first 64 bits; what is finer is told as its /64, once for each part. */
  ipv6(high: number, low: number, bits: number, pointer: number): void
}

type Side = 0 | 1

/** What the node says of the next bit: another node, nothing (the number of nodes), or beyond it a record. */
export function readNode(bytes: Buffer, recordSize: number, node: number, side: Side): number {
  const at = (node * recordSize) / 4
  if (recordSize === 24) return bytes.readUIntBE(at + 3 * side, 3)
  if (recordSize === 32) return bytes.readUInt32BE(at + 4 * side)
  // 28 bits: the middle byte lends its halves to both sides.
  const middle = bytes.readUInt8(at + 3)
  const high = side === 0 ? middle >> 4 : middle & 0x0f
  return high * 2 ** 24 + bytes.readUIntBE(at + 4 * side, 3)
}

/** Bits of an IPv6 address before the IPv4 address that a file for both families keeps below them. */
const ipv4Depth = 96

/**
 * In the order of the addresses, in steps: between two of them the thread may do something else. IPv6 is walked
 * in 2000::/3 alone, where all of the internet is, and without the places that lead back to IPv4.
 */
export function* walkTree(bytes: Buffer, shape: TreeShape, visitor: TreeVisitor): Generator<void> {
  const { nodeCount, recordSize, ipVersion } = shape
  const ipv4Root = ipVersion === 4 ? 0 : findIpv4Root(bytes, shape)

  function walkIpv4(node: number, start: number, bits: number): void {
    if (node === nodeCount || bits > 32) return
    if (node > nodeCount) return visitor.ipv4(start, bits, node)
    walkIpv4(readNode(bytes, recordSize, node, 0), start, bits + 1)
    walkIpv4(readNode(bytes, recordSize, node, 1), start + 2 ** (31 - bits), bits + 1)
  }

  function walkIpv6(node: number, high: number, low: number, bits: number): void {
    if (node === nodeCount || node === ipv4Root || bits > 128) return
    if (node > nodeCount) return visitor.ipv6(high, low, Math.min(bits, 64), node)
    walkIpv6(readNode(bytes, recordSize, node, 0), high, low, bits + 1)
    const right = readNode(bytes, recordSize, node, 1)
    if (bits < 32) walkIpv6(right, high + 2 ** (31 - bits), low, bits + 1)
    else if (bits < 64) walkIpv6(right, high, low + 2 ** (63 - bits), bits + 1)
    else walkIpv6(right, high, low, bits + 1)
  }

  // In 256 parts each: a part of the largest files takes some milliseconds.
  for (let first = 0; first < 256; first++) {
    if (ipv4Root < nodeCount)
      walkBelow(ipv4Root, first, (node, bits) => walkIpv4(node, first * 2 ** 24, bits))
    yield
  }
  if (ipVersion !== 6) return
  for (let first = 0x2000; first < 0x4000; first += 0x20) {
    walkBelow16(first)
    yield
  }

  /** Follows the first byte from an IPv4 root; a record on the way is told with its own length, once. */
  function walkBelow(root: number, byte: number, then: (node: number, bits: number) => void): void {
    let node = root
    for (let bits = 0; bits < 8; bits++) {
      if (node >= nodeCount) {
        if (node > nodeCount && (byte & (2 ** (8 - bits) - 1)) === 0) then(node, bits)
        return
      }
      node = readNode(bytes, recordSize, node, ((byte >> (7 - bits)) & 1) as Side)
    }
    then(node, 8)
  }

  /** The same for the first 11 bits of an IPv6 address. */
  function walkBelow16(group: number): void {
    let node = 0
    for (let bits = 0; bits < 11; bits++) {
      if (node >= nodeCount || node === ipv4Root) {
        const isFirst = (group & (2 ** (16 - bits) - 1)) === 0
        if (node > nodeCount && isFirst && bits >= 3) walkIpv6(node, group * 2 ** 16, 0, bits)
        return
      }
      node = readNode(bytes, recordSize, node, ((group >> (15 - bits)) & 1) as Side)
    }
    walkIpv6(node, group * 2 ** 16, 0, 11)
  }
}

export function findIpv4Root(bytes: Buffer, { nodeCount, recordSize }: TreeShape): number {
  let node = 0
  for (let depth = 0; depth < ipv4Depth && node < nodeCount; depth++)
    node = readNode(bytes, recordSize, node, 0)
  return node
}

/**
 * The record of an address (16 bytes, IPv4 mapped), by its number in the tree: the same for all addresses of one
 * network, and for all networks with one record. 0: there is none. Without a detour over text, as readers take it.
 */
export function createTreeFinder(bytes: Uint8Array, shape: TreeShape): (address: Uint8Array) => number {
  const { nodeCount, recordSize, ipVersion } = shape
  const ipv4Root =
    ipVersion === 4 ? 0 : findIpv4Root(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), shape)
  const nodeBytes = recordSize / 4

  function step(node: number, side: number): number {
    const at = node * nodeBytes
    if (recordSize === 24) {
      const from = at + 3 * side
      return (bytes[from]! << 16) | (bytes[from + 1]! << 8) | bytes[from + 2]!
    }
    if (recordSize === 28) {
      const from = at + 4 * side
      const high = side === 0 ? bytes[at + 3]! >> 4 : bytes[at + 3]! & 0x0f
      return (high << 24) | (bytes[from]! << 16) | (bytes[from + 1]! << 8) | bytes[from + 2]!
    }
    const from = at + 4 * side
    return (
      ((bytes[from]! << 24) | (bytes[from + 1]! << 16) | (bytes[from + 2]! << 8) | bytes[from + 3]!) >>> 0
    )
  }

  return (address) => {
    const isIpv4 = isMappedIpv4(address)
    // A file of IPv4 alone would walk the first 32 bits of an IPv6 address and answer something.
    if (!isIpv4 && ipVersion === 4) return 0
    let node = isIpv4 ? ipv4Root : 0
    for (let place = isIpv4 ? 12 : 0; place < 16 && node < nodeCount; place++) {
      const byte = address[place]!
      for (let bit = 7; bit >= 0 && node < nodeCount; bit--) node = step(node, (byte >> bit) & 1)
    }
    return node > nodeCount ? node : 0
  }
}
