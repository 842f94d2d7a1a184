/**
 * What is read of an upstream's answer before anybody else sees it, and the answer that stands for one of many 429.
 */
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

export function tooManyHead(retryAfter: string): Buffer[] {
  const wait = retryAfter === '' ? String(localErrors.tooMany.retryAfter) : retryAfter
  return [
    'Content-Type',
    'application/json',
    'Content-Length',
    String(tooManyBody.length),
    'Retry-After',
    wait,
  ].map((text) => Buffer.from(text, 'latin1'))
}

/** All lines of a header in undici's raw list, joined by commas; '' without one. `name` in lower case. */
export function headerValue(raw: readonly Buffer[], name: string): string {
  const values: string[] = []
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const key = raw[index] as Buffer
    if (key.length === name.length && key.toString('latin1').toLowerCase() === name) {
      values.push((raw[index + 1] as Buffer).toString('latin1'))
    }
  }
  return values.join(', ')
}
