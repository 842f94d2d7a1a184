/**
 * Why a request to an upstream failed: the system's errors as the reasons that metrics count.
 */
import type { UpstreamErrorReason } from './types.ts'

const reasonByCode: Record<string, UpstreamErrorReason> = {
  ETIMEDOUT: 'timeout_connect',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  ECONNREFUSED: 'connect',
  ENOTFOUND: 'connect',
  EAI_AGAIN: 'connect',
  EHOSTUNREACH: 'connect',
  ENETUNREACH: 'connect',
  EPRIVATE: 'connect',
}

export function reasonOf(error: Error): UpstreamErrorReason {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  const known = reasonByCode[code]
  if (known) return known
  if (code.startsWith('CERT_') || code.startsWith('ERR_TLS_') || /CERT|SELF_SIGNED|UNABLE_TO/.test(code)) {
    return 'connect'
  }
  return 'other'
}
