/** Writes times as `Date.toISOString` does, at a fraction of its cost for times of the same second. */

const endings = Array.from({ length: 1000 }, (_, ms) => `${String(ms).padStart(3, '0')}Z`)

/** `timeMs`: Unix ms. Throws a RangeError for what is no time. */
export function createTimeFormatter(): (timeMs: number) => string {
  let known = Number.NaN
  let start = ''

  return (timeMs) => {
    const whole = Math.trunc(timeMs)
    const second = Math.floor(whole / 1000)
    if (second !== known) {
      start = new Date(whole).toISOString().slice(0, -4)
      known = second
    }
    return start + endings[whole - second * 1000]!
  }
}
