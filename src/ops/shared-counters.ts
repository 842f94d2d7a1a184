/** Counters that several threads add to, once a batch; the hot path of the proxy has its own (`counters.ts`). */
import type { HistogramSample, Sample } from './counter-totals.ts'
import type { SharedMetric } from './shared-metrics.ts'

export type SharedCounters<Name extends string> = {
  /** To be handed to other threads, which attach with `createSharedCounters(table, sab)`. */
  sab: SharedArrayBuffer
  /** `labels` in the order of the table's label names; unknown values count as `other` where the table has it. */
  add(name: Name, labels?: readonly string[], count?: number): void
  /** Of a gauge. */
  set(name: Name, value: number): void
  /** Of a histogram, in the unit of its name. */
  observe(name: Name, value: number): void
  /** Every sample of a counter or gauge, zeros included. */
  samples(name: Name): Sample[]
  /** The histogram's one sample. */
  histogram(name: Name): HistogramSample
}

type Place = { metric: SharedMetric; start: number; slotOf: Map<string, number> }

// Label values are identifiers of ours, so a space cannot be part of one.
const keyOf = (labels: readonly string[]): string => labels.join(' ')

/**
 * One slot (bigint64) for each combination of labels that the table declares; a histogram has one for each
 * bucket, one above the last, and one for the sum in 1/scale units.
 */
export function createSharedCounters<const Name extends string>(
  table: Readonly<Record<Name, SharedMetric>>,
  sab?: SharedArrayBuffer,
): SharedCounters<Name> {
  const places = new Map<Name, Place>()
  let slots = 0
  for (const [name, metric] of Object.entries(table) as [Name, SharedMetric][]) {
    const slotOf = new Map(metric.labelValues.map((labels, index) => [keyOf(labels), index]))
    places.set(name, { metric, start: slots, slotOf })
    slots += metric.kind === 'histogram' ? metric.bounds.length + 2 : metric.labelValues.length
  }
  const memory = sab ?? new SharedArrayBuffer(slots * 8)
  if (memory.byteLength !== slots * 8) throw new RangeError(`the table needs ${slots * 8} bytes`)
  const view = new BigInt64Array(memory)

  const place = (name: Name, kind: SharedMetric['kind']): Place => {
    const found = places.get(name)
    if (found?.metric.kind !== kind) throw new TypeError(`${name} is no ${kind}`)
    return found
  }
  const read = (slot: number): number =>
    // Acquires nothing else: every slot stands for itself. Atomic, so that 8 bytes are never read in halves.
    Number(Atomics.load(view, slot))

  return {
    sab: memory,
    add(name, labels = [], count = 1) {
      const { start, slotOf, metric } = place(name, 'counter')
      const slot = slotOf.get(keyOf(labels)) ?? slotOf.get(keyOf(metric.labelNames.map(() => 'other')))
      if (slot === undefined) throw new TypeError(`${name} has no label values ${keyOf(labels)}`)
      // Publishes nothing but the count; atomic because several threads add to the same slot.
      Atomics.add(view, start + slot, BigInt(count))
    },
    set(name, value) {
      // Publishes nothing but the value; the last writer wins, which is what a gauge means.
      Atomics.store(view, place(name, 'gauge').start, BigInt(Math.round(value)))
    },
    observe(name, value) {
      const { start, metric } = place(name, 'histogram')
      const bucket = metric.bounds.findIndex((bound) => value <= bound)
      const above = metric.bounds.length
      // Two adds that publish nothing but themselves: a reader between them sees a sum that lags by one observation.
      Atomics.add(view, start + (bucket < 0 ? above : bucket), 1n)
      Atomics.add(view, start + above + 1, BigInt(Math.round(value * metric.scale)))
    },
    samples(name) {
      const found = places.get(name)
      if (found === undefined || found.metric.kind === 'histogram')
        throw new TypeError(`${name} has no samples`)
      const { metric, start } = found
      return metric.labelValues.map((values, index) => ({
        labels: Object.fromEntries(metric.labelNames.map((label, at) => [label, values[at] as string])),
        value: read(start + index),
      }))
    },
    histogram(name) {
      const { start, metric } = place(name, 'histogram')
      const above = metric.bounds.length
      return {
        labels: {},
        counts: Array.from({ length: above + 1 }, (_, bucket) => read(start + bucket)),
        sum: read(start + above + 1) / metric.scale,
      }
    },
  }
}
