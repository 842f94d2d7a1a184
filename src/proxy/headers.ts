/**
 * Which header fields pass through, in both directions (RFC 9110 7.6.1 and the contract's list).
 */

/** Lower-case name and value in turns. */
export type HeaderList = string[]

// RFC 9110 7.6.1, and the list of Go's httputil.ReverseProxy.
const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]

const requestDropped = new Set([
  ...hopByHop,
  // The front's own to set or to answer.
  'host',
  'content-length',
  'expect',
  'via',
  // Credentials of the client are for the front alone.
  'authorization',
  'cookie',
])

// Nothing of a client's address goes upstream, nor what a balancer or CDN has looked up by it. Each of them has names
// of its own (`X-Real-IP`, `CF-Connecting-IPv6`, `X-Azure-SocketIP`, `CloudFront-Viewer-Address`, `X-Remote-Addr`,
// `X-Original-Forwarded-For`, `CF-IPCountry`), which are known by their parts.
const ofClientAddress =
  /(?:^|[-_])(?:client|host|peer|real|remote|socket|source|src|user)?(?:ip|ipv[46]|addr|address)(?:-port)?$|forwarded|^(?:cloudfront-viewer|x-vercel-ip|x-appengine|x-client-geo|cf-ip)/

// The same dozen names come with every request; what else clients make up is judged each time.
const passing = new Map<string, boolean>()
const maxNames = 512

/** Whether a request header goes upstream; `name` in lower case. */
export function passesUpstream(name: string): boolean {
  const known = passing.get(name)
  if (known !== undefined) return known
  const passes = !requestDropped.has(name) && !ofClientAddress.test(name)
  if (passing.size < maxNames) passing.set(name, passes)
  return passes
}

// RFC 9110 7.6.1: a client must not nominate end-to-end fields; here such a request is refused, as
// dropping one of these would change what is asked for.
const notNominable = new Set(['host', 'authorization', 'range', 'accept', 'cache-control'])

function mayBeNominated(name: string): boolean {
  return !notNominable.has(name) && !name.startsWith('if-') && !name.startsWith('content-')
}

/** The names that a Connection field nominates; null when it names a field that it may not. */
export function nominatedBy(connection: string): string[] | null {
  if (connection === '') return []
  const names: string[] = []
  for (const part of connection.split(',')) {
    const name = part.trim().toLowerCase()
    if (!mayBeNominated(name)) return null
    if (name !== '' && name !== 'close' && name !== 'keep-alive') names.push(name)
  }
  return names
}

const responseDropped = new Set([
  ...hopByHop,
  // uWebSockets.js writes its own Date; the length goes by the number of bytes that are sent.
  'date',
  'content-length',
  'set-cookie',
  'set-cookie2',
  // A front's policy for its own host is not the upstream's to set (RFC 6797 7.2).
  'strict-transport-security',
  'public-key-pins',
  'alt-svc',
  // The upstream's challenge is answered by the front, never handed on.
  'www-authenticate',
  // Rewritten, each by the part that knows the names.
  'location',
  'link',
])

/** Whether a response header is handed on; `name` in lower case. */
export function passesDown(name: string): boolean {
  return !responseDropped.has(name)
}

/** The names that an upstream's Connection field nominates, but those that the answer would not be the same without. */
export function nominatedDown(connection: string): string[] {
  const names = connection.split(',').map((part) => part.trim().toLowerCase())
  return names.filter((name) => mayBeNominated(name) && name !== 'close' && name !== 'keep-alive')
}
