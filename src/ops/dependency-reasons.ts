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

/** Failures that our own Kafka publisher names by a word (`reason`). */
const reasonOfWord: Readonly<Record<string, DependencyReason>> = {
  unreachable: 'connect',
  timeout: 'timeout',
  authentication: 'auth',
  authorization: 'auth',
  unknown_topic: 'missing',
  topic_creation: 'missing',
  busy: 'overflow',
}

/**
 * Errors without a code of their own are known by their words: those of ioredis and of Redis' replies, and of
 * SQLite (https://www.sqlite.org/rescode.html, the texts of sqlite3_errstr), which lose theirs between threads.
 */
const reasonOfMessage: readonly [RegExp, DependencyReason][] = [
  [/^(NOAUTH|WRONGPASS|NOPERM)\b/, 'auth'],
  [/^Command timed out/, 'timeout'],
  [/enableOfflineQueue|^Connection is closed|^Reached the max retries/, 'connect'],
  [/database or disk is full/, 'disk_full'],
  [/disk I\/O error|readonly database|unable to open database/, 'disk_error'],
]

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
    const word = 'reason' in at && typeof at.reason === 'string' ? reasonOfWord[at.reason] : undefined
    if (word !== undefined) return dependencyReason(word)
    const { message } = at
    const known = reasonOfMessage.find(([pattern]) => pattern.test(message))
    if (known !== undefined) return dependencyReason(known[1])
    if (at instanceof AggregateError && at.cause === undefined) return dependencyReasonOf(at.errors[0])
  }
  return dependencyReason('other')
}
