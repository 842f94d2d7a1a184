/**
 * A pull over the change of the pseudonyms' keys: one client, one session and one event, where nothing but the client's
 * id tells; and when it has fallen idle, another client.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readPackageEvents, readRequestEvents } from './support/embedded-events.ts'
import { startOneManifest } from './support/fault-scene.ts'
import type { FaultUpstream } from './support/fault-upstream.ts'
import { send } from './support/http-client.ts'
import { preloadMovedClock } from './support/moved-clock.ts'
import { temporaryFolder } from './support/processes.ts'
import { startRecordingWaybill } from './support/pulled-waybill.ts'

const hourMs = 3_600_000
/** From the start to the turn; an overloaded machine, which takes longer to start, gets more at the second trial. */
const startsMs = [10_000, 40_000]
/** Less than the idle time of sessions, within which a client must have been seen before the turn. */
const leadMs = 3000
/** The idle time of sessions here, 5 s, and the whole seconds in which clients are remembered over the turn. */
const idleMs = 7000
/** The hour of a time, as epochs of an hour are named. */
const epochOf = (time: string | undefined): string | undefined => time?.slice(0, 13)
let upstream: FaultUpstream
beforeAll(async () => {
  upstream = await startOneManifest()
})
afterAll(() => upstream.stop())

/** A Waybill whose clock is shortly before the turn of the hour. */
async function startBeforeTurn() {
  for (const startMs of startsMs) {
    const clock = join(temporaryFolder('clock'), 'ahead')
    const aheadMs = Math.ceil(Date.now() / hourMs) * hourMs - Date.now() - startMs
    writeFileSync(clock, String(aheadMs))
    const untilTurnMs = () => hourMs - ((Date.now() + aheadMs) % hourMs)
    const waybill = await startRecordingWaybill(upstream.url, {
      settings:
        'auth: open\ntrustedProxies: [127.0.0.0/8]\nretention: {requests: 1d}\nprivacy: {rotation: 1h}\n',
      env: preloadMovedClock(clock),
    })
    const leftMs = untilTurnMs()
    if (leftMs > leadMs && leftMs <= startMs) return { waybill, untilTurnMs }
    await waybill.stop()
  }
  throw new Error('Waybill takes too long to start')
}

test('without tokens, over the turn of the hour', { timeout: 150_000 }, async () => {
  const { waybill, untilTurnMs } = await startBeforeTurn()
  const ask = async (address: string, method: string) => {
    const headers = { 'x-forwarded-for': address, 'user-agent': 'skopeo/1.14.0', accept: '*/*' }
    const { status } = await send(`${waybill.url}/v2/app/manifests/v1`, { method, headers })
    expect(status).toBe(200)
  }
  const requests = () => readRequestEvents(waybill.data)

  await expect.poll(untilTurnMs, { timeout: 40_000 }).toBeLessThan(leadMs)
  await ask('192.0.2.7', 'HEAD')
  await expect.poll(() => requests().length, { timeout: leadMs }).toBe(1)
  await expect.poll(untilTurnMs, { timeout: 10_000 }).toBeGreaterThan(leadMs)
  for (const address of ['192.0.2.7', '198.51.100.8']) {
    const before = requests().length
    await ask(address, 'GET')
    await expect.poll(() => requests().length, { timeout: 10_000 }).toBe(before + 1)
  }

  const askedMs = Date.now()
  const [first] = requests()
  const [over, other] = requests().slice(-2)
  expect(other?.privacy.key_epoch).not.toBe(first?.privacy.key_epoch)
  expect(over).toMatchObject({
    session_id: first?.session_id,
    session_method: 'client',
    client: first?.client,
    privacy: first?.privacy,
  })
  // One event of the pull that began before the turn and ended after it, and one of the other client.
  const published = () => readPackageEvents(waybill.data)
  await expect.poll(() => published().length, { timeout: 30_000 }).toBe(2)
  const pull = published().find(({ client }) => client.id === first?.client.id)
  expect(pull).toMatchObject({
    type: 'pull',
    session_ids: [first?.session_id],
    session_method: 'client',
    started_at: first?.time,
    requests: 2,
    manifest_heads: 1,
    manifest_gets: 1,
    client: { endpoint_id: first?.client.endpoint_id },
    privacy: first?.privacy,
  })
  expect(epochOf(pull?.ended_at)).toBe(other?.privacy.key_epoch)
  expect(epochOf(pull?.started_at)).toBe(first?.privacy.key_epoch)
  expect(published().find(({ client }) => client.id === other?.client.id)).toMatchObject({
    type: 'pull',
    requests: 1,
    privacy: other?.privacy,
  })

  // Its session has ended: when it has been idle for as long, it is under the new key as everybody.
  await expect.poll(() => Date.now() - askedMs, { timeout: 2 * idleMs }).toBeGreaterThan(idleMs)
  await ask('192.0.2.7', 'GET')
  await expect.poll(() => published().length, { timeout: 30_000 }).toBe(3)
  const again = published().at(-1)
  expect(again?.privacy).toEqual(other?.privacy)
  expect(published().filter(({ client }) => client.endpoint_id === again?.client.endpoint_id)).toHaveLength(1)
  expect(await waybill.stop()).toBe(0)
})
