/**
 * The start of a listing: a point in time, or how long ago.
 */

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** `500ms`, `2s`, `30m`, `24h`, `7d` before `nowMs`, or RFC 3339 (a date alone: midnight UTC); null: neither. */
export function parseSince(text: string, nowMs: number): number | null {
  const ago = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text)
  if (ago !== null) return nowMs - Number(ago[1]) * unitMs[ago[2] as keyof typeof unitMs]
  if (!/^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/i.test(text)) return null
  const time = Date.parse(text.replace(' ', 'T'))
  return Number.isNaN(time) ? null : time
}
