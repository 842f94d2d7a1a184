/** Adds up the counters of all proxy threads and gives them back as labelled samples. */
import { classes, outcomes } from '../record/record.ts'
import {
  bucketBoundsMs,
  codeLabels,
  histogramSlots,
  proxyCountersBytes,
  scalars,
  slots,
  sumSlot,
  upstreamErrorReasons,
  upstreamSlots,
} from './counter-layout.ts'

export type Labels = Record<string, string>
export type Sample = { labels: Labels; value: number }
/** `counts`: observations in each bucket, not cumulative, the last one above every bound. */
export type HistogramSample = { labels: Labels; counts: readonly number[]; sum: number }

export type CounterTotals = {
  /** Only what was counted: 7 classes × 5 outcomes × all codes would be a thousand lines of zeros. */
  requests(): Sample[]
  duration(): HistogramSample[]
  firstByte(): HistogramSample[]
  scalar(name: (typeof scalars)[number]): number
  upstreamRequests(): Sample[]
  /** Every upstream and reason, zeros too: an error must show from its first. */
  upstreamErrors(): Sample[]
  upstreamDuration(): HistogramSample[]
  /** The newest word of any thread; upstreams that told nothing are left out. */
  ratelimitRemaining(): Sample[]
}

export const bucketBoundsSeconds: readonly number[] = bucketBoundsMs.map((bound) => bound / 1000)

/** `memories`: one of each proxy thread; `upstreams`: host label of each index, where equal hosts are one. */
export function sumCounters(
  memories: readonly SharedArrayBuffer[],
  upstreams: readonly string[],
): CounterTotals {
  const hosts = [...new Set(upstreams)]
  const sums = new Float64Array(proxyCountersBytes(upstreams.length) / 8)
  const ratelimits = new Map<string, { remaining: number; atMs: number }>()
  for (const memory of memories) {
    // Plain loads: see createProxyCounters for what they may see.
    const view = new Float64Array(memory)
    for (let slot = 0; slot < slots.upstreams; slot += 1) sums[slot]! += view[slot] as number
    for (const [index, host] of upstreams.entries()) {
      const from = slots.upstreams + index * upstreamSlots.total
      const to = slots.upstreams + hosts.indexOf(host) * upstreamSlots.total
      for (let slot = 0; slot < upstreamSlots.ratelimitRemaining; slot += 1) {
        sums[to + slot]! += view[from + slot] as number
      }
      const atMs = view[from + upstreamSlots.ratelimitAtMs] as number
      if (atMs > (ratelimits.get(host)?.atMs ?? 0)) {
        ratelimits.set(host, { remaining: view[from + upstreamSlots.ratelimitRemaining] as number, atMs })
      }
    }
  }

  const histogram = (start: number, labels: Labels): HistogramSample => ({
    labels,
    counts: Array.from(sums.subarray(start, start + sumSlot)),
    sum: (sums[start + sumSlot] as number) / 1000,
  })
  const pairHistograms = (first: number): HistogramSample[] =>
    classes
      .flatMap((requestClass, row) =>
        outcomes.map((outcome, column) =>
          histogram(first + (row * outcomes.length + column) * histogramSlots, {
            class: requestClass,
            outcome,
          }),
        ),
      )
      .filter(wasObserved)
  const ofUpstreams = (first: number, label: string, values: readonly string[]): Sample[] =>
    hosts.flatMap((upstream, row) =>
      values.map((value, column) => ({
        labels: { upstream, [label]: value },
        value: sums[slots.upstreams + row * upstreamSlots.total + first + column] as number,
      })),
    )

  return {
    requests: () =>
      classes
        .flatMap((requestClass, row) =>
          outcomes.flatMap((outcome, column) =>
            codeLabels.map((code, index) => ({
              labels: { class: requestClass, outcome, code },
              value: sums[
                slots.requests + (row * outcomes.length + column) * codeLabels.length + index
              ] as number,
            })),
          ),
        )
        .filter((sample) => sample.value > 0),
    duration: () => pairHistograms(slots.duration),
    firstByte: () => pairHistograms(slots.firstByte),
    scalar: (name) => sums[slots.scalars + scalars.indexOf(name)] as number,
    upstreamRequests: () =>
      ofUpstreams(upstreamSlots.requests, 'code', codeLabels).filter((sample) => sample.value > 0),
    upstreamErrors: () => ofUpstreams(upstreamSlots.errors, 'reason', upstreamErrorReasons),
    upstreamDuration: () =>
      hosts
        .map((upstream, row) =>
          histogram(slots.upstreams + row * upstreamSlots.total + upstreamSlots.duration, { upstream }),
        )
        .filter(wasObserved),
    ratelimitRemaining: () =>
      [...ratelimits].map(([upstream, { remaining }]) => ({ labels: { upstream }, value: remaining })),
  }
}

function wasObserved(sample: HistogramSample): boolean {
  return sample.counts.some((count) => count > 0)
}
