/**
 * Waybill beside nginx, in front of the same upstream: CPU time of an answer relayed, made here, streamed.
 */
import { type Comparison, compare, ping } from './support/compare.ts'
import type { Question } from './support/loader.ts'
import { findProxyThread } from './support/proxy-thread.ts'
import type { Bench, BenchOptions, Report } from './support/report.ts'
import {
  type Content,
  checkSample,
  repository,
  startBenchedWaybill,
  startRival,
  startUpstream,
  type Upstream,
} from './support/rig.ts'
import { scrape } from './support/scrape.ts'

const tokenPath = `/token?service=bench&scope=repository:${repository}:pull`
const smallConnections = 64
// A token is a session: with so many a round gives each about as many requests as a pull has.
const tokenCount = 4000
// More would only share the same core out.
const layerConnections = 4

function questionOf({ path, body }: Content): Question {
  return { path, status: 200, length: body.length, body }
}

function openComparisons({ blob, layer, manifest }: Upstream): Comparison[] {
  const small = { connections: smallConnections, per: 'request' } as const
  return [
    { name: 'relay.ping_open', question: ping, ...small, aim: 1.4 },
    { name: 'relay.blob_2k_open', question: questionOf(blob), ...small, aim: 2 },
    { name: 'relay.manifest_by_digest_open', question: questionOf(manifest), ...small },
    {
      name: 'relay.layer_100m_open',
      question: questionOf(layer),
      connections: layerConnections,
      per: 'GB',
      aim: 0.95,
    },
  ]
}

function tokenComparisons({ blob, manifest }: Upstream, tokens: string[], tokenBytes: number): Comparison[] {
  const small = { connections: smallConnections, per: 'request' } as const
  return [
    { name: 'relay.blob_2k_token', question: { ...questionOf(blob), tokens }, ...small, aim: 2 },
    { name: 'relay.manifest_by_digest_token', question: { ...questionOf(manifest), tokens }, ...small },
    { name: 'relay.token_issued', question: { path: tokenPath, status: 200, length: tokenBytes }, ...small },
  ]
}

async function runMode(
  auth: 'open' | 'token',
  upstream: Upstream,
  report: Report,
  options: BenchOptions,
): Promise<void> {
  const waybill = await startBenchedWaybill(upstream, auth)
  try {
    const { token, bytes: tokenBytes } = await readToken(waybill.url)
    const rival = await startRival(upstream, tokenBytes)
    try {
      for (const content of [upstream.blob, upstream.layer, upstream.manifest]) {
        await checkSample(waybill.url, content, token)
        await checkSample(rival.url, content, token)
      }
      const proxyThread = await findProxyThread(waybill)
      const comparisons =
        auth === 'open'
          ? openComparisons(upstream)
          : tokenComparisons(upstream, await readTokens(waybill.url), tokenBytes)
      for (const comparison of comparisons) {
        await compare({ rival, waybill, proxyThread }, comparison, options, report)
      }
      const dropped = (await scrape(waybill.admin)).sum('waybill_ring_dropped_records_total')
      report({ name: `relay.dropped_records_${auth}`, value: dropped, unit: 'records', aim: 0 })
    } finally {
      await rival.stop()
    }
  } finally {
    await waybill.stop()
  }
}

async function readToken(url: string): Promise<{ token: string; bytes: number }> {
  const response = await fetch(url + tokenPath, { signal: AbortSignal.timeout(10_000) })
  const text = await response.text()
  const { token } = JSON.parse(text) as { token?: unknown }
  if (response.status !== 200 || typeof token !== 'string') throw new Error(`no token: ${response.status}`)
  return { token, bytes: Buffer.byteLength(text) }
}

async function readTokens(url: string): Promise<string[]> {
  const tokens: string[] = []
  while (tokens.length < tokenCount) {
    const read = await Promise.all(Array.from({ length: 40 }, () => readToken(url)))
    tokens.push(...read.map(({ token }) => token))
  }
  return tokens
}

export const run: Bench = async (report, options) => {
  const upstream = await startUpstream()
  try {
    await runMode('open', upstream, report, options)
    await runMode('token', upstream, report, options)
  } finally {
    await upstream.stop()
  }
}
