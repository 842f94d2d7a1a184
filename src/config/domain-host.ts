/**
 * The kind of value that names a domain: the Host by which clients ask.
 */
import { isIP, isIPv6 } from 'node:net'
import { domainToASCII } from 'node:url'
import { isHostName } from './addresses.ts'
import type { Kind } from './kinds.ts'

/** Read to the form that a Host header has: lower case, IDN as punycode, IPv6 short and in brackets. */
export const domainHost: Kind<string> = {
  placeholder: 'HOST',
  expected: 'a host name without port, like cr.example.io or *.example.io',
  jsonSchema: { type: 'string', pattern: '^(\\*\\.)?[^\\s/@*]+$' },
  read: (text) => {
    const bare = /^\[(.*)\]$/.exec(text)?.[1]
    if (bare !== undefined) return isIPv6(bare) ? new URL(`http://[${bare}]/`).hostname : undefined
    if (isIP(text) === 4) return text
    const wild = text.startsWith('*.')
    const name = domainToASCII(wild ? text.slice(2) : text)
    // The URL parser would make an address of 0x7f.1 and a name of a%62.
    if (!isHostName(name) || /[%:/?#@[\]\s]/.test(text)) return undefined
    return wild ? `*.${name}` : name
  },
  explain: (text) => {
    if (text.includes('://')) return 'expected a host name; its URL goes into publicUrl'
    if (isIPv6(text)) return `expected an IPv6 address in brackets, like [${text}]`
    if (/^[^:]+:\d+$/.test(text)) return 'expected a host name without port; every listener serves every host'
    if (text === '*') return 'expected a host name; any host is served where no domains are given'
    return text.includes('*') ? 'expected "*." only at the start, like *.example.io' : undefined
  },
}
