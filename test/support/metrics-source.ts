/** A `/metrics` page with every metric of Waybill, fed with made-up work: what a dashboard is tested against. */
import { createAdminServer } from '../../src/ops/admin-server.ts'
import { createCountersMemory, createProxyCounters } from '../../src/ops/counters.ts'
import { createDependencyStates } from '../../src/ops/dependencies.ts'
import { createEventLoopMemory, readEventLoopLags, watchEventLoop } from '../../src/ops/event-loop-watch.ts'
import { createMetrics } from '../../src/ops/metrics.ts'
import { createSharedCounters } from '../../src/ops/shared-counters.ts'
import { type SharedMetricName, sharedMetrics } from '../../src/ops/shared-metrics.ts'
import { classes, outcomes } from '../../src/record/record.ts'

export async function startMetricsSource(): Promise<{ target: string; stop(): Promise<void> }> {
  const upstreams = ['registry.example', 'other.example:5000']
  const sab = createCountersMemory(upstreams.length)
  const counters = createProxyCounters({ sab, upstreams: upstreams.length })
  const shared = createSharedCounters(sharedMetrics)
  const dependencies = createDependencyStates(['redis', 'kafka', 'log'])
  const lags = createEventLoopMemory(1)
  const watch = watchEventLoop({ sab: lags, slot: 0 })
  let records = 0

  const work = (): void => {
    records += 1
    for (const requestClass of classes) {
      for (const outcome of outcomes) {
        for (const status of [200, 404, 502])
          counters.countRequest(requestClass, outcome, status, 7, 2, 1_000)
      }
    }
    for (const index of upstreams.keys()) {
      counters.countUpstream(index, 200, 12)
      counters.countUpstreamError(index, 'reset')
      counters.setRatelimitRemaining(index, 90, Date.now())
    }
    counters.countAbort()
    for (const [name, { kind, labelValues }] of Object.entries(sharedMetrics)) {
      const metric = name as SharedMetricName
      if (kind === 'counter') for (const labels of labelValues) shared.add(metric, labels)
      else if (kind === 'gauge') shared.set(metric, 5)
      else shared.observe(metric, 2)
    }
  }
  const timer = setInterval(work, 50)

  const metrics = createMetrics({
    proxies: [sab],
    upstreams: () => upstreams,
    shared,
    rings: () => [{ records, dropped: { full: records }, usedRatio: 0.1, oldestMs: 20 }],
    log: () => ({ bytes: 10, targets: [{ target: 'sessions', undelivered: 1, oldestMs: 5 }] }),
    workers: () => ({ count: 2, busy: 1 }),
    dependencies,
    lag: () => readEventLoopLags({ sab: lags, threads: ['main'] }),
    build: { version: '0.0.0', node: process.versions.node },
    geo: () => [{ database: 'city', builtAtMs: 0 }],
    tls: () => [{ host: 'cr.example', expiresAtMs: Date.now() + 1e9 }],
  })
  const server = await createAdminServer({
    host: '127.0.0.1',
    port: 0,
    metrics: metrics.render,
    metricsType: metrics.contentType,
    readiness: () => ({ state: 'serving', since: new Date().toISOString(), dependencies: {} }),
    log: { error: () => undefined },
  })
  return {
    target: `127.0.0.1:${server.port}`,
    async stop() {
      clearInterval(timer)
      watch.close()
      await server.close()
    },
  }
}
