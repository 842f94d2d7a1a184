/** What an operator sees of a Waybill from outside: its metrics, its readiness, its log. */
import type { Waybill } from './waybill.ts'

export type Readiness = {
  code: number
  status: string
  dependencies: Record<string, { state: string; since: string; why: string | null }>
}

export type LogLine = { level: string; msg: string; thread: string } & Record<string, unknown>

const timeoutMs = 5000

/** Sum of all samples of a metric whose labels include the given ones; null when there is none. */
export async function readMetric(
  waybill: Pick<Waybill, 'admin'>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<number | null> {
  const response = await fetch(`${waybill.admin}/metrics`, { signal: AbortSignal.timeout(timeoutMs) })
  let sum: number | null = null
  for (const line of (await response.text()).split('\n')) {
    const sample = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line)
    if (!sample || sample[1] !== name) continue
    const found = sample[2] ?? ''
    const matches = Object.entries(labels).every(([label, value]) => found.includes(`${label}="${value}"`))
    if (matches) sum = (sum ?? 0) + Number(sample[3])
  }
  return sum
}

export async function readReadiness(waybill: Pick<Waybill, 'admin'>): Promise<Readiness> {
  const response = await fetch(`${waybill.admin}/readyz`, { signal: AbortSignal.timeout(timeoutMs) })
  return { code: response.status, ...((await response.json()) as Omit<Readiness, 'code'>) }
}

/** Lines of the log so far. Throws when stderr holds anything that is no JSON line: a stack trace, say. */
export function readLog(waybill: Pick<Waybill, 'stderr'>): LogLine[] {
  const text = waybill.stderr()
  // The last one may be on its way still.
  const whole = text.slice(0, text.lastIndexOf('\n') + 1)
  return whole
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LogLine)
}

/** For `onTestFailed`: what the program said of it. */
export function showLog(waybill: Pick<Waybill, 'stderr'>): void {
  process.stderr.write(`${waybill.stderr()}\n`)
}
