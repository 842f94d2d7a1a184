/**
 * The record: what a proxy thread leaves of one request. Fields only; `layout.ts` says where each lies.
 */

export const recordKinds = ['request', 'heartbeat'] as const
/** `heartbeat`: a transfer still running; the record of its end carries the same sequence. */
export type RecordKind = (typeof recordKinds)[number]

export const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'OTHER'] as const
export type Method = (typeof methods)[number]

export const classes = ['ping', 'token', 'manifest', 'blob', 'tags', 'referrers', 'other'] as const
export type RequestClass = (typeof classes)[number]

export const outcomes = ['local', 'cache', 'relay', 'redirect', 'reject'] as const
export type Outcome = (typeof outcomes)[number]

/** Longest value of each string field in bytes (Latin-1); longer values are cut when written. */
export const maxStringBytes = {
  host: 255,
  repository: 255,
  reference: 255,
  upstreamRepository: 511,
  userAgent: 512,
  redirectHost: 255,
  range: 128,
  digest: 255,
} as const

export type WaybillRecord = {
  kind: RecordKind
  /** Number of the request within its ring and boot; with both it makes the record id. */
  sequence: number
  method: Method
  class: RequestClass
  outcome: Outcome
  status: number
  /** 0: the upstream was not asked or did not answer. */
  upstreamStatus: number
  /** Unix time in ms at which the request's head was read. */
  startMs: number
  durationMs: number
  /** From the start to the first byte of the answer; -1: none was sent. */
  firstByteMs: number
  /** Body bytes put on the client's socket. */
  bytesSent: number
  /** Position in the representation of the first body byte (206); 0 for a whole body. */
  offset: number
  /** Complete length of the representation in bytes; -1: unknown. */
  size: number
  /** The answer did not reach the client whole: it went away, was cut off, or the upstream broke off. */
  aborted: boolean
  /** The request carried a valid token of this front, or one of an unknown key served on a public route. */
  hasNonce: boolean
  /** Index into `Config.domains`; -1: the request reached none. */
  domain: number
  /** Index into `Config.upstreams`; -1: none was chosen. */
  upstream: number
  /** The client's address: 16 bytes, IPv4 in the mapped form `::ffff:a.b.c.d` (RFC 4291 2.5.5.2). */
  address: Uint8Array
  /** The token's nonce: 16 bytes, all zero without `hasNonce`. */
  nonce: Uint8Array
  /** Host header without port when it is a valid host name, else ''. */
  host: string
  /** Name as the client says it; '' where there is none (ping, token). */
  repository: string
  /** Tag or digest of a manifest, digest of a blob or of a referrers list; '' where there is none. */
  reference: string
  upstreamRepository: string
  userAgent: string
  /** Host of the redirect that was handed on; '' without one. */
  redirectHost: string
  /** The request's Range header; '' without one. */
  range: string
  /** `algorithm:hex` that the reference resolved to, from the request or from the answer; '' unknown. */
  digest: string
}
