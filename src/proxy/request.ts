/**
 * Reads a request's head: what decides its fate, and what goes upstream of it.
 */
import { type HeaderList, nominatedBy, passesUpstream } from './headers.ts'
import type { Head } from './server.ts'

export type RequestHead = {
  /** Host header in lower case; '' when absent or not a valid host. */
  authority: string
  /** The same without port. */
  host: string
  authorization: string
  userAgent: string
  accept: string
  range: string
  ifNoneMatch: string
  /** All lines joined by commas. */
  forwardedFor: string
  forwardedProto: string
  /** The client asks not to be recorded: `DNT: 1`, `Sec-GPC: 1` (W3C Tracking Preference Expression, Global Privacy Control). */
  wish: 'do_not_track' | 'global_privacy_control' | null
  /** An earlier hop was this front, or one like it. */
  looped: boolean
  /** Anything but an absent or zero Content-Length announces a body, and no body is taken. */
  hasBody: boolean
  /** It expects something else than `100-continue`, which alone is met (RFC 9110 10.1.1). */
  expectsMore: boolean
  /** Breaks a rule of RFC 9110 or 9112 in a way that must not be repaired. */
  malformed: boolean
  upstreamHeaders: HeaderList
}

// RFC 9110 4.2.3 as far as a registry can be named: no user info, no path, no list.
const authorityPattern = /^(?:[a-z0-9](?:[a-z0-9._-]{0,252})|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i
const unsafePattern = /[^\t\x20-\x7e]/
// RFC 9110 5.6.2: a token; anything else is no method at all.
const methodPattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
// RFC 9112 3.2: what a target may be made of, less strict than RFC 3986 where no two readers would differ. The
// rest would reach the upstream in other bytes than came, or mean something else there.
const targetPattern = /^[!$-;=?-[\]-~]*$/
// uWebSockets.js answers this one itself, before anybody else sees the request.
const expectedPattern = /^100-continue$/i
const maxPort = 65_535

export function readRequest({ method, path, query, headers }: Head): RequestHead {
  const head: RequestHead = {
    authority: '',
    host: '',
    authorization: '',
    userAgent: '',
    accept: '',
    range: '',
    ifNoneMatch: '',
    forwardedFor: '',
    forwardedProto: '',
    wish: null,
    looped: false,
    hasBody: false,
    expectsMore: false,
    malformed: !methodPattern.test(method) || !targetPattern.test(path) || !targetPattern.test(query),
    upstreamHeaders: [],
  }
  let connection = ''
  let via = ''
  let hosts = 0
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index] as string
    let value = headers[index + 1] as string
    // uWebSockets.js reads bytes as UTF-8; requests to upstreams are written as Latin-1, byte for byte.
    if (unsafePattern.test(value)) {
      // RFC 9110 5.5; uWebSockets.js refuses all others of these but DEL itself.
      if (value.includes('\x7f')) head.malformed = true
      value = Buffer.from(value, 'utf8').toString('latin1')
    }
    switch (name) {
      case 'host':
        hosts++
        head.authority = value.toLowerCase()
        break
      case 'content-length':
        if (value !== '0') head.hasBody = true
        break
      case 'transfer-encoding':
        head.hasBody = true
        break
      case 'expect':
        if (!expectedPattern.test(value)) head.expectsMore = true
        break
      case 'connection':
        connection = join(connection, value)
        break
      case 'via':
        via = join(via, value)
        break
      case 'authorization':
        // Two are a quarrel about who asks; neither is believed.
        if (head.authorization !== '') head.malformed = true
        head.authorization = value
        break
      case 'user-agent':
        head.userAgent = value
        break
      case 'accept':
        head.accept = join(head.accept, value)
        break
      case 'range':
        head.range = join(head.range, value)
        break
      case 'if-none-match':
        head.ifNoneMatch = join(head.ifNoneMatch, value)
        break
      case 'dnt':
        if (value === '1') head.wish = 'do_not_track'
        break
      case 'sec-gpc':
        if (value === '1') head.wish = 'global_privacy_control'
        break
      case 'x-forwarded-for':
        head.forwardedFor = join(head.forwardedFor, value)
        break
      case 'x-forwarded-proto':
        head.forwardedProto = join(head.forwardedProto, value)
        break
    }
    if (passesUpstream(name)) head.upstreamHeaders.push(name, value)
  }
  if (hosts !== 1 || !isAuthority(head.authority)) {
    head.malformed = true
    head.authority = ''
  }
  head.host = withoutPort(head.authority)
  const nominated = nominatedBy(connection)
  if (nominated === null) head.malformed = true
  else if (nominated.length > 0) head.upstreamHeaders = withoutFields(head.upstreamHeaders, nominated)
  head.looped = /(?:^|[\s,])waybill(?:$|[\s,(])/.test(via)
  head.upstreamHeaders.push('via', via === '' ? '1.1 waybill' : `${via}, 1.1 waybill`)
  return head
}

/** The query without `ns`, which speaks to a mirror, not to the registry behind it. */
export function upstreamQuery(query: string): string {
  if (!query.includes('ns=')) return query
  return query
    .split('&')
    .filter((part) => !part.startsWith('ns='))
    .join('&')
}

function isAuthority(authority: string): boolean {
  if (!authorityPattern.test(authority)) return false
  const port = authority.slice(withoutPort(authority).length + 1)
  return port === '' || Number(port) <= maxPort
}

function join(list: string, value: string): string {
  return list === '' ? value : `${list}, ${value}`
}

function withoutPort(authority: string): string {
  const end = authority.startsWith('[') ? authority.indexOf(']') + 1 : authority.lastIndexOf(':')
  return end > 0 ? authority.slice(0, end) : authority
}

function withoutFields(headers: HeaderList, names: readonly string[]): HeaderList {
  const kept: HeaderList = []
  for (let index = 0; index + 1 < headers.length; index += 2) {
    if (!names.includes(headers[index] as string)) {
      kept.push(headers[index] as string, headers[index + 1] as string)
    }
  }
  return kept
}
