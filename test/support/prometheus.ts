/** Starts a real Prometheus (Debian package `prometheus`) that scrapes given targets, for tests of metrics. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, removeFolder, startProcess, temporaryFolder } from './processes.ts'

export type Sample = { labels: Record<string, string>; value: number }

export type Prometheus = {
  url: string
  /** The instant vector of an expression, now; rejects with Prometheus' own words when it is not valid. */
  query(expression: string): Promise<Sample[]>
  stop(): Promise<void>
}

/** `targets`: `host:port` of each `/metrics`. Resolves when Prometheus answers, before the first scrape. */
export async function startPrometheus(options: { targets: readonly string[] }): Promise<Prometheus> {
  const folder = temporaryFolder('prometheus')
  const config = join(folder, 'prometheus.yml')
  // JSON is YAML. Half a second between scrapes gives rates their two samples within one.
  const scrape = { job_name: 'waybill', static_configs: [{ targets: options.targets }] }
  const global = { scrape_interval: '500ms', scrape_timeout: '500ms' }
  writeFileSync(config, JSON.stringify({ global, scrape_configs: [scrape] }))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const server = await startProcess({
    command: 'prometheus',
    args: [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
    ],
    ready: () =>
      fetch(`${url}/-/ready`, { signal: AbortSignal.timeout(2_000) }).then(
        (answer) => answer.ok,
        () => false,
      ),
    readyTimeoutMs: 60_000,
  })

  return {
    url,
    async query(expression) {
      const parameters = new URLSearchParams({ query: expression })
      const answer = await fetch(`${url}/api/v1/query?${parameters}`, { signal: AbortSignal.timeout(10_000) })
      const body = (await answer.json()) as {
        status: string
        error?: string
        data: { result: { metric: Record<string, string>; value: [number, string] }[] }
      }
      if (body.status !== 'success') throw new Error(`${expression}: ${body.error}`)
      return body.data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }))
    },
    async stop() {
      await server.stop()
      removeFolder(folder)
    },
  }
}
