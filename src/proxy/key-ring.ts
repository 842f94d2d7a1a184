/**
 * The keys that sign the front's tokens over time: a new one is known to every node before it signs, and an old one
 * is accepted until the last of its tokens has ended.
 */

export type RingKey = {
  /** 32 bytes in hex. */
  hex: string
  /** Unix ms. */
  signsFromMs: number
}

/** In the order in which they sign. */
export type KeyRing = readonly RingKey[]

export type RotationTimes = {
  /** How long a key signs. */
  rotateMs: number
  /** How long before it signs a key is made: more than any node needs to hear of it, and than clocks differ. */
  leadMs: number
  /** How long after it signed last a key is accepted. */
  acceptMs: number
}

const linePattern = /^([0-9a-f]{64})(?: (\d{1,15}))?$/

export function formatRing(ring: KeyRing): string {
  return ring.map(({ hex, signsFromMs }) => `${hex} ${signsFromMs}\n`).join('')
}

/** A key without a time has always signed. null: anything else than such lines, or none. */
export function parseRing(text: string): KeyRing | null {
  const ring: RingKey[] = []
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    const found = linePattern.exec(line.trim())
    if (!found) return null
    ring.push({ hex: found[1] as string, signsFromMs: Number(found[2] ?? 0) })
  }
  return ring.length > 0 ? ring.sort((a, b) => a.signsFromMs - b.signsFromMs) : null
}

/** The ring as it shall be now: with the next key once its time is near, and without those that are over. */
export function advanceRing(
  ring: KeyRing,
  nowMs: number,
  times: RotationTimes,
  makeKey: () => string,
): KeyRing {
  const newest = ring.at(-1)
  // The very first has nobody to tell.
  if (!newest) return [{ hex: makeKey(), signsFromMs: nowMs }]
  const next = [...acceptedKeys(ring, nowMs, times)]
  const dueMs = newest.signsFromMs + times.rotateMs
  if (dueMs - times.leadMs <= nowMs) {
    next.push({ hex: makeKey(), signsFromMs: Math.max(dueMs, nowMs + times.leadMs) })
  }
  return next
}

/** Without those whose tokens have all ended. */
export function acceptedKeys(ring: KeyRing, nowMs: number, { acceptMs }: RotationTimes): KeyRing {
  return ring.filter((_, index) => {
    const after = ring[index + 1]
    return !after || after.signsFromMs + acceptMs > nowMs
  })
}

/** All keys in hex, that which signs now first. */
export function orderKeys(ring: KeyRing, nowMs: number): string[] {
  const signing = ring.findLast(({ signsFromMs }) => signsFromMs <= nowMs) ?? ring[0]
  const others = ring.filter((key) => key !== signing)
  return [...(signing ? [signing] : []), ...others].map(({ hex }) => hex)
}
