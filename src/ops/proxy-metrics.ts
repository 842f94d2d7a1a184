/** The metrics that proxy threads count: requests of clients and requests to upstreams. */
import { refusalReasons, unrecordedReasons } from './counter-layout.ts'
import { bucketBoundsSeconds, type CounterTotals, type Sample } from './counter-totals.ts'
import type { MetricDefinition } from './metric-registry.ts'

const one = (value: number): Sample[] => [{ labels: {}, value }]

export function proxyMetrics(totals: () => CounterTotals): MetricDefinition[] {
  return [
    {
      name: 'waybill_proxy_requests_total',
      type: 'counter',
      help: 'Requests answered, by class, where the answer came from, and status.',
      labelNames: ['class', 'outcome', 'code'],
      collect: () => totals().requests(),
    },
    {
      name: 'waybill_proxy_request_duration_seconds',
      type: 'histogram',
      help: 'Time from the head of a request to the end of its answer, in seconds.',
      labelNames: ['class', 'outcome'],
      bounds: bucketBoundsSeconds,
      collect: () => totals().duration(),
    },
    {
      name: 'waybill_proxy_first_byte_seconds',
      type: 'histogram',
      help: 'Time from the head of a request to the first byte of its answer, in seconds.',
      labelNames: ['class', 'outcome'],
      bounds: bucketBoundsSeconds,
      collect: () => totals().firstByte(),
    },
    {
      name: 'waybill_proxy_downstream_bytes_total',
      type: 'counter',
      help: 'Body bytes put on the sockets of clients.',
      collect: () => one(totals().scalar('downstreamBytes')),
    },
    {
      name: 'waybill_proxy_downstream_aborts_total',
      type: 'counter',
      help: 'Answers that did not reach the client whole.',
      collect: () => one(totals().scalar('downstreamAborts')),
    },
    {
      name: 'waybill_proxy_connections',
      type: 'gauge',
      help: 'Open connections of clients.',
      collect: () => one(totals().scalar('connections')),
    },
    {
      name: 'waybill_proxy_untrusted_forwarded_total',
      type: 'counter',
      help: 'Requests whose X-Forwarded-For was ignored: it came from a private, untrusted address.',
      collect: () => one(totals().scalar('untrustedForwarded')),
    },
    {
      name: 'waybill_proxy_refused_total',
      type: 'counter',
      help: 'Connections and requests that a limit, the PROXY protocol or `block` turned away, by reason.',
      labelNames: ['reason'],
      collect: () => refusalReasons.map((reason) => ({ labels: { reason }, value: totals().scalar(reason) })),
    },
    {
      name: 'waybill_proxy_unrecorded_requests_total',
      type: 'counter',
      help: 'Requests that were served and left no record, by reason: wishes of clients, names that are not recorded.',
      labelNames: ['reason'],
      collect: () =>
        unrecordedReasons.map((reason) => ({ labels: { reason }, value: totals().scalar(reason) })),
    },
  ]
}

export function upstreamMetrics(totals: () => CounterTotals): MetricDefinition[] {
  return [
    {
      name: 'waybill_upstream_requests_total',
      type: 'counter',
      help: 'Answers of upstreams, by status.',
      labelNames: ['upstream', 'code'],
      collect: () => totals().upstreamRequests(),
    },
    {
      name: 'waybill_upstream_errors_total',
      type: 'counter',
      help: 'Requests to upstreams that failed, by reason.',
      labelNames: ['upstream', 'reason'],
      collect: () => totals().upstreamErrors(),
    },
    {
      name: 'waybill_upstream_duration_seconds',
      type: 'histogram',
      help: 'Time from a request to an upstream to the end of its answer, in seconds.',
      labelNames: ['upstream'],
      bounds: bucketBoundsSeconds,
      collect: () => totals().upstreamDuration(),
    },
    {
      name: 'waybill_upstream_ratelimit_remaining',
      type: 'gauge',
      help: "Pulls left in the upstream's rate limit, as it last said; absent until it says so.",
      labelNames: ['upstream'],
      collect: () => totals().ratelimitRemaining(),
    },
  ]
}
