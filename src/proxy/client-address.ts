/**
 * Finds the client's address: the peer, or behind trusted proxies the last address that they did not vouch for.
 */

/** 16 bytes; IPv4 in the mapped form (RFC 4291 2.5.5.2), so that one client has one form on any listener. */
export type Address = Uint8Array

export type TrustedProxies = { trusts(address: Address): boolean }

/** uWebSockets.js hands 4 bytes for IPv4, 16 for IPv6. */
export function canonicalAddress(bytes: ArrayBuffer): Address {
  const address = new Uint8Array(16)
  if (bytes.byteLength === 4) {
    address[10] = 0xff
    address[11] = 0xff
    address.set(new Uint8Array(bytes), 12)
  } else if (bytes.byteLength === 16) {
    address.set(new Uint8Array(bytes))
  }
  return address
}

const ipv4Pattern = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/

/** Text of an address, without brackets, port or zone; null when it is none. */
export function parseAddress(text: string): Address | null {
  const address = new Uint8Array(16)
  if (!text.includes(':')) {
    if (!writeIpv4(text, address, 12)) return null
    address[10] = 0xff
    address[11] = 0xff
    return address
  }
  return writeIpv6(text, address) ? address : null
}

function writeIpv4(text: string, into: Uint8Array, at: number): boolean {
  const parts = ipv4Pattern.exec(text)
  if (!parts) return false
  for (let index = 0; index < 4; index++) {
    const part = parts[index + 1] as string
    // A leading zero is octal to some readers and decimal to others: refused.
    if (Number(part) > 255 || (part.length > 1 && part.startsWith('0'))) return false
    into[at + index] = Number(part)
  }
  return true
}

function writeIpv6(text: string, into: Uint8Array): boolean {
  const halves = text.split('::')
  if (halves.length > 2) return false
  const head = groupsOf(halves[0] as string)
  const tail = halves.length === 2 ? groupsOf(halves[1] as string) : []
  if (!head || !tail) return false
  const missing = 8 - head.length - tail.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return false
  const groups = [...head, ...Array<number>(missing).fill(0), ...tail]
  for (const [index, group] of groups.entries()) {
    into[index * 2] = group >> 8
    into[index * 2 + 1] = group & 0xff
  }
  return true
}

function groupsOf(text: string): number[] | null {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [index, part] of parts.entries()) {
    if (index === parts.length - 1 && part.includes('.')) {
      const tail = new Uint8Array(4)
      if (!writeIpv4(part, tail, 0)) return null
      groups.push(
        ((tail[0] as number) << 8) | (tail[1] as number),
        ((tail[2] as number) << 8) | (tail[3] as number),
      )
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16))
    } else {
      return null
    }
  }
  return groups
}

/** `cidrs` are those of `Config.trustedProxies`, already validated; a plain address is a whole prefix. */
export function createTrustedProxies(cidrs: readonly string[]): TrustedProxies {
  const ranges = cidrs.map((cidr) => {
    const [text = '', length] = cidr.split('/')
    const base = parseAddress(text)
    if (!base) throw new Error(`not an address range: ${cidr}`)
    const whole = text.includes(':') ? 128 : 32
    return { base, bits: (whole === 32 ? 96 : 0) + (length === undefined ? whole : Number(length)) }
  })
  return { trusts: (address) => ranges.some((range) => sharesPrefix(address, range.base, range.bits)) }
}

function sharesPrefix(a: Address, b: Address, bits: number): boolean {
  const wholeBytes = bits >> 3
  for (let index = 0; index < wholeBytes; index++) if (a[index] !== b[index]) return false
  const rest = bits & 7
  if (rest === 0) return true
  const mask = (0xff << (8 - rest)) & 0xff
  return ((a[wholeBytes] as number) & mask) === ((b[wholeBytes] as number) & mask)
}

/**
 * Reads X-Forwarded-For from the right: every proxy appends the peer that it saw, so only entries written by
 * trusted proxies can be believed, and the first that is not a trusted proxy's own address is the client.
 * `forwardedFor` holds all the field's lines joined by commas.
 */
export function clientAddress(peer: Address, forwardedFor: string, proxies: TrustedProxies): Address {
  if (forwardedFor === '' || !proxies.trusts(peer)) return peer
  let client = peer
  const entries = forwardedFor.split(',')
  for (let index = entries.length - 1; index >= 0; index--) {
    const address = parseAddress(stripPort((entries[index] as string).trim()))
    if (!address) return client
    client = address
    if (!proxies.trusts(address)) return client
  }
  return client
}

/** `a.b.c.d:port`, `[v6]`, `[v6]:port`: some proxies write the port. */
function stripPort(text: string): string {
  if (text.startsWith('[')) return text.slice(1, Math.max(1, text.indexOf(']')))
  const colon = text.indexOf(':')
  return colon >= 0 && colon === text.lastIndexOf(':') ? text.slice(0, colon) : text
}

/** Whether the address is one that cannot be reached over the internet (RFC 6890), as a balancer's is. */
export function isPrivateAddress(address: Address): boolean {
  return privateRanges.trusts(address)
}

const privateRanges = createTrustedProxies([
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '224.0.0.0/3',
  '::/127',
  '64:ff9b:1::/48',
  'fc00::/7',
  'fe80::/10',
  'ff00::/8',
])
