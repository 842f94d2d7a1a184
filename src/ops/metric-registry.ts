/** Puts metrics whose numbers are counted elsewhere (shared memory, other parts) into a prom-client registry. */
import { Counter, Gauge, type Metric, type Registry } from 'prom-client'
import type { HistogramSample, Sample } from './counter-totals.ts'

type Common = { name: `waybill_${string}`; help: string; labelNames?: readonly string[] }

type HistogramDefinition = Common & {
  type: 'histogram'
  bounds: readonly number[]
  collect: () => readonly HistogramSample[]
}

export type MetricDefinition =
  | (Common & { type: 'counter' | 'gauge'; collect: () => readonly Sample[] })
  | HistogramDefinition

/** `collect` is called at each scrape and says the whole of what there is. */
export function addMetric(registry: Registry, definition: MetricDefinition): void {
  if (definition.type === 'histogram') {
    registry.registerMetric(sharedHistogram(definition))
    return
  }
  const { name, help, collect } = definition
  const common = { name, help, labelNames: [...(definition.labelNames ?? [])], registers: [registry] }
  if (definition.type === 'gauge') {
    new Gauge({
      ...common,
      collect() {
        // Last scrape's series go: what is no longer told of (a thread, a database) is no longer exported.
        this.reset()
        for (const sample of collect()) this.set(sample.labels, sample.value)
      },
    })
    return
  }
  new Counter({
    ...common,
    collect() {
      this.reset()
      for (const sample of collect()) this.inc(sample.labels, sample.value)
    },
  })
}

/**
 * prom-client's own Histogram counts one observation at a time and takes no finished buckets. A registry asks
 * a metric for no more than its name and `get()`, so this is one that gives them.
 */
function sharedHistogram(definition: HistogramDefinition): Metric {
  const { name, help, bounds } = definition
  const get = async () => ({
    name,
    help,
    type: 'histogram',
    aggregator: 'sum',
    values: definition.collect().flatMap((sample) => valuesOf(name, bounds, sample)),
  })
  return { name, help, get, reset: () => undefined } as unknown as Metric
}

function valuesOf(name: string, bounds: readonly number[], sample: HistogramSample) {
  let total = 0
  const buckets = sample.counts.map((count, index) => {
    total += count
    const le = bounds[index] ?? '+Inf'
    return { metricName: `${name}_bucket`, labels: { ...sample.labels, le }, value: total }
  })
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels: sample.labels, value: sample.sum },
    // Of the buckets, not a count of its own: the two can then never disagree.
    { metricName: `${name}_count`, labels: sample.labels, value: total },
  ]
}
