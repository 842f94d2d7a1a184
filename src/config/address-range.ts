/**
 * Ranges of addresses, brought to the one form in which all parts read them.
 */
import { isIP } from 'node:net'
import type { Kind } from './kinds.ts'

/** The eight groups of an IPv6 address that `isIP` has accepted. */
function groupsOf(text: string): number[] {
  const tail = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text)
  if (tail) {
    const [a = 0, b = 0, c = 0, d = 0] = tail.slice(2).map(Number)
    return groupsOf(`${tail[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`)
  }
  const read = (part: string | undefined) =>
    part ? part.split(':').map((group) => Number.parseInt(group, 16)) : []
  const [head, rest] = text.split('::')
  const [left, right] = [read(head), read(rest)]
  return [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right]
}

/** Clears what stands behind the first `bits` bits of numbers of `width` bits each. */
function mask(numbers: readonly number[], width: number, bits: number): number[] {
  return numbers.map((number, index) => {
    const cleared = Math.min(Math.max((index + 1) * width - bits, 0), width)
    return (number >> cleared) << cleared
  })
}

function formatIpv6(groups: readonly number[]): string {
  // The URL parser writes the short form (RFC 5952).
  return new URL(`http://[${groups.map((group) => group.toString(16)).join(':')}]`).hostname.slice(1, -1)
}

function formatIpv4(bytes: readonly number[], bits: number): string {
  return `${mask(bytes, 8, bits).join('.')}/${bits}`
}

function formatRange(address: string, bits: number): string {
  if (!address.includes(':')) return formatIpv4(address.split('.').map(Number), bits)
  const groups = groupsOf(address)
  // IPv4 in IPv6 (RFC 4291 2.5.5.2) is the same client on another listener.
  const isMapped = bits >= 96 && groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0)
  if (isMapped)
    return formatIpv4(
      groups.slice(6).flatMap((group) => [group >> 8, group & 0xff]),
      bits - 96,
    )
  return `${formatIpv6(mask(groups, 16, bits))}/${bits}`
}

/** Read to `network/bits`; an address in the middle of its range stands for the range. */
export const addressRange: Kind<string> = {
  placeholder: 'RANGE',
  expected: 'an address or a range, like 192.0.2.1, 10.0.0.0/8 or fd00::/8',
  jsonSchema: { type: 'string', pattern: '^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$' },
  read: (text) => {
    const match = /^([0-9A-Fa-f:.]+)(?:\/(\d{1,3}))?$/.exec(text)
    const version = match === null ? 0 : isIP(match[1]!)
    if (match === null || version === 0) return undefined
    const width = version === 4 ? 32 : 128
    const bits = match[2] === undefined ? width : Number(match[2])
    return bits <= width ? formatRange(match[1]!, bits) : undefined
  },
}
