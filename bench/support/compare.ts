/**
 * Runs nginx and Waybill in turns under the same load and compares the CPU time that an answer costs them.
 */
import type { Nginx } from '../../test/support/nginx.ts'
import type { Waybill } from '../../test/support/waybill.ts'
import { processCpuMs, threadCpuMs } from './cpu.ts'
import { type LoadResult, openLoader, type Question } from './loader.ts'
import { type BenchOptions, medianOf, type Report, ratioOf } from './report.ts'
import { pingBody } from './rig.ts'
import { waitUntilDelivered } from './scrape.ts'

export type Comparison = {
  name: string
  question: Question
  /** When nginx is asked something else than Waybill. */
  rivalQuestion?: Question
  connections: number
  per: 'request' | 'GB'
  aim?: number
}

type Sides = { rival: Nginx; waybill: Waybill; proxyThread: number }

// A backlog is worked off on the cores that the next round is measured on.
const deliveryTimeoutMs = 30_000

export const ping: Question = {
  path: '/v2/',
  status: 200,
  length: pingBody.length,
  body: Buffer.from(pingBody),
}

export async function compare(
  { rival, waybill, proxyThread }: Sides,
  comparison: Comparison,
  options: BenchOptions,
  report: Report,
): Promise<void> {
  const { name, question, connections, per, aim } = comparison
  const cost = (ms: number, load: LoadResult): number =>
    per === 'request' ? (ms * 1000) / load.requests : (ms * 1e6) / load.bytes

  const roundOfRival = async (): Promise<number> => {
    const loader = await openLoader(rival.host, comparison.rivalQuestion ?? question, connections)
    try {
      const before = processCpuMs(rival.pid)
      const load = await loader.run(options.roundMs)
      return cost(processCpuMs(rival.pid) - before, load)
    } finally {
      loader.close()
    }
  }
  const roundOfWaybill = async () => {
    const loader = await openLoader(waybill.host, question, connections)
    try {
      const before = processCpuMs(waybill.pid)
      const threadBefore = threadCpuMs(waybill.pid, proxyThread)
      const load = await loader.run(options.roundMs)
      const thread = cost(threadCpuMs(waybill.pid, proxyThread) - threadBefore, load)
      const delivered = await waitUntilDelivered(waybill.admin, deliveryTimeoutMs)
      return { thread, process: cost(processCpuMs(waybill.pid) - before, load), delivered }
    } finally {
      loader.close()
    }
  }

  // One pair to warm up: what V8 has not compiled yet, and connections to the upstream.
  await roundOfRival()
  await roundOfWaybill()
  const pairs = []
  for (let round = 0; round < options.rounds; round++) {
    pairs.push({ rival: await roundOfRival(), waybill: await roundOfWaybill() })
  }

  const unit = per === 'request' ? 'µs CPU/request' : 's CPU/GB'
  const late = pairs.filter((pair) => !pair.waybill.delivered).length
  report({ name: `${name}.nginx`, value: medianOf(pairs.map((pair) => pair.rival)), unit })
  report({
    name: `${name}.waybill_proxy_thread`,
    value: medianOf(pairs.map((pair) => pair.waybill.thread)),
    unit,
    ratio: ratioOf(pairs.map((pair) => pair.waybill.thread / pair.rival)),
    ...(aim !== undefined && { aim }),
  })
  report({
    name: `${name}.waybill_process`,
    value: medianOf(pairs.map((pair) => pair.waybill.process)),
    unit,
    ratio: ratioOf(pairs.map((pair) => pair.waybill.process / pair.rival)),
    note: late === 0 ? 'until delivered' : `${late} rounds not delivered in ${deliveryTimeoutMs / 1000} s`,
  })
}
