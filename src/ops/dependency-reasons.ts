/** Why a dependency is not well: the bounded list that health reports speak, and how errors map to it. */
import { upstreamErrorReasons } from './counter-layout.ts'

/** Those of upstream errors come first, under the same indexes, so that one number serves both. */
export const dependencyReasons = [
  ...upstreamErrorReasons,
  'timeout',
  'disk_full',
  'disk_error',
  'missing',
  'outdated',
  'overflow',
] as const
export type DependencyReason = (typeof dependencyReasons)[number]

const reasonOfCode: Readonly<Record<string, DependencyReason>> = {
  ECONNREFUSED: 'connect',
  EHOSTUNREACH: 'connect',
  ENETUNREACH: 'connect',
  ENOTFOUND: 'connect',
  EAI_AGAIN: 'connect',
  UND_ERR_CONNECT_TIMEOUT: 'timeout_connect',
  UND_ERR_HEADERS_TIMEOUT: 'timeout_first_byte',
  UND_ERR_BODY_TIMEOUT: 'timeout_body',
  ETIMEDOUT: 'timeout',
  TIMEOUT: 'timeout',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  UND_ERR_SOCKET: 'reset',
  EPROTO: 'protocol',
  CERT_HAS_EXPIRED: 'auth',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'auth',
  SELF_SIGNED_CERT_IN_CHAIN: 'auth',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'auth',
  ERR_TLS_CERT_ALTNAME_INVALID: 'auth',
  ENOSPC: 'disk_full',
  EDQUOT: 'disk_full',
  EIO: 'disk_error',
  EROFS: 'disk_error',
  EACCES: 'disk_error',
  ENOENT: 'missing',
}

/** Index into `dependencyReasons`. */
export function dependencyReason(reason: DependencyReason): number {
  return dependencyReasons.indexOf(reason)
}

/** Index of the reason that an error's code (or that of its cause) stands for; `other` for the rest. */
export function dependencyReasonOf(error: unknown): number {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 4; at = at.cause, depth += 1) {
    const code = 'code' in at && typeof at.code === 'string' ? at.code : ''
    const reason = reasonOfCode[code]
    if (reason !== undefined) return dependencyReason(reason)
    // Redis says it in the first word of the message.
    if (/^(NOAUTH|WRONGPASS|NOPERM)\b/.test(at.message)) return dependencyReason('auth')
    if (at instanceof AggregateError && at.cause === undefined) return dependencyReasonOf(at.errors[0])
  }
  return dependencyReason('other')
}
