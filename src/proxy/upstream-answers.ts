/**
 * What is read of an upstream's answer before anybody else sees it, and the answer that stands for one of many 429.
 */
import { type AnswerHead, headOf } from './answer-head.ts'
import type { Ask } from './ask.ts'
import { localErrors } from './errors.ts'

/**
 * Whether the other upstream should be asked, or told of: an error of its own and a limit are failures, a 404 of
 * the first is an answer. A fallback that does not know, or must not tell, says nothing of the first.
 */
export function isUseless(status: number, ask: Ask): boolean {
  if (status >= 500 || status === 429) return ask.fallback !== null || ask.isFallback
  return ask.isFallback && (status === 401 || status === 403 || status === 404)
}

export const tooManyBody = localErrors.tooMany.body

export function tooManyHead(retryAfter: string): AnswerHead {
  const wait = retryAfter === '' ? String(localErrors.tooMany.retryAfter) : retryAfter
  const lines = [
    'Content-Type: application/json',
    `Content-Length: ${tooManyBody.length}`,
    `Retry-After: ${wait}`,
  ]
  return headOf(429, lines.join('\r\n'))
}
