/**
 * What a slow client costs in memory: 500 of them read a 100 MB layer through Waybill at 1 MB/s each.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { startProcess } from '../test/support/processes.ts'
import type { Waybill } from '../test/support/waybill.ts'
import { residentBytes } from './support/cpu.ts'
import { openLoader } from './support/loader.ts'
import { type Bench, medianOf } from './support/report.ts'
import { checkSample, startBenchedWaybill, startUpstream, type Upstream } from './support/rig.ts'
import { waitUntilDelivered } from './support/scrape.ts'
import { type SlowReaders, type SlowReadersResult, script } from './support/slow-readers.ts'

const clients = 500
const bytesPerSecond = 1_000_000
const sampleMs = 250
const kib = 1024

/** What V8 takes for any traffic is no cost of a client: a full load comes first. */
async function warmUp(waybill: Waybill, { blob, layer }: Upstream): Promise<void> {
  for (const [content, connections] of [
    [blob, clients],
    [layer, 8],
  ] as const) {
    const { path, body } = content
    const question = { path, status: 200, length: body.length, body }
    const loader = await openLoader(waybill.host, question, connections)
    try {
      await loader.run(2000)
    } finally {
      loader.close()
    }
  }
  await waitUntilDelivered(waybill.admin, 30_000)
}

async function sample(waybill: Waybill, until: Promise<unknown>): Promise<number[]> {
  const samples: number[] = []
  let over = false
  void until.then(() => {
    over = true
  })
  while (!over) {
    samples.push(residentBytes(waybill.pid))
    await Promise.race([until, delay(sampleMs)])
  }
  return samples
}

export const run: Bench = async (report, { roundMs }) => {
  const durationMs = 10 * roundMs
  const upstream = await startUpstream()
  try {
    const waybill = await startBenchedWaybill(upstream, 'open')
    try {
      await checkSample(waybill.url, upstream.layer)
      await warmUp(waybill, upstream)
      const baseline = medianOf(await sample(waybill, delay(2000)))
      const { path, file } = upstream.layer
      const options: SlowReaders = { host: waybill.host, path, file, clients, bytesPerSecond, durationMs }
      const readers = await startProcess({
        command: process.execPath,
        args: [script, JSON.stringify(options)],
      })
      const samples = await sample(waybill, Promise.race([readers.exited, delay(durationMs + 30_000)]))
      const result = JSON.parse((await readers.stop()).code === 0 ? readers.stdout() : '{}') as
        | SlowReadersResult
        | Record<string, never>
      if (result.wrong !== null || result.answered !== clients) {
        throw new Error(`slow clients: ${JSON.stringify(result)}\n${readers.stderr().slice(-2000)}`)
      }
      const grown = (bytes: number): number => (bytes - baseline) / kib / clients
      const rate = result.bytes / clients / (durationMs / 1000) / 1e6
      const note = `${clients} clients, each read ${rate.toFixed(2)} MB/s`
      report({ name: 'memory.baseline', value: baseline / kib / kib, unit: 'MiB resident' })
      report({
        ...{ name: 'memory.slow_client_peak', value: grown(Math.max(...samples)), unit: 'KiB/client' },
        ...{ aim: 128, note },
      })
      const middle = samples.slice(samples.length >> 1)
      report({ name: 'memory.slow_client_median', value: grown(medianOf(middle)), unit: 'KiB/client' })
    } finally {
      await waybill.stop()
    }
  } finally {
    await upstream.stop()
  }
}
