/** Two machines behind one address, whose tokens run out in the middle of their pulls: each takes a new one. */
import { writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createTokens, tokenLifetimeSeconds } from '../src/proxy/tokens.ts'
import { fetchToken, send } from './support/http-client.ts'
import type { Image } from './support/image.ts'
import { temporaryFolder } from './support/processes.ts'
import { eventSource, marker, platformOf, settle } from './support/pulls.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

const key = '5a'.repeat(32)
/** What is left of the first token: the slow layer begins before, and ends after it. */
const leftMs = 3000
const slowMs = 4500
// More than the kernel's buffers take, or the layer would be sent before it is read.
const layerBytes = 12 * 1024 * 1024
const agent = 'docker/27.3.1 go/go1.22.7 kernel/6.1.0 os/linux arch/amd64'

let registry: Registry
let waybill: Waybill
let image: Image
beforeAll(async () => {
  registry = await startRegistry()
  await pushImage(registry, marker.repository, marker.tag, { layers: 1 })
  image = await pushImage(registry, 'app', '1.0', { layers: 2, layerBytes, single: true })
  const folder = temporaryFolder('renewed')
  const [file, keys] = [join(folder, 'waybill.yaml'), join(folder, 'keys')]
  writeFileSync(keys, `${key}\n`, { mode: 0o600 })
  writeFileSync(file, `tokenKeys: {file: ${JSON.stringify(keys)}}\n`)
  const args = ['--config', file, '--upstream', registry.url, '--blobs', 'stream', '--session-idle', '4s']
  waybill = await startWaybill({ args })
})
afterAll(async () => {
  await waybill?.stop()
  await registry?.stop()
})

/** Reads the first bytes, and the rest so much later. */
function readSlowly(url: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    get(url, { headers, agent: false }, (response) => {
      let bytes = 0
      response.on('data', (chunk: Buffer) => {
        if (bytes === 0) {
          response.pause()
          setTimeout(() => response.resume(), slowMs)
        }
        bytes += chunk.length
      })
      response.on('error', reject)
      response.on('end', () => resolve(bytes))
    }).on('error', reject)
  })
}

/** As docker does: HEAD, manifest, config, layers one after another, and a new token when the old one is refused. */
async function pull(): Promise<void> {
  const host = new URL(waybill.url).hostname
  const bornMs = Date.now() - tokenLifetimeSeconds * 1000 + leftMs
  let token = createTokens([key]).sign(host, bornMs)
  const headers = () => ({
    'user-agent': agent,
    accept: 'application/vnd.oci.image.manifest.v1+json',
    authorization: `Bearer ${token}`,
  })
  const url = (path: string) => `${waybill.url}/v2/app/${path}`
  const ask = (path: string, method = 'GET') => send(url(path), { method, headers: headers() })
  const { manifest, config, layers } = platformOf(image)
  expect((await ask('manifests/1.0', 'HEAD')).status).toBe(200)
  expect((await ask(`manifests/${manifest.digest}`)).status).toBe(200)
  expect((await ask(`blobs/${config.digest}`)).status).toBe(200)
  const [slow, ...others] = layers
  expect(await readSlowly(url(`blobs/${slow?.digest}`), headers())).toBe(slow?.size)
  for (const { digest } of others) {
    let answer = await ask(`blobs/${digest}`)
    if (answer.status === 401) {
      expect(answer.headers['www-authenticate']).toContain('error="invalid_token"')
      token = await fetchToken(waybill.url, { headers: { 'user-agent': agent } })
      answer = await ask(`blobs/${digest}`)
    }
    expect(answer.status).toBe(200)
  }
}

test('each pull is one event, of two tokens', async () => {
  await Promise.all([pull(), delay(300).then(pull)])
  const source = eventSource(waybill)
  const found = async () => (await source.events()).filter(({ repository }) => repository === 'app')
  await vi.waitFor(async () => expect((await found()).length).toBeGreaterThan(1), {
    timeout: 20_000,
    interval: 100,
  })
  const events = (await settle(source)).filter(({ repository }) => repository === 'app')
  const { length } = platformOf(image).layers
  expect(events).toHaveLength(2)
  for (const event of events) {
    expect(event).toMatchObject({
      ...{ type: 'pull', kind: 'full', tag: '1.0', session_method: 'token', resumed: false },
      ...{ requests: 3 + length, blob_gets: 1 + length, layers_requested: length },
    })
    expect(event.session_ids).toHaveLength(2)
  }
  expect(new Set(events.flatMap(({ session_ids }) => session_ids)).size).toBe(4)
}, 60_000)
