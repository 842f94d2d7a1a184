/**
 * When a pull takes no more facts. Joining asks with the time of a fact, finishing with the watermark: since no fact
 * before the watermark is missing, a pull that is finished early gets the same facts as one that is finished late.
 */
import { isComplete } from './delivery.ts'
import { isHeadOnly, isTokenPull, type Pull } from './pull.ts'

/** A token is taken for one pull: when all of it came, nothing more will (DESIGN 2). */
const settledMs = 5_000

/** Idle time of checks (CONTRACT 2, `--session-idle`). */
const headOnlyIdleMs = 10_000

export function idleOf(pull: Pull, idleMs: number): number {
  return isHeadOnly(pull) ? Math.min(headOnlyIdleMs, idleMs) : idleMs
}

export function isClosedAt(pull: Pull, timeMs: number, idleMs: number): boolean {
  if (pull.endMs + idleOf(pull, idleMs) < timeMs) return true
  if (pull.endMs + settledMs > timeMs || !isTokenPull(pull)) return false
  // A heartbeat is a transfer whose end is still to come, however complete the rest is.
  return pull.heartbeats === 0 && isComplete(pull)
}
