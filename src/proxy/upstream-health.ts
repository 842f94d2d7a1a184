/**
 * What one upstream was like lately: whether to ask it at all, or its fallback at once, and until when it wants
 * no more pulls.
 */
import type { UpstreamErrorReason } from './types.ts'

export type UpstreamHealth = {
  /** Whether to ask it though there is a fallback; true for one probe at a time while it is down. */
  tryPass(nowMs: number): boolean
  /** It answered, and with no error of its own. */
  succeeded(): void
  failed(reason: UpstreamErrorReason, nowMs: number): void
  /** Why it failed last. */
  lastReason(): UpstreamErrorReason
  /** It answered 429 to a request that it counts. `retryAfter`: its header, seconds or a date (RFC 9110 10.2.3). */
  holdBack(retryAfter: string, nowMs: number): void
  /** What is left of the wait that it asked for, in ms; 0: it may be asked. */
  heldBackMs(nowMs: number): number
}

// A fallback serves as well: a few failures in a row are enough, and the first is tried again soon.
const threshold = 3
const firstPauseMs = 1000
const longestPauseMs = 30_000
// A probe whose client has left says nothing: after this another may go.
const probeMs = 10_000
// Limits slide: whoever says "in six hours" may serve in a minute, and one request a minute costs it nothing.
const longestHoldMs = 60_000

export function createUpstreamHealth(): UpstreamHealth {
  let failures = 0
  let pauses = 0
  let retryAtMs = 0
  let isProbing = false
  let reason: UpstreamErrorReason = 'other'
  let heldUntilMs = 0
  return {
    tryPass(nowMs) {
      if (failures < threshold) return true
      if (nowMs < retryAtMs) return false
      isProbing = true
      retryAtMs = nowMs + probeMs
      return true
    },
    succeeded() {
      failures = 0
      pauses = 0
      isProbing = false
    },
    failed(why, nowMs) {
      reason = why
      failures++
      // What was asked before it counted as down tells nothing new, and must not put the next probe off.
      if (failures !== threshold && !isProbing) return
      isProbing = false
      retryAtMs = nowMs + Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(pauses, 10))
      pauses++
    },
    lastReason: () => reason,
    holdBack(retryAfter, nowMs) {
      heldUntilMs = nowMs + Math.min(longestHoldMs, waitOf(retryAfter))
    },
    heldBackMs: (nowMs) => Math.max(0, heldUntilMs - nowMs),
  }
}

/** In ms; 0 for what cannot be read. */
function waitOf(retryAfter: string): number {
  const text = retryAfter.trim()
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  const at = text === '' ? Number.NaN : Date.parse(text)
  return Number.isNaN(at) ? 0 : Math.max(0, at - Date.now())
}
