/** The ways in which a client's address can be written down, on purpose or by accident. */
import { createHash } from 'node:crypto'
import { isIPv4 } from 'node:net'

export type AddressForm = {
  name: string
  bytes: Buffer
  /** `text` in any letter case, `exact` as it is; `raw` bytes, text or not. */
  match: 'text' | 'exact' | 'raw'
  /** What is a part of something longer, by chance or another address, does not count: signs that may not stand next to it. */
  notBefore?: RegExp
  notAfter?: RegExp
}

/** `beside`: of what it may not be a part. */
const text = (name: string, value: string, beside?: RegExp): AddressForm => ({
  ...{ name, bytes: Buffer.from(value.toLowerCase()), match: 'text' },
  ...(beside && { notBefore: beside, notAfter: beside }),
})
const digit = /[0-9]/
const hexDigit = /[0-9a-f]/
const base64Digit = /[A-Za-z0-9+/_-]/
const exact = (name: string, value: string): AddressForm => ({
  name,
  bytes: Buffer.from(value),
  match: 'exact',
})
const raw = (name: string, bytes: Uint8Array): AddressForm => ({
  ...{ name, bytes: Buffer.from(bytes), match: 'raw' },
})

/**
 * What base64 makes of bytes in the middle of others: the characters at the edges hold bits of the neighbours
 * and are left out.
 */
function base64(name: string, bytes: Uint8Array): AddressForm[] {
  return [0, 1, 2].flatMap((before) => {
    const whole = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64')
    const start = Math.ceil((before * 8) / 6)
    const inner = whole.slice(start, Math.floor(((before + bytes.length) * 8) / 6))
    const variants = new Set([inner, inner.replaceAll('+', '-').replaceAll('/', '_')])
    return [...variants].map((value) => exact(`${name} in base64 after ${before}`, value))
  })
}

/** Hashes without a key, whole or cut to 8 bytes and more: whoever has the address finds them again. */
function digests(name: string, value: string | Uint8Array): AddressForm[] {
  return ['md5', 'sha1', 'sha256', 'sha512'].flatMap((algorithm) => {
    const start = createHash(algorithm).update(value).digest().subarray(0, 8)
    const label = `${algorithm} of ${name}`
    return [text(`${label} in hex`, start.toString('hex')), raw(label, start), ...base64(label, start)]
  })
}

function ofText(name: string, value: string, beside?: RegExp): AddressForm[] {
  return [
    text(name, value, beside),
    text(`${name} in hex`, Buffer.from(value).toString('hex')),
    text(
      `${name}, percent-encoded`,
      value.replace(/[.:]/g, (sign) => (sign === '.' ? '%2E' : '%3A')),
    ),
    raw(`${name} in UTF-16`, Buffer.from(value, 'utf16le')),
    ...base64(name, Buffer.from(value)),
    ...digests(name, value),
  ]
}

function ipv4Forms(address: string): AddressForm[] {
  const parts = address.split('.').map(Number)
  const bytes = Buffer.from(parts)
  const reversed = Buffer.from(parts).reverse()
  const hex = bytes.toString('hex')
  const groups = `${hex.slice(0, 4)}:${hex.slice(4)}`
  const mapped = Buffer.concat([Buffer.alloc(10), Buffer.from('ffff', 'hex'), bytes])
  const join = (mark: string, write = String as (part: number) => string) => parts.map(write).join(mark)
  const numbers = [bytes, reversed].flatMap((order) => [order.readUInt32BE(), order.readInt32BE()])
  return [
    ...ofText('text', address, digit),
    ...ofText('mapped text', `::ffff:${address}`),
    { ...text('/24', `${parts.slice(0, 3).join('.')}.`), notBefore: /[0-9.]/ },
    text('reversed', [...parts].reverse().join('.'), digit),
    text('dashes', join('-'), digit),
    text('underscores', join('_'), digit),
    text(
      'padded',
      join('.', (part) => String(part).padStart(3, '0')),
    ),
    text(
      'octal',
      join('.', (part) => `0${part.toString(8)}`),
    ),
    text(
      'dotted hex',
      join('.', (part) => `0x${part.toString(16)}`),
    ),
    text('list', join(','), digit),
    text('spaced list', join(', '), digit),
    ...numbers.map((number) => text('number', String(number), digit)),
    text('hex', hex, hexDigit),
    text('hex number', `0x${hex}`),
    text('little-endian hex', reversed.toString('hex'), hexDigit),
    text('IPv6 groups', groups),
    text('mapped hex', `ffff${hex}`),
    raw('mapped bytes', mapped.subarray(10)),
    // Six characters: in the middle of others chance would write them too.
    {
      ...exact('bytes in base64', bytes.toString('base64').slice(0, 6)),
      ...{ notBefore: base64Digit, notAfter: base64Digit },
    },
    ...base64('mapped bytes', mapped),
    ...digests('bytes', bytes),
    ...digests('mapped bytes', mapped),
  ]
}

/** Eight groups of four digits, from the text of any IPv6 address without an IPv4 tail. */
function expandIpv6(address: string): string[] {
  const [head = '', tail] = address.split('::')
  const groupsOf = (half: string) => (half === '' ? [] : half.split(':'))
  const [left, right] = [groupsOf(head), groupsOf(tail ?? '')]
  const zeros = Array<string>(tail === undefined ? 0 : 8 - left.length - right.length).fill('0')
  return [...left, ...zeros, ...right].map((group) => group.padStart(4, '0'))
}

function ipv6Forms(address: string): AddressForm[] {
  const groups = expandIpv6(address)
  const short = groups.map((group) => group.replace(/^0+(?=.)/, ''))
  const bytes = Buffer.from(groups.join(''), 'hex')
  const network = bytes.subarray(0, 8)
  const networkAddress = Buffer.concat([network, Buffer.alloc(8)])
  return [
    ...ofText('text', address),
    ...ofText('expanded text', groups.join(':')),
    text('/48', `${short.slice(0, 3).join(':')}:`),
    text('/64', `${short.slice(0, 4).join(':')}:`),
    text('expanded /48', groups.slice(0, 3).join(':')),
    text('dashes', groups.join('-')),
    text('hex of the /64', network.toString('hex')),
    text('reversed nibbles', [...groups.join('')].reverse().join('.')),
    text('number', String(BigInt(`0x${groups.join('')}`))),
    text('list', [...bytes].join(',')),
    text('spaced list', [...bytes].join(', ')),
    raw('bytes of the /64', network),
    raw('bytes, reversed', Buffer.from(bytes).reverse()),
    ...base64('bytes of the /64', network),
    ...digests('bytes', bytes),
    ...digests('bytes of the /64', network),
    ...digests('address of the /64', networkAddress),
  ]
}

export function addressForms(address: string): AddressForm[] {
  return isIPv4(address) ? ipv4Forms(address) : ipv6Forms(address)
}
