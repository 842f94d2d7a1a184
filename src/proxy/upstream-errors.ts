/**
 * Why a request to an upstream failed: undici's errors as the reasons that metrics count.
 */
import type { UpstreamErrorReason } from './types.ts'

const reasonByCode: Record<string, UpstreamErrorReason> = {
  UND_ERR_CONNECT_TIMEOUT: 'timeout_connect',
  ETIMEDOUT: 'timeout_connect',
  UND_ERR_HEADERS_TIMEOUT: 'timeout_first_byte',
  UND_ERR_BODY_TIMEOUT: 'timeout_body',
  UND_ERR_SOCKET: 'reset',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  ECONNREFUSED: 'connect',
  ENOTFOUND: 'connect',
  EAI_AGAIN: 'connect',
  EHOSTUNREACH: 'connect',
  ENETUNREACH: 'connect',
  EPRIVATE: 'connect',
  UND_ERR_HEADERS_OVERFLOW: 'protocol',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'protocol',
}

export function reasonOf(error: Error): UpstreamErrorReason {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  const known = reasonByCode[code]
  if (known) return known
  if (code.startsWith('HPE_')) return 'protocol'
  if (code.startsWith('CERT_') || code.startsWith('ERR_TLS_') || /CERT|SELF_SIGNED|UNABLE_TO/.test(code)) {
    return 'connect'
  }
  return 'other'
}
