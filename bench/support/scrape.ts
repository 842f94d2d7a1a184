/** Reads `/metrics` of a started Waybill, and waits until its records have been delivered. */
import { setTimeout as delay } from 'node:timers/promises'

export type Metrics = {
  /** Sum of all series of a metric that carry these labels; 0 without any. */
  sum(name: string, labels?: Readonly<Record<string, string>>): number
}

type Series = { name: string; labels: string; value: number }

export async function scrape(admin: string): Promise<Metrics> {
  const response = await fetch(`${admin}/metrics`, { signal: AbortSignal.timeout(10_000) })
  if (response.status !== 200) throw new Error(`/metrics answered ${response.status}`)
  const series = (await response.text()).split('\n').flatMap((line): Series[] => {
    const match = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/i.exec(line)
    return match ? [{ name: match[1] as string, labels: match[2] ?? '', value: Number(match[3]) }] : []
  })
  return {
    sum(name, labels = {}) {
      const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
      return series
        .filter((one) => one.name === name && wanted.every((part) => one.labels.split(',').includes(part)))
        .reduce((sum, { value }) => sum + value, 0)
    },
  }
}

/** Whether rings and log were empty before `timeoutMs` had passed. */
export async function waitUntilDelivered(admin: string, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  let quiet = 0
  while (performance.now() < deadline) {
    const metrics = await scrape(admin)
    const left = metrics.sum('waybill_ring_used_ratio') + metrics.sum('waybill_log_undelivered_records')
    // Twice in a row: between ring and log a batch is in neither.
    quiet = left === 0 ? quiet + 1 : 0
    if (quiet === 2) return true
    await delay(100)
  }
  return false
}
