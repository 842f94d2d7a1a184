/** Every metric that Waybill exports, under the names of its contract, read at scrape from those who count. */
import { collectDefaultMetrics, Registry } from 'prom-client'
import { type CounterTotals, type Sample, sumCounters } from './counter-totals.ts'
import type { DependencyReport } from './dependencies.ts'
import type { ThreadLag } from './event-loop-watch.ts'
import { addMetric, type MetricDefinition } from './metric-registry.ts'
import { proxyMetrics, upstreamMetrics } from './proxy-metrics.ts'
import type { SharedCounters } from './shared-counters.ts'
import { type SharedMetricName, sharedMetrics } from './shared-metrics.ts'

/** One ring, as the dispatcher sees it. */
export type RingState = {
  /** Written since the start. */
  records: number
  /** By reason (a bounded list of the ring's). */
  dropped: Readonly<Record<string, number>>
  /** 0 to 1. */
  usedRatio: number
  /** Age of the oldest record that is not yet safe; null: there is none. */
  oldestMs: number | null
}

export type LogState = {
  bytes: number
  targets: readonly {
    target: string
    undelivered: number
    /** Age of the oldest undelivered record; null: there is none. */
    oldestMs: number | null
  }[]
}

export type MetricSources = {
  /** Counter memories of the proxy threads (`createCountersMemory`). */
  proxies: readonly SharedArrayBuffer[]
  /** Host label of each upstream there ever was, by index. */
  upstreams: () => readonly string[]
  shared: SharedCounters<SharedMetricName>
  rings: () => readonly RingState[]
  log: () => LogState
  workers: () => { count: number; busy: number }
  dependencies: { used(): readonly string[]; report(name: string): DependencyReport }
  lag: () => readonly ThreadLag[]
  build: { version: string; node: string }
  /** Build date (Unix ms) of each geo database in use. */
  geo?: () => readonly { database: string; builtAtMs: number }[]
  /** End of validity (Unix ms) of each certificate in use. */
  tls?: () => readonly { host: string; expiresAtMs: number }[]
}

export type Metrics = {
  contentType: string
  render(): Promise<string>
}

export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry()
  // Summed once a scrape: several metrics read from it.
  let totals = sumCounters(sources.proxies, sources.upstreams())
  for (const definition of defineMetrics(sources, () => totals)) addMetric(registry, definition)
  collectDefaultMetrics({ register: registry })
  return {
    contentType: registry.contentType,
    render() {
      totals = sumCounters(sources.proxies, sources.upstreams())
      return registry.metrics()
    },
  }
}

/** Every metric of ours; also the source of the table in the docs. */
export function defineMetrics(sources: MetricSources, totals: () => CounterTotals): MetricDefinition[] {
  return [
    ...proxyMetrics(totals),
    ...upstreamMetrics(totals),
    ...pipelineMetrics(sources),
    ...sharedDefinitions(sources.shared),
    ...stateMetrics(sources),
  ]
}

const one = (value: number): Sample[] => [{ labels: {}, value }]

function pipelineMetrics({ rings, log, workers }: MetricSources): MetricDefinition[] {
  return [
    {
      name: 'waybill_ring_records_total',
      type: 'counter',
      help: 'Records written into the rings.',
      collect: () => one(rings().reduce((sum, ring) => sum + ring.records, 0)),
    },
    {
      name: 'waybill_ring_dropped_records_total',
      type: 'counter',
      help: 'Records that found no room in their ring, by reason.',
      labelNames: ['reason'],
      // Rings of several threads have the same reasons; prom-client adds up equal labels of a counter.
      collect: () =>
        rings().flatMap((ring) =>
          Object.entries(ring.dropped).map(([reason, value]) => ({ labels: { reason }, value })),
        ),
    },
    {
      name: 'waybill_ring_used_ratio',
      type: 'gauge',
      help: 'Part of each ring that holds records not yet safe, 0 to 1.',
      labelNames: ['ring'],
      collect: () =>
        rings().map((ring, index) => ({
          labels: { ring: String(index) },
          value: ring.usedRatio,
        })),
    },
    {
      name: 'waybill_ring_oldest_seconds',
      type: 'gauge',
      help: 'Age of the oldest record in any ring, in seconds; 0 without one.',
      collect: () => one(Math.max(0, ...rings().map((ring) => ring.oldestMs ?? 0)) / 1000),
    },
    {
      name: 'waybill_workers_count',
      type: 'gauge',
      help: 'Workers of the pool.',
      collect: () => one(workers().count),
    },
    {
      name: 'waybill_workers_busy',
      type: 'gauge',
      help: 'Workers that handle a batch now.',
      collect: () => one(workers().busy),
    },
    {
      name: 'waybill_log_bytes',
      type: 'gauge',
      help: 'Size of the log on disk, in bytes.',
      collect: () => one(log().bytes),
    },
    {
      name: 'waybill_log_undelivered_records',
      type: 'gauge',
      help: 'Records in the log that a target has not acknowledged.',
      labelNames: ['target'],
      collect: () => log().targets.map((at) => ({ labels: { target: at.target }, value: at.undelivered })),
    },
    {
      name: 'waybill_log_oldest_seconds',
      type: 'gauge',
      help: 'Age of the oldest record that a target has not acknowledged, in seconds; 0 without one.',
      labelNames: ['target'],
      collect: () =>
        log().targets.map((at) => ({ labels: { target: at.target }, value: (at.oldestMs ?? 0) / 1000 })),
    },
  ]
}

function sharedDefinitions(shared: SharedCounters<SharedMetricName>): MetricDefinition[] {
  return (Object.keys(sharedMetrics) as SharedMetricName[]).map((name): MetricDefinition => {
    const { kind, help, labelNames, bounds } = sharedMetrics[name]
    return kind === 'histogram'
      ? { name, type: kind, help, bounds, collect: () => [shared.histogram(name)] }
      : { name, type: kind, help, labelNames, collect: () => shared.samples(name) }
  })
}

function stateMetrics({ dependencies, lag, build, geo, tls }: MetricSources): MetricDefinition[] {
  const metrics: MetricDefinition[] = [
    {
      name: 'waybill_dependency_up',
      type: 'gauge',
      help: '1 while the dependency is used, 0 while it is down and only probed.',
      labelNames: ['name'],
      collect: () =>
        dependencies.used().map((name) => ({
          labels: { name },
          value: dependencies.report(name).state === 'down' ? 0 : 1,
        })),
    },
    {
      name: 'waybill_eventloop_lag_seconds',
      type: 'gauge',
      help: "Longest delay of each thread's event loop in its last 5 s, in seconds.",
      labelNames: ['thread'],
      collect: () => lag().map(({ thread, lagSeconds }) => ({ labels: { thread }, value: lagSeconds })),
    },
    {
      name: 'waybill_build_info',
      type: 'gauge',
      help: 'Always 1; the versions of Waybill and of Node.js are its labels.',
      labelNames: ['version', 'node'],
      collect: () => [{ labels: build, value: 1 }],
    },
  ]
  if (geo !== undefined) {
    metrics.push({
      name: 'waybill_geo_age_seconds',
      type: 'gauge',
      help: 'Time since each geo database was built, in seconds.',
      labelNames: ['database'],
      collect: () =>
        geo().map(({ database, builtAtMs }) => ({
          labels: { database },
          value: (Date.now() - builtAtMs) / 1000,
        })),
    })
  }
  if (tls !== undefined) {
    metrics.push({
      name: 'waybill_tls_certificate_expiry_seconds',
      type: 'gauge',
      help: 'Time until each certificate of ours ends, in seconds; negative after its end.',
      labelNames: ['host'],
      collect: () =>
        tls().map(({ host, expiresAtMs }) => ({
          labels: { host },
          value: (expiresAtMs - Date.now()) / 1000,
        })),
    })
  }
  return metrics
}
