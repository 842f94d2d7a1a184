/** A pull over the change of the pseudonyms' keys: one client and one session, where nothing but the client's id tells. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readRequestEvents } from './support/embedded-events.ts'
import { startOneManifest } from './support/fault-scene.ts'
import type { FaultUpstream } from './support/fault-upstream.ts'
import { send } from './support/http-client.ts'
import { preloadMovedClock } from './support/moved-clock.ts'
import { temporaryFolder } from './support/processes.ts'
import { startRecordingWaybill } from './support/pulled-waybill.ts'

const hourMs = 3_600_000
/** From the start to the turn: more than an overloaded machine takes to start. */
const startMs = 20_000
/** Less than the idle time of sessions, within which a client must have been seen before the turn. */
const leadMs = 3000
let upstream: FaultUpstream
beforeAll(async () => {
  upstream = await startOneManifest()
})
afterAll(() => upstream.stop())

test('without tokens, over the turn of the hour', { timeout: 60_000 }, async () => {
  const clock = join(temporaryFolder('clock'), 'ahead')
  const aheadMs = Math.ceil(Date.now() / hourMs) * hourMs - Date.now() - startMs
  writeFileSync(clock, String(aheadMs))
  const untilTurnMs = () => hourMs - ((Date.now() + aheadMs) % hourMs)
  const waybill = await startRecordingWaybill(upstream.url, {
    settings:
      'auth: open\ntrustedProxies: [127.0.0.0/8]\nretention: {requests: 1d}\nprivacy: {rotation: 1h}\n',
    env: preloadMovedClock(clock),
  })
  const ask = async (address: string, method: string) => {
    const headers = { 'x-forwarded-for': address, 'user-agent': 'skopeo/1.14.0', accept: '*/*' }
    const { status } = await send(`${waybill.url}/v2/app/manifests/v1`, { method, headers })
    expect(status).toBe(200)
  }
  const requests = () => readRequestEvents(waybill.data)

  expect(untilTurnMs()).toBeLessThan(startMs)
  await expect.poll(untilTurnMs, { timeout: startMs }).toBeLessThan(leadMs)
  await ask('192.0.2.7', 'HEAD')
  await expect.poll(() => requests().length, { timeout: leadMs }).toBe(1)
  await expect.poll(untilTurnMs, { timeout: 10_000 }).toBeGreaterThan(leadMs)
  for (const address of ['192.0.2.7', '198.51.100.8']) {
    const before = requests().length
    await ask(address, 'GET')
    await expect.poll(() => requests().length, { timeout: 10_000 }).toBe(before + 1)
  }

  const [first] = requests()
  const [over, other] = requests().slice(-2)
  expect(other?.privacy.key_epoch).not.toBe(first?.privacy.key_epoch)
  expect(over).toMatchObject({
    session_id: first?.session_id,
    session_method: 'client',
    client: first?.client,
    privacy: first?.privacy,
  })
  expect(await waybill.stop()).toBe(0)
})
