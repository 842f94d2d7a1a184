/**
 * Keeps requests to hosts that an answer named (realms, redirects) away from private networks: a host is
 * judged by the addresses it resolves to at connect, so that no second look-up can give another.
 */
import { type LookupAddress, type LookupOptions, lookup } from 'node:dns'
import { isPrivateAddress, parseAddress } from './client-address.ts'

/** Whether the name may be looked up at all: an IP literal is judged at once. */
export function isPublicHost(hostname: string): boolean {
  const address = parseAddress(hostname.replace(/^\[(.*)\]$/, '$1'))
  return address === null || !isPrivateAddress(address)
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
