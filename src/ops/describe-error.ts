/** Says what an error is in words that name no address, credential or signed URL, for logs and health reports. */

/** Longest description in characters; messages of libraries can quote whole responses. */
const maxLength = 400

// IPv6 first, with its embedded IPv4 and zone: two or more colons between groups of hex digits. That takes a
// time of day with it, which is the cheaper mistake. IPv4 also in the dashed form of reverse DNS names.
const ipv6 = /\[?(?:[0-9a-f]{0,4}:){2,}(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{1,4})?(?:%[\w.-]+)?\]?/gi
const ipv4 = /\d{1,3}(?:\.\d{1,3}){3}|(?<!\w)\d{1,3}(?:-\d{1,3}){3}(?!\w)/g
const userInfo = /\/\/[^/@\s]*@/g
/** Query strings carry the signatures of redirect URLs. */
const query = /\?[^\s"'<>]+/g
const authorization = /\b(bearer|basic)\s+[\w.~+/=-]+/gi
/** Three dotted base64url parts: a JSON web token. */
const token = /\b[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}/g
const secret = /\b(password|passwd|secret|token|apikey|api_key)(["']?\s*[=:]\s*)["']?[^\s"',;]+/gi

/** Removes what looks like an address, a credential or the query of a URL, and cuts to 400 characters. */
export function scrub(text: string): string {
  // Cut first as well: the patterns then see a bounded text, whatever a peer put in a message.
  const scrubbed = text
    .slice(0, 4 * maxLength)
    .replace(userInfo, '//')
    .replace(query, '?…')
    .replace(authorization, '$1 …')
    .replace(secret, '$1$2…')
    .replace(token, '…')
    .replace(ipv6, '[address]')
    .replace(ipv4, '[address]')
  return scrubbed.length > maxLength ? `${scrubbed.slice(0, maxLength)}…` : scrubbed
}

/** `<code or name>: <scrubbed message>`, and the same of its cause; never a stack, an address or a port's owner. */
export function describeError(error: unknown): string {
  const parts: string[] = []
  let at = error
  // Bounded: causes can form a circle.
  for (let depth = 0; depth < 4 && at !== undefined && at !== null; depth += 1) {
    parts.push(describeOne(at))
    at = innerOf(at)
  }
  const whole = parts.filter((part, index) => parts.indexOf(part) === index).join(' < ')
  return whole.length > maxLength ? `${whole.slice(0, maxLength)}…` : whole || 'unknown error'
}

function describeOne(error: unknown): string {
  if (typeof error === 'string') return scrub(error)
  if (!(error instanceof Error)) return `a thrown ${typeof error}`
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name
  const message = scrub(error.message)
  return message === '' ? scrub(code) : `${scrub(code)}: ${message}`
}

/** The cause, or the first of an AggregateError (a failed connect to a host with several addresses is one). */
function innerOf(error: unknown): unknown {
  if (!(error instanceof Error)) return undefined
  return error.cause ?? (error instanceof AggregateError ? error.errors[0] : undefined)
}
