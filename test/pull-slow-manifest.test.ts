/** containerd asks by HEAD with one token and fetches with another: one pull, however slow the registry is. */
import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { readPackageEvents } from './support/embedded-events.ts'
import { startFaultUpstream } from './support/fault-upstream.ts'
import { fetchToken, send } from './support/http-client.ts'
import { imageTypes } from './support/traced-registry.ts'
import { startWaybill } from './support/waybill.ts'

// Beyond the idle time of the HEAD.
const slowMs = 4000

test('a HEAD is no check while the GET that may be its own is under way', async () => {
  const upstream = await startFaultUpstream()
  const body = JSON.stringify({ schemaVersion: 2, mediaType: imageTypes.index, manifests: [] })
  const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`
  const headers = { 'Content-Type': imageTypes.index, 'Docker-Content-Digest': digest }
  upstream.answer('/v2/app/manifests/1.0', { headers, body })
  upstream.answer(`/v2/app/manifests/${digest}`, () => ({ headers, body, headAfter: delay(slowMs) }))
  const waybill = await startWaybill({ args: ['--upstream', upstream.url, '--session-idle', '2s'] })
  const ask = async (method: string, reference: string) => {
    const agent = { 'User-Agent': 'containerd/v2.1.4' }
    const token = await fetchToken(waybill.url, { headers: agent })
    return send(`${waybill.url}/v2/app/manifests/${reference}`, {
      ...{ method, headers: { ...agent, Authorization: `Bearer ${token}` } },
    })
  }
  expect((await ask('HEAD', '1.0')).status).toBe(200)
  expect((await ask('GET', digest)).status).toBe(200)
  await expect.poll(() => readPackageEvents(waybill.data).length, { timeout: 10_000 }).toBeGreaterThan(0)
  const events = readPackageEvents(waybill.data)
  expect(
    events.map(({ type, tag, requests, session_ids }) => [type, tag, requests, session_ids.length]),
  ).toEqual([['pull', '1.0', 2, 2]])
  expect(await waybill.stop()).toBe(0)
  await upstream.stop()
})
