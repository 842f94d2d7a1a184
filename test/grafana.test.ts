/** The dashboard against a real Prometheus: every query is valid and shows something. */
import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { parse } from 'yaml'
import { startMetricsSource } from './support/metrics-source.ts'
import { type Prometheus, startPrometheus } from './support/prometheus.ts'

type Panel = {
  title: string
  type: string
  targets?: { expr: string }[]
  datasource?: { uid: string }
  panels?: Panel[]
}
const folder = new URL('../grafana/', import.meta.url)
const dashboard = JSON.parse(readFileSync(new URL('dashboards/waybill.json', folder), 'utf8')) as {
  schemaVersion: number
  templating: { list: { name: string; type: string }[] }
  panels: Panel[]
}
const panels = dashboard.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])])
const queries = panels.flatMap(({ title, targets }) => (targets ?? []).map(({ expr }) => ({ title, expr })))

let source: Awaited<ReturnType<typeof startMetricsSource>>
let prometheus: Prometheus
beforeAll(async () => {
  source = await startMetricsSource()
  prometheus = await startPrometheus({ targets: [source.target] })
  // A rate needs two scrapes; some more show whether later ones work too.
  await vi.waitFor(
    async () => {
      const [scrapes] = await prometheus.query('sum_over_time(up[1m])')
      expect(scrapes?.value).toBeGreaterThan(4)
    },
    { timeout: 60_000, interval: 200 },
  )
})
afterAll(async () => {
  await prometheus?.stop()
  await source?.stop()
})

test('the source is scraped without a complaint', async () => {
  expect((await prometheus.query('up')).map(({ value }) => value)).toEqual([1])
})

test.each(queries)('$title: $expr', async ({ expr }) => {
  const expression = expr.replaceAll('$__rate_interval', '1m').replaceAll('$instance', '.*')
  expect(expression).not.toContain('$')
  const samples = await prometheus.query(expression)
  // NaN, the quotient of nothing, is no answer.
  expect(samples.filter(({ value }) => Number.isFinite(value))).not.toEqual([])
})

test('every panel that shows data asks the chosen data source', () => {
  for (const { title, type, targets, datasource } of panels) {
    if (type !== 'row') {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of the dashboard.
      expect([targets?.length, datasource?.uid], title).toEqual([expect.any(Number), '${datasource}'])
    }
  }
  expect(dashboard.templating.list.map(({ name, type }) => [name, type])).toEqual([
    ['datasource', 'datasource'],
    ['instance', 'query'],
  ])
})

test('the provisioning files are valid YAML of version 1', () => {
  for (const kind of ['datasources', 'dashboards']) {
    const place = new URL(`provisioning/${kind}/`, folder)
    for (const file of readdirSync(place)) {
      const content = parse(readFileSync(new URL(file, place), 'utf8')) as { apiVersion?: number }
      expect(content.apiVersion, file).toBe(1)
    }
  }
})
