/** What can be said of a 16-byte address (IPv4 mapped) without looking it up. */
import { isIPv4, isIPv6 } from 'node:net'

/** Bytes 0 to 11 of a mapped IPv4 address are `::ffff:0:0/96` (RFC 4291 2.5.5.2). */
export function isMappedIpv4(address: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (address[i] !== 0) return false
  return address[10] === 0xff && address[11] === 0xff
}

type Prefix = { bytes: readonly number[]; bits: number }

function ipv4(first: number, second: number, third: number, bits: number): Prefix {
  return { bytes: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, first, second, third, 0], bits: 96 + bits }
}

function ipv6(first: number, second: number, bits: number): Prefix {
  return { bytes: [first >> 8, first & 0xff, second >> 8, second & 0xff], bits }
}

/** IANA's registries of special-purpose addresses: what no client on the internet has. */
const specialPrefixes: readonly Prefix[] = [
  ipv4(0, 0, 0, 8), // this network, RFC 791
  ipv4(10, 0, 0, 8), // private, RFC 1918
  ipv4(100, 64, 0, 10), // shared by a carrier's NAT, RFC 6598
  ipv4(127, 0, 0, 8), // loopback, RFC 1122
  ipv4(169, 254, 0, 16), // link-local, RFC 3927
  ipv4(172, 16, 0, 12), // private, RFC 1918
  ipv4(192, 0, 0, 24), // protocol assignments, RFC 6890
  ipv4(192, 0, 2, 24), // documentation, RFC 5737
  ipv4(192, 88, 99, 24), // 6to4 relays, RFC 7526
  ipv4(192, 168, 0, 16), // private, RFC 1918
  ipv4(198, 18, 0, 15), // benchmarks, RFC 2544
  ipv4(198, 51, 100, 24), // documentation, RFC 5737
  ipv4(203, 0, 113, 24), // documentation, RFC 5737
  ipv4(224, 0, 0, 3), // multicast, reserved, broadcast: RFC 5771, RFC 1112
  ipv6(0x2001, 0, 23), // protocol assignments, Teredo among them, RFC 2928
  ipv6(0x2001, 0xdb8, 32), // documentation, RFC 3849
  ipv6(0x2002, 0, 16), // 6to4, RFC 7526
  ipv6(0x3fff, 0, 20), // documentation, RFC 9637
]

/** All global unicast IPv6 lies in it (RFC 4291 2.4, IANA); the rest is loopback, local, multicast or reserved. */
const globalUnicast = ipv6(0x2000, 0, 3)

function contains({ bytes, bits }: Prefix, address: Uint8Array): boolean {
  const whole = bits >> 3
  // The last bytes differ most: IPv4 prefixes share their first twelve.
  for (let i = whole - 1; i >= 0; i--) if (address[i] !== bytes[i]) return false
  const rest = bits & 7
  if (rest === 0) return true
  const mask = 0xff << (8 - rest)
  return ((address[whole] ?? 0) & mask) === ((bytes[whole] ?? 0) & mask)
}

/** Which first bytes special prefixes have, of IPv4 and of IPv6: most addresses are compared with none of them. */
const isSuspect4 = new Uint8Array(256)
const isSuspect6 = new Uint8Array(256)
for (const { bytes, bits } of specialPrefixes) {
  const isIpv4 = bits > 96
  const first = bytes[isIpv4 ? 12 : 0]!
  // The bits of the first byte that are not the prefix's may be anything.
  const free = Math.max(0, 8 - (isIpv4 ? bits - 96 : bits))
  for (let value = first; value < first + 2 ** free; value++) (isIpv4 ? isSuspect4 : isSuspect6)[value] = 1
}

/** True when a database cannot know the address: some of them answer such questions with nonsense. */
export function isSpecialUse(address: Uint8Array): boolean {
  if (isMappedIpv4(address)) {
    if (isSuspect4[address[12]!] === 0) return false
  } else {
    if (!contains(globalUnicast, address)) return true
    if (isSuspect6[address[0]!] === 0) return false
  }
  for (const prefix of specialPrefixes) if (contains(prefix, address)) return true
  return false
}

/** As lookups want it; the caller lets go of it at once. */
export function formatAddress(address: Uint8Array): string {
  if (isMappedIpv4(address)) return `${address[12]}.${address[13]}.${address[14]}.${address[15]}`
  const groups: string[] = []
  for (let i = 0; i < 16; i += 2) groups.push((((address[i] ?? 0) << 8) | (address[i + 1] ?? 0)).toString(16))
  return groups.join(':')
}

/** 16 bytes, IPv4 mapped; null for anything but a plain address: no zone, port or octal. */
export function parseAddress(text: string): Uint8Array | null {
  const address = new Uint8Array(16)
  if (isIPv4(text)) {
    address.set([0xff, 0xff, ...text.split('.').map(Number)], 10)
    return address
  }
  // A zone names an interface of the machine that said it.
  if (!isIPv6(text) || text.includes('%')) return null
  const dotted = text.includes('.') ? text.slice(text.lastIndexOf(':') + 1) : ''
  const [high, low] = dotted === '' ? [] : pairsOf(dotted)
  const groups = dotted === '' ? text : `${text.slice(0, -dotted.length)}${high}:${low}`
  const [head = '', tail] = groups.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const all =
    tail === undefined ? left : [...left, ...Array(8 - left.length - right.length).fill('0'), ...right]
  for (const [place, group] of all.entries()) {
    const value = Number.parseInt(group, 16)
    address[2 * place] = value >> 8
    address[2 * place + 1] = value & 0xff
  }
  return address
}

function pairsOf(dotted: string): string[] {
  const [a = 0, b = 0, c = 0, d = 0] = dotted.split('.').map(Number)
  return [(a * 256 + b).toString(16), (c * 256 + d).toString(16)]
}
