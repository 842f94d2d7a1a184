import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { createSharedCounters } from './shared-counters.ts'
import { type SharedMetric, sharedMetrics } from './shared-metrics.ts'

const table = {
  made: {
    kind: 'counter',
    help: '',
    labelNames: ['type', 'kind'],
    labelValues: [
      ['pull', 'full'],
      ['check', 'failed'],
      ['other', 'other'],
    ],
    bounds: [],
    scale: 1,
  },
  strict: { kind: 'counter', help: '', labelNames: ['a'], labelValues: [['x']], bounds: [], scale: 1 },
  level: { kind: 'gauge', help: '', labelNames: [], labelValues: [[]], bounds: [], scale: 1 },
  wait: { kind: 'histogram', help: '', labelNames: [], labelValues: [[]], bounds: [0.1, 1], scale: 1e6 },
} as const satisfies Record<string, SharedMetric>

test('threads that add to the same counters lose nothing', async () => {
  const shared = createSharedCounters(table)
  const workers = Array.from({ length: 3 }, () => {
    const worker = new Worker(
      `import { workerData } from 'node:worker_threads'
       const { createSharedCounters } = await import(workerData.module)
       const shared = createSharedCounters(workerData.table, workerData.sab)
       for (let i = 0; i < 20000; i += 1) { shared.add('made', ['check', 'failed'], 2); shared.observe('wait', 0.5) }`,
      {
        eval: true,
        workerData: { sab: shared.sab, table, module: new URL('./shared-counters.ts', import.meta.url).href },
      },
    )
    return new Promise((resolve) => worker.once('exit', resolve))
  })
  await Promise.all(workers)
  expect(shared.samples('made')).toEqual([
    { labels: { type: 'pull', kind: 'full' }, value: 0 },
    { labels: { type: 'check', kind: 'failed' }, value: 120_000 },
    { labels: { type: 'other', kind: 'other' }, value: 0 },
  ])
  expect(shared.histogram('wait')).toEqual({ labels: {}, counts: [0, 60_000, 0], sum: 30_000 })
})

test('labels that the table does not know count as other, or are a bug where it has none', () => {
  const shared = createSharedCounters(table)
  shared.add('made', ['pull', 'brand new'])
  expect(shared.samples('made')[2]?.value).toBe(1)
  expect(() => shared.add('strict', ['y'])).toThrow(TypeError)
})

test('a histogram counts a value in the bucket whose bound it does not exceed', () => {
  const shared = createSharedCounters(table)
  for (const value of [0, 0.1, 0.100001, 1, 1.5, 7]) shared.observe('wait', value)
  expect(shared.histogram('wait')).toEqual({ labels: {}, counts: [2, 2, 2], sum: 9.700001 })
})

test('a gauge says the last value', () => {
  const shared = createSharedCounters(table)
  shared.set('level', 9)
  createSharedCounters(table, shared.sab).set('level', 4)
  expect(shared.samples('level')).toEqual([{ labels: {}, value: 4 }])
})

test('a name is used as what it is, over memory of its table', () => {
  const shared = createSharedCounters(table)
  expect(() => shared.add('level')).toThrow(TypeError)
  expect(() => shared.observe('made', 1)).toThrow(TypeError)
  expect(() => createSharedCounters(table, new SharedArrayBuffer(8))).toThrow(RangeError)
})

test('in the real table every bound grows and every combination fits its label names', () => {
  for (const [name, metric] of Object.entries(sharedMetrics) as [string, SharedMetric][]) {
    expect(
      [...metric.bounds].sort((a, b) => a - b),
      name,
    ).toEqual(metric.bounds)
    for (const values of metric.labelValues) expect(values.length, name).toBe(metric.labelNames.length)
    const keys = metric.labelValues.map((values) => values.join(' '))
    expect(new Set(keys).size, name).toBe(keys.length)
  }
})
