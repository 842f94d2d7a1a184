/**
 * Keeps requests to hosts that an answer named (realms, redirects) away from private networks: a host is
 * judged by the addresses it resolves to at connect, so that no second look-up can give another.
 */
import { type LookupAddress, type LookupOptions, lookup } from 'node:dns'
import { type Address, isPrivateAddress, parseAddress } from './client-address.ts'

/** Whether the name may be looked up at all: an IP literal is judged at once. */
export function isPublicHost(hostname: string): boolean {
  const address = parseAddress(hostname.replace(/^\[(.*)\]$/, '$1'))
  return address === null || (!isPrivateAddress(address) && !leadsToPrivate(address))
}

// NAT64 (RFC 6052 2.1), 6to4 (RFC 3056 2) and IPv4-compatible addresses (RFC 4291 2.5.5.1): where in them the IPv4
// address stands that they end up at.
const wrappings: readonly (readonly [prefix: string, at: number])[] = [
  ['0064ff9b0000000000000000', 12],
  ['2002', 2],
  ['000000000000000000000000', 12],
]

function leadsToPrivate(address: Address): boolean {
  const hex = Buffer.from(address).toString('hex')
  return wrappings.some(([prefix, at]) => {
    if (!hex.startsWith(prefix)) return false
    const inner = new Uint8Array(16)
    inner.set([0xff, 0xff], 10)
    inner.set(address.subarray(at, at + 4), 12)
    return isPrivateAddress(inner)
  })
}

type LookupCallback = (
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number,
) => void

/** `dns.lookup` that fails with code `EPRIVATE` when any address of the name is private. */
export function lookupPublic(hostname: string, options: LookupOptions, callback: LookupCallback): void {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, [])
    const allPublic = addresses.every(({ address }) => isPublicHost(address))
    if (!allPublic || addresses.length === 0) {
      const refused: NodeJS.ErrnoException = new Error('the host resolves to a private address')
      refused.code = 'EPRIVATE'
      return callback(refused, [])
    }
    if (options.all) return callback(null, addresses)
    const [first] = addresses as [LookupAddress]
    callback(null, first.address, first.family)
  })
}
