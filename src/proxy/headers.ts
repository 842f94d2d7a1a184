/**
 * Which header fields pass through, in both directions (RFC 9110 7.6.1 and the contract's list).
 */

/** Lower-case name and value in turns, as undici takes them. */
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

const lineEnd = Buffer.from('\r\n')
const colon = Buffer.from(': ')
const [colonByte, blankByte] = colon

/** What the front reads of an upstream's answer itself; values as Latin-1 text, '' when absent. */
export type AnswerFields = {
  contentLength: string
  transferEncoding: string
  contentType: string
  contentRange: string
  digest: string
  location: string
  link: string
  challenge: string
  retryAfter: string
  etag: string
  connection: string
  rateLimitRemaining: string
}

const readFields: Record<string, keyof AnswerFields> = {
  'content-length': 'contentLength',
  'transfer-encoding': 'transferEncoding',
  'content-type': 'contentType',
  'content-range': 'contentRange',
  'docker-content-digest': 'digest',
  location: 'location',
  link: 'link',
  'www-authenticate': 'challenge',
  'retry-after': 'retryAfter',
  etag: 'etag',
  connection: 'connection',
  'ratelimit-remaining': 'rateLimitRemaining',
}

/** A literal, as copying another object costs more than making one. */
export function emptyFields(): AnswerFields {
  return {
    contentLength: '',
    transferEncoding: '',
    contentType: '',
    contentRange: '',
    digest: '',
    location: '',
    link: '',
    challenge: '',
    retryAfter: '',
    etag: '',
    connection: '',
    rateLimitRemaining: '',
  }
}

// Names repeat with every answer: the bytes of each are turned into text and judged once.
type NameRule = { name: string; passes: boolean; field: keyof AnswerFields | null }
const rules = new Map<string, NameRule>()
const maxRules = 512

function ruleOf(raw: Buffer): NameRule {
  const text = raw.toString('latin1')
  const known = rules.get(text)
  if (known) return known
  const name = text.toLowerCase()
  const rule: NameRule = { name, passes: !responseDropped.has(name), field: readFields[name] ?? null }
  if (rules.size < maxRules) rules.set(text, rule)
  return rule
}

/**
 * The block of header lines that is handed on, as one buffer from the second line's name on: the first line is
 * always `Via: 1.1 waybill`, so that uWebSockets.js is crossed into once for all (`writeHeader(via, block)`).
 * undici's parser has refused CR and LF in values, so no value can begin a line of its own.
 */
const scratch = Buffer.allocUnsafeSlow(64 * 1024)
// More than any registry sends, and no more than common proxies and clients take.
const maxLines = 98
const maxBlockBytes = 16 * 1024
/** The rules of the answer in hand, by its fields; kept, so that no answer costs an array. */
const found: NameRule[] = []
const viaValue = Buffer.from('1.1 waybill')

/** Writes `name: value` at `at`; in one copy where it stands so in what was read. Returns the end. */
function copyLine(name: Buffer, value: Buffer, at: number): number {
  const valueAt = at + name.length + 2
  const end = valueAt + value.length
  if (value.buffer === name.buffer && value.byteOffset - name.byteOffset === name.length + 2) {
    scratch.set(new Uint8Array(name.buffer, name.byteOffset, end - at), at)
    // Two views may lie so by chance, with anything between them.
    if (scratch[valueAt - 2] === colonByte && scratch[valueAt - 1] === blankByte) return end
  }
  name.copy(scratch, at)
  colon.copy(scratch, at + name.length)
  value.copy(scratch, valueAt)
  return end
}

/** Reads `raw` (names and values in turns) into `fields`, and returns the block; null: larger than can be. */
export function passDown(raw: readonly Buffer[], fields: AnswerFields): Buffer | null {
  if (raw.length > 2 * maxLines) return null
  let length = viaValue.copy(scratch, 0)
  let nominated: string[] = []
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const value = raw[index + 1] as Buffer
    const rule = ruleOf(raw[index] as Buffer)
    found[index >> 1] = rule
    if (rule.field) {
      const text = value.toString('latin1')
      // Several lines of one field are one list (RFC 9110 5.3).
      fields[rule.field] = fields[rule.field] === '' ? text : `${fields[rule.field]}, ${text}`
      // The two usual values nominate nothing.
      if (rule.field === 'connection' && text !== 'keep-alive' && text !== 'close') {
        nominated = nominated.concat(nominatedBy(text) ?? [])
      }
    }
  }
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const rule = found[index >> 1] as NameRule
    if (!rule.passes || nominated.includes(rule.name)) continue
    const name = raw[index] as Buffer
    const value = raw[index + 1] as Buffer
    if (length + name.length + value.length + 4 > maxBlockBytes) return null
    length += lineEnd.copy(scratch, length)
    length = copyLine(name, value, length)
  }
  // Valid until the next call: whoever needs it later copies it.
  return scratch.subarray(0, length)
}
