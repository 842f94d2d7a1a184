/**
 * Reads the header of the PROXY protocol (versions 1 and 2 of HAProxy's doc/proxy-protocol.txt), by which a TCP
 * balancer says whose connection it hands on.
 */
import { type Address, parseAddress } from './client-address.ts'

export type ProxyHeader =
  /** No header begins like this. */
  | { state: 'none' }
  /** It may become one. */
  | { state: 'more' }
  | { state: 'bad' }
  /** `length`: bytes of the header. `address` null: the balancer speaks for itself, as for its health checks. */
  | { state: 'whole'; length: number; address: Address | null; encrypted: boolean | null }

// proxy-protocol.txt 2.1: the longest line of version 1, CRLF included.
const maxLineBytes = 107
// 2.2: addresses, and what balancers add of TLS and tracing; none comes near this.
const maxBinaryBytes = 4096
const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const lineStart = Buffer.from('PROXY ')
const binaryHead = 16
// 2.2.6: sub-fields of the TLS type, of which the first byte's lowest bit says that the client came by TLS.
const tlsType = 0x20

const none: ProxyHeader = { state: 'none' }
const more: ProxyHeader = { state: 'more' }
const bad: ProxyHeader = { state: 'bad' }

/** `bytes`: all that the connection has brought so far. */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (beginsLike(bytes, signature)) return bytes.length < binaryHead ? more : readBinary(bytes)
  if (beginsLike(bytes, lineStart)) return readLine(bytes)
  return none
}

function beginsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length)
  return bytes.compare(start, 0, length, 0, length) === 0
}

function readLine(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, maxLineBytes).indexOf('\r\n')
  if (end < 0) return bytes.length < maxLineBytes ? more : bad
  const line = bytes.toString('latin1', 0, end)
  const length = end + 2
  if (/^PROXY UNKNOWN(?: |$)/.test(line)) return { state: 'whole', length, address: null, encrypted: null }
  const parts = /^PROXY TCP([46]) ([0-9a-fA-F:.]+) ([0-9a-fA-F:.]+) (\d{1,5}) (\d{1,5})$/.exec(line)
  if (!parts) return bad
  const [, family, source = '', destination = '', ...ports] = parts
  const wellFormed = [source, destination].every((text) => text.includes(':') === (family === '6'))
  const address = parseAddress(source)
  if (!wellFormed || !address || !parseAddress(destination)) return bad
  if (ports.some((port) => Number(port) > 65_535)) return bad
  return { state: 'whole', length, address, encrypted: null }
}

function readBinary(bytes: Buffer): ProxyHeader {
  const kind = bytes[12] as number
  const family = bytes[13] as number
  const length = binaryHead + bytes.readUInt16BE(14)
  // Version 2, and LOCAL or PROXY: 2.2 has a receiver refuse anything else.
  if ((kind !== 0x20 && kind !== 0x21) || length > maxBinaryBytes) return bad
  if (bytes.length < length) return more
  const encrypted = readTls(bytes, binaryHead + addressBytes(family), length)
  // Only TCP over IP names a client; LOCAL, sockets of the file system and unknown families name none.
  if (kind === 0x20 || (family !== 0x11 && family !== 0x21)) {
    return { state: 'whole', length, address: null, encrypted }
  }
  if (length < binaryHead + addressBytes(family)) return bad
  const address = new Uint8Array(16)
  if (family === 0x11) {
    address[10] = 0xff
    address[11] = 0xff
    address.set(bytes.subarray(binaryHead, binaryHead + 4), 12)
  } else {
    address.set(bytes.subarray(binaryHead, binaryHead + 16))
  }
  return { state: 'whole', length, address, encrypted }
}

function addressBytes(family: number): number {
  if (family >> 4 === 1) return 12
  if (family >> 4 === 2) return 36
  return family >> 4 === 3 ? 216 : 0
}

/** Whether the client came by TLS; null when the balancer does not say. */
function readTls(bytes: Buffer, start: number, end: number): boolean | null {
  let at = start
  while (at + 3 <= end) {
    const length = bytes.readUInt16BE(at + 1)
    if (bytes[at] === tlsType && length > 0 && at + 3 < end) return ((bytes[at + 3] as number) & 1) === 1
    at += 3 + length
  }
  return null
}
