import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createCountersMemory, createProxyCounters } from './counters.ts'
import { createDependencyStates } from './dependencies.ts'
import { createMetrics } from './metrics.ts'
import { createSharedCounters } from './shared-counters.ts'
import { sharedMetrics } from './shared-metrics.ts'

/** The contract's list: name, type, labels. */
const contract = {
  waybill_proxy_requests_total: ['counter', 'class outcome code'],
  waybill_proxy_request_duration_seconds: ['histogram', 'class outcome'],
  waybill_proxy_first_byte_seconds: ['histogram', 'class outcome'],
  waybill_proxy_downstream_bytes_total: ['counter', ''],
  waybill_proxy_downstream_aborts_total: ['counter', ''],
  waybill_proxy_connections: ['gauge', ''],
  waybill_proxy_untrusted_forwarded_total: ['counter', ''],
  waybill_upstream_requests_total: ['counter', 'upstream code'],
  waybill_upstream_errors_total: ['counter', 'upstream reason'],
  waybill_upstream_duration_seconds: ['histogram', 'upstream'],
  waybill_upstream_ratelimit_remaining: ['gauge', 'upstream'],
  waybill_ring_records_total: ['counter', ''],
  waybill_ring_dropped_records_total: ['counter', 'reason'],
  waybill_ring_used_ratio: ['gauge', 'ring'],
  waybill_ring_oldest_seconds: ['gauge', ''],
  waybill_workers_count: ['gauge', ''],
  waybill_workers_busy: ['gauge', ''],
  waybill_workers_batch_records: ['histogram', ''],
  waybill_workers_batch_wait_seconds: ['histogram', ''],
  waybill_workers_batch_duration_seconds: ['histogram', ''],
  waybill_workers_restarts_total: ['counter', ''],
  waybill_log_bytes: ['gauge', ''],
  waybill_log_undelivered_records: ['gauge', 'target'],
  waybill_log_oldest_seconds: ['gauge', 'target'],
  waybill_sessions_open: ['gauge', ''],
  waybill_sessions_closed_total: ['counter', ''],
  waybill_events_total: ['counter', 'type kind'],
  waybill_events_published_total: ['counter', 'stream sink'],
  waybill_events_delay_seconds: ['histogram', ''],
  waybill_dead_letters_total: ['counter', 'reason'],
  waybill_dependency_up: ['gauge', 'name'],
  waybill_geo_age_seconds: ['gauge', 'database'],
  waybill_tls_certificate_expiry_seconds: ['gauge', 'host'],
  waybill_config_reloads_total: ['counter', 'result'],
  waybill_eventloop_lag_seconds: ['gauge', 'thread'],
  waybill_build_info: ['gauge', 'version node'],
} as const
/** Ours beyond the contract: every drop is counted. */
const additions = {
  waybill_proxy_unrecorded_requests_total: ['counter', 'reason'],
  waybill_log_dropped_records_total: ['counter', 'reason'],
  waybill_proxy_refused_total: ['counter', 'reason'],
  waybill_sessions_late_facts_total: ['counter', ''],
  waybill_sessions_refused_tags_total: ['counter', ''],
  waybill_sessions_missed_checks_total: ['counter', 'reason'],
} as const

function createFixture() {
  const sab = createCountersMemory(1)
  const counters = createProxyCounters({ sab, upstreams: 1 })
  const shared = createSharedCounters(sharedMetrics)
  const dependencies = createDependencyStates(['redis', 'kafka'])
  const state = { records: 5, lag: [{ thread: 'main', lagSeconds: 0.25 }] }
  const metrics = createMetrics({
    proxies: [sab],
    upstreams: () => ['registry.example'],
    shared,
    rings: () => [
      { records: state.records, dropped: { full: 2 }, usedRatio: 0.25, oldestMs: 1500 },
      { records: 1, dropped: { full: 1 }, usedRatio: 0, oldestMs: null },
    ],
    log: () => ({ bytes: 4096, targets: [{ target: 'sessions', undelivered: 3, oldestMs: 2000 }] }),
    workers: () => ({ count: 2, busy: 1 }),
    dependencies,
    lag: () => state.lag,
    build: { version: '0.1.0', node: '22.23.3' },
    geo: () => [{ database: 'city', builtAtMs: Date.now() - 60_000 }],
    tls: () => [{ host: 'cr.example', expiresAtMs: Date.now() + 60_000 }],
  })
  return { counters, shared, dependencies, state, metrics }
}

const typesOf = (page: string): Record<string, string> =>
  Object.fromEntries(
    [...page.matchAll(/^# TYPE (waybill_\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]),
  )

test('exactly the metrics of the contract are exported, each with its type, labels and help', async () => {
  const { counters, metrics } = createFixture()
  counters.countRequest('blob', 'relay', 200, 3, 1, 10)
  counters.countUpstream(0, 200, 3)
  counters.setRatelimitRemaining(0, 99, Date.now())
  const page = await metrics.render()
  const expected = { ...contract, ...additions }
  expect(typesOf(page)).toEqual(
    Object.fromEntries(Object.entries(expected).map(([name, [type]]) => [name, type])),
  )
  for (const [name, [type, labels]] of Object.entries(expected)) {
    const sample = new RegExp(`^${name}${type === 'histogram' ? '_sum' : ''}(?:\\{(.*)\\})? `, 'm').exec(page)
    expect(sample, name).not.toBeNull()
    const names = [...(sample?.[1] ?? '').matchAll(/(\w+)="/g)].map(([, label]) => label)
    expect(names.sort(), name).toEqual(labels.split(' ').filter(Boolean).sort())
    expect(page).toMatch(new RegExp(`^# HELP ${name} .{15,}\\.$`, 'm'))
    if (name.includes('seconds')) expect(page).toMatch(new RegExp(`^# HELP ${name} .*second`, 'm'))
  }
})

test('names keep the form waybill_<area>_<noun>_<unit>, with _total at the end of counters alone', async () => {
  for (const [name, type] of Object.entries(typesOf(await createFixture().metrics.render()))) {
    expect(name).toMatch(/^waybill_[a-z]+(_[a-z]+)+$/)
    expect(name.endsWith('_total')).toBe(type === 'counter')
  }
})

test('a scrape says what was counted since the start, and so does the next', async () => {
  const { counters, shared, dependencies, state, metrics } = createFixture()
  counters.countRequest('manifest', 'cache', 200, 0.4, 0.4, 500)
  counters.countRequest('manifest', 'cache', 200, 7, 0.4, 500)
  counters.connectionOpened()
  counters.countUpstreamError(0, 'reset')
  shared.add('waybill_events_total', ['pull', 'full'], 3)
  shared.observe('waybill_workers_batch_wait_seconds', 0.002)
  const redis = dependencies.circuit('redis', { threshold: 1 })
  redis.failed(0)
  await metrics.render()
  counters.countRequest('manifest', 'cache', 200, 400_000, 1, 1)
  state.records = 9
  const lines = new Set((await metrics.render()).split('\n'))
  for (const line of [
    'waybill_proxy_requests_total{class="manifest",outcome="cache",code="200"} 3',
    'waybill_proxy_request_duration_seconds_bucket{class="manifest",outcome="cache",le="0.0005"} 1',
    'waybill_proxy_request_duration_seconds_bucket{class="manifest",outcome="cache",le="0.005"} 1',
    'waybill_proxy_request_duration_seconds_bucket{class="manifest",outcome="cache",le="0.01"} 2',
    'waybill_proxy_request_duration_seconds_bucket{class="manifest",outcome="cache",le="300"} 2',
    'waybill_proxy_request_duration_seconds_bucket{class="manifest",outcome="cache",le="+Inf"} 3',
    'waybill_proxy_request_duration_seconds_count{class="manifest",outcome="cache"} 3',
    'waybill_proxy_downstream_bytes_total 1001',
    'waybill_proxy_connections 1',
    'waybill_upstream_errors_total{upstream="registry.example",reason="reset"} 1',
    'waybill_upstream_errors_total{upstream="registry.example",reason="connect"} 0',
    'waybill_ring_records_total 10',
    'waybill_ring_dropped_records_total{reason="full"} 3',
    'waybill_ring_used_ratio{ring="0"} 0.25',
    'waybill_ring_oldest_seconds 1.5',
    'waybill_log_oldest_seconds{target="sessions"} 2',
    'waybill_events_total{type="pull",kind="full"} 3',
    'waybill_workers_batch_wait_seconds_bucket{le="0.0025"} 1',
    'waybill_workers_batch_wait_seconds_sum 0.002',
    'waybill_dependency_up{name="redis"} 0',
    'waybill_dependency_up{name="kafka"} 1',
    'waybill_eventloop_lag_seconds{thread="main"} 0.25',
    'waybill_build_info{version="0.1.0",node="22.23.3"} 1',
  ]) {
    expect(lines, line).toContain(line)
  }
})

test('what is no longer told of is no longer exported', async () => {
  const { state, metrics } = createFixture()
  expect(await metrics.render()).toContain('thread="main"')
  state.lag = [{ thread: 'session', lagSeconds: 0 }]
  const page = await metrics.render()
  expect(page).toContain('thread="session"')
  expect(page).not.toContain('thread="main"')
})

test('the process and Node.js are told of under their usual names', async () => {
  const page = await createFixture().metrics.render()
  for (const name of [
    'process_cpu_seconds_total',
    'process_resident_memory_bytes',
    'nodejs_gc_duration_seconds',
  ]) {
    expect(page).toContain(`# TYPE ${name} `)
  }
})

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

test('the docs have a row for every metric, with its type and labels, and no other', async () => {
  const rows = [
    ...read('docs/operations.md').matchAll(/^\| `(waybill_\w+)`(?: `\{(.*)\}`)? +\| (\w+) +\| .+ \|$/gm),
  ]
  const documented = Object.fromEntries(
    rows.map(([, name, labels, type]) => [name, [type, (labels ?? '').replaceAll(',', ' ')]]),
  )
  expect(documented).toEqual({ ...contract, ...additions })
})

test('every query of the dashboard names metrics that are exported', async () => {
  const page = await createFixture().metrics.render()
  const types = Object.fromEntries(
    [...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]),
  )
  type Panel = { title: string; panels?: Panel[]; targets?: { expr: string }[] }
  const dashboard = JSON.parse(read('grafana/dashboards/waybill.json')) as { panels: Panel[] }
  const panels = dashboard.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])])
  const queries = panels.flatMap(({ title, targets }) => (targets ?? []).map(({ expr }) => ({ title, expr })))
  expect(queries.length).toBeGreaterThan(30)
  const used = new Set<string>()
  for (const { title, expr } of queries) {
    const names = expr.match(/\b(?:waybill|process|nodejs)_\w+/g) ?? []
    expect(names.length, title).toBeGreaterThan(0)
    for (const name of names) {
      const family = name.replace(/_(?:bucket|sum|count)$/, '')
      const isPart = family !== name && types[family] === 'histogram'
      expect(isPart ? 'histogram' : types[name], `${title}: ${expr}`).toBeDefined()
      // The bare name of a histogram has no samples.
      if (!isPart) expect(types[name], `${title}: ${expr}`).not.toBe('histogram')
      used.add(isPart ? family : name)
    }
  }
  // And the other way: a metric that nobody looks at would not be missed.
  expect(Object.keys(types).filter((name) => name.startsWith('waybill_') && !used.has(name))).toEqual([])
})
