/** The one table of metrics that pool workers, the session thread and the main thread count together. */
import { bucketBoundsSeconds } from './counter-totals.ts'

export type SharedMetric = {
  kind: 'counter' | 'gauge' | 'histogram'
  /** With the unit. */
  help: string
  labelNames: readonly string[]
  /** Every combination of label values there is; a last one of `other`s takes those that are none of them. */
  labelValues: readonly (readonly string[])[]
  /** Of a histogram: upper bounds. */
  bounds: readonly number[]
  /** Whole units to which a value is rounded: 1e6 keeps microseconds of a value in seconds. */
  scale: number
}

function counter(help: string, labelNames: readonly string[] = [], labelValues: readonly string[][] = [[]]) {
  return {
    kind: 'counter',
    help,
    labelNames,
    labelValues,
    bounds: [],
    scale: 1,
  } as const satisfies SharedMetric
}
function gauge(help: string) {
  return {
    kind: 'gauge',
    help,
    labelNames: [],
    labelValues: [[]],
    bounds: [],
    scale: 1,
  } as const satisfies SharedMetric
}
function histogram(help: string, bounds: readonly number[], scale: number) {
  return {
    kind: 'histogram',
    help,
    labelNames: [],
    labelValues: [[]],
    bounds,
    scale,
  } as const satisfies SharedMetric
}

const packageEvents = {
  pull: ['full', 'incremental', 'manifest_only', 'interrupted', 'lazy', 'failed'],
  check: ['check', 'failed'],
  check_summary: ['check'],
  verify: ['verify'],
  discovery: ['discovery'],
  other: ['other'],
}
const streams = ['events', 'requests', 'manifests', 'dead-letters']

/** An event waits for its session to fall idle, a minute by default; hours of delay mean that something is down. */
const delayBounds = [1, 5, 15, 30, 60, 90, 120, 180, 300, 600, 1_800, 3_600, 21_600, 86_400]
/** Batches hold one record to some thousands. */
const batchBounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000]
const microseconds = 1e6

export const sharedMetrics = {
  waybill_workers_batch_records: histogram('Records in each batch handed to the pool.', batchBounds, 1),
  waybill_workers_batch_wait_seconds: histogram(
    'Time from cutting a batch to its start on a worker, in seconds.',
    bucketBoundsSeconds,
    microseconds,
  ),
  waybill_workers_batch_duration_seconds: histogram(
    'Time a worker took for a batch until it was safe in the log, in seconds.',
    bucketBoundsSeconds,
    microseconds,
  ),
  waybill_workers_restarts_total: counter('Workers that were replaced after they failed.'),
  waybill_log_dropped_records_total: counter(
    'Records that left the log undelivered, or never got in.',
    ['reason'],
    [['log_full'], ['log_expired'], ['corrupt'], ['other']],
  ),
  waybill_sessions_open: gauge('Sessions that wait for more requests or for their turn.'),
  waybill_sessions_closed_total: counter('Sessions that were summarised and forgotten.'),
  waybill_sessions_late_facts_total: counter('Requests that came after their session had been closed.'),
  waybill_sessions_refused_tags_total: counter(
    'Sightings of tags that came too late, or found no room, to name pulls by digest.',
  ),
  waybill_sessions_missed_checks_total: counter(
    'Checks that no daily summary counts, by reason.',
    ['reason'],
    [['late'], ['full'], ['other']],
  ),
  waybill_events_total: counter(
    'Package events made, by type and kind.',
    ['type', 'kind'],
    Object.entries(packageEvents).flatMap(([type, kinds]) => kinds.map((kind) => [type, kind])),
  ),
  waybill_events_published_total: counter(
    'Messages acknowledged by a sink (repeats included), by stream.',
    ['stream', 'sink'],
    [
      ...streams.flatMap((stream) => [
        [stream, 'kafka'],
        [stream, 'sqlite'],
      ]),
      ['other', 'other'],
    ],
  ),
  waybill_events_delay_seconds: histogram(
    'Time from the end of a pull to the acknowledgement of its package event, in seconds.',
    delayBounds,
    microseconds,
  ),
  waybill_config_reloads_total: counter(
    'Configs that were read again on SIGHUP, by what came of it.',
    ['result'],
    [['ok'], ['refused'], ['failed']],
  ),
  waybill_dead_letters_total: counter(
    'Records set aside because no worker could handle them, by reason.',
    ['reason'],
    [
      ...['enrichment', 'worker_exit', 'out_of_memory', 'timeout'],
      ...['message_too_large', 'invalid_timestamp', 'invalid_record', 'other'],
    ].map((reason) => [reason]),
  ),
} as const satisfies Record<`waybill_${string}`, SharedMetric>

export type SharedMetricName = keyof typeof sharedMetrics
