/** What a benchmark says, and how it is printed. */

export type Ratio = { median: number; min: number; max: number }

export type Line = {
  name: string
  value: number
  unit: string
  /** To the rival of the same run; of each pair of rounds, so that what slows both cancels out. */
  ratio?: Ratio
  /** What the ratio, or without one the value, shall not exceed. */
  aim?: number
  note?: string
}

export type Report = (line: Line) => void

export type BenchOptions = {
  /** Pairs of rounds in a comparison. */
  rounds: number
  /** Length of one round. */
  roundMs: number
}

/** What each file of this folder exports as `run`; throws on a wrong answer, never for a time. */
export type Bench = (report: Report, options: BenchOptions) => Promise<void>

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

export function ratioOf(values: readonly number[]): Ratio {
  return { median: medianOf(values), min: Math.min(...values), max: Math.max(...values) }
}

export const tableHead = '| name | value | unit | ratio (min–max) | aim | note |\n|---|--:|---|---|---|---|'

export function tableRow({ name, value, unit, ratio, aim, note }: Line): string {
  const spread = ratio ? `${digits(ratio.median)} (${digits(ratio.min)}–${digits(ratio.max)})` : ''
  return `| ${name} | ${digits(value)} | ${unit} | ${spread} | ${aim === undefined ? '' : `≤ ${aim}`} | ${note ?? ''} |`
}

/** Three significant digits: more would be noise. */
function digits(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  const decimals = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toFixed(Math.min(decimals, 6))
}
