/** Starts a real Prometheus (Debian package `prometheus`) that scrapes given targets, for tests of metrics. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Sample = { labels: Record<string, string>; value: number }

export type Prometheus = {
  url: string
  /** The instant vector of an expression, now; rejects with Prometheus' own words when it is not valid. */
  query(expression: string): Promise<Sample[]>
  stop(): Promise<void>
}

/** `targets`: `host:port` of each `/metrics`. Resolves when Prometheus answers, before the first scrape. */
export async function startPrometheus(options: { targets: readonly string[] }): Promise<Prometheus> {
  const folder = await mkdtemp(join(tmpdir(), 'waybill-prometheus-'))
  const config = join(folder, 'prometheus.yml')
  // JSON is YAML. Half a second between scrapes gives rates their two samples within one.
  const scrape = { job_name: 'waybill', static_configs: [{ targets: options.targets }] }
  const global = { scrape_interval: '500ms', scrape_timeout: '500ms' }
  await writeFile(config, JSON.stringify({ global, scrape_configs: [scrape] }))
  const port = await findFreePort()
  const url = `http://127.0.0.1:${port}`
  const child = spawn(
    'prometheus',
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => {
    said = `${said}${chunk}`.slice(-4_000)
  })
  let failure: Error | null = null
  const exited = new Promise<void>((resolve) => {
    child.once('exit', (code) => {
      failure ??= new Error(`prometheus ended with ${code}: ${said}`)
      resolve()
    })
    child.once('error', (error) => {
      failure ??= new Error(`prometheus did not start: ${error.message} (Debian package: prometheus)`)
      resolve()
    })
  })
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    // Its database closes within a second; a hanging one must not hang the tests.
    const forced = setTimeout(() => child.kill('SIGKILL'), 10_000)
    await exited
    clearTimeout(forced)
    await rm(folder, { recursive: true, force: true })
  }
  const isReady = (): Promise<boolean> =>
    fetch(`${url}/-/ready`, { signal: AbortSignal.timeout(2_000) }).then(
      (answer) => answer.ok,
      () => false,
    )
  const startsUntil = Date.now() + 60_000
  while (!(await isReady())) {
    if (failure === null && Date.now() > startsUntil) failure = new Error(`prometheus is not ready: ${said}`)
    if (failure !== null) {
      await stop()
      throw failure
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }

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
    stop,
  }
}

async function findFreePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
