/** Where each hot-path counter of a proxy thread lies in its shared memory; writer and reader agree on it here. */
import { classes, outcomes } from '../record/record.ts'

/** The statuses that a front for registries gives or relays; any other is counted as `other`. */
export const statusCodes = [
  200, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 408, 410, 412, 413, 414, 416, 417,
  421, 429, 431, 500, 501, 502, 503, 504, 505, 508,
] as const

/** Label values in the order of the slots. */
export const codeLabels: readonly string[] = [...statusCodes.map(String), 'other']

export const upstreamErrorReasons = [
  'connect',
  'timeout_connect',
  'timeout_first_byte',
  'timeout_body',
  'reset',
  'protocol',
  'too_large',
  'digest_mismatch',
  'auth',
  'admission',
  'other',
] as const
export type UpstreamErrorReason = (typeof upstreamErrorReasons)[number]

/**
 * Upper bounds in ms. A local answer takes well under 1 ms, a relayed one a few, a layer up to minutes:
 * about three steps a decade where answers are, fewer where only downloads are.
 */
export const bucketBoundsMs = [
  0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 30_000, 300_000,
] as const

const codes = codeLabels.length
const pairs = classes.length * outcomes.length

/** A histogram: one slot a bucket, one for what lies above the last, one for the sum in ms. */
export const histogramSlots = bucketBoundsMs.length + 2
export const sumSlot = histogramSlots - 1

/** Why a client was turned away before its request was looked at, or because it had too many under way. */
export const refusalReasons = [
  'connections',
  'client_connections',
  'client_requests',
  'proxy_header',
  'blocked_range',
  'blocked_asn',
  'blocked_company',
  'blocked_country',
  'blocked_type',
] as const
export type RefusalReason = (typeof refusalReasons)[number]

/** Why a request that was served left no record: the client's wish, or a name that is not recorded. */
export const unrecordedReasons = ['do_not_track', 'global_privacy_control', 'recording_off'] as const
export type UnrecordedReason = (typeof unrecordedReasons)[number]

export const scalars = [
  'downstreamBytes',
  'downstreamAborts',
  'connections',
  'untrustedForwarded',
  ...refusalReasons,
  ...unrecordedReasons,
] as const

/** First slot of each part; a slot is a float64 (8 bytes, whole numbers exact up to 2^53). */
export const slots = {
  requests: 0,
  duration: pairs * codes,
  firstByte: pairs * codes + pairs * histogramSlots,
  scalars: pairs * codes + 2 * pairs * histogramSlots,
  upstreams: pairs * codes + 2 * pairs * histogramSlots + scalars.length,
} as const

/** Parts of one upstream's block: answers by code, errors by reason, duration, what is left of its rate limit and when it said so. */
export const upstreamSlots = {
  requests: 0,
  errors: codes,
  duration: codes + upstreamErrorReasons.length,
  ratelimitRemaining: codes + upstreamErrorReasons.length + histogramSlots,
  ratelimitAtMs: codes + upstreamErrorReasons.length + histogramSlots + 1,
  total: codes + upstreamErrorReasons.length + histogramSlots + 2,
} as const

/** Bytes of the shared memory of one proxy thread. */
export function proxyCountersBytes(upstreams: number): number {
  return 8 * (slots.upstreams + upstreams * upstreamSlots.total)
}
