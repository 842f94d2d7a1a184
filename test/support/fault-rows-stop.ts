/** What a stop means for a running download. */
import { request } from 'node:http'
import { readRequestEvents } from './embedded-events.ts'
import type { FaultRow } from './fault-rows.ts'
import { startOneManifest, startScene } from './fault-scene.ts'
import { createGate } from './fault-upstream.ts'

const digest = `sha256:${'d'.repeat(64)}`
const bodyBytes = 1024 * 1024
const firstBytes = 64 * 1024

/** A download that has begun and stands until the test goes on. */
async function startDownload() {
  const upstream = await startOneManifest()
  const gate = createGate()
  upstream.answer(`/v2/app/blobs/${digest}`, {
    body: Buffer.alloc(bodyBytes, 1),
    bytesFirst: firstBytes,
    bodyAfter: gate.opened,
  })
  const scene = await startScene({ upstream })
  const grant = await fetch(`${scene.waybill.url}/token?scope=repository:app:pull`)
  const { token } = (await grant.json()) as { token: string }
  let received = 0
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
  const { promise: ended, resolve: end } = Promise.withResolvers<number>()
  const headers = { Authorization: `Bearer ${token}` }
  request(`${scene.waybill.url}/v2/app/blobs/${digest}`, { headers }, (response) => {
    response.on('data', (bytes: Buffer) => {
      received += bytes.length
      if (received >= firstBytes) begin()
    })
    response.on('error', () => undefined)
    response.on('close', () => end(received))
  })
    .on('error', () => end(received))
    .end()
  await begun
  return { scene, gate, ended }
}

const stopping = { code: 503, status: 'stopping' } as const

export const stopRows: readonly FaultRow[] = [
  {
    fault: 'SIGTERM: running downloads get 15 s to end, and end whole',
    clients: 'refused',
    exitCode: 0,
    ready: stopping,
    log: [{ level: 'info', msg: 'stopping' }],
    metric: null,
    async arrange() {
      const { scene, gate, ended } = await startDownload()
      process.kill(scene.waybill.pid, 'SIGTERM')
      return {
        ...scene,
        async afterwards() {
          gate.release()
          const received = await ended
          if (received !== bodyBytes) throw new Error(`the download ended after ${received} bytes`)
        },
      }
    },
  },
  {
    fault: 'A second SIGTERM: running downloads are cut off, and counted as aborted',
    clients: 'refused',
    exitCode: 0,
    ready: stopping,
    log: [
      { level: 'warn', msg: 'stopping at once' },
      { level: 'warn', msg: 'requests were cut off' },
    ],
    metric: null,
    async arrange() {
      const { scene, ended } = await startDownload()
      process.kill(scene.waybill.pid, 'SIGTERM')
      return {
        ...scene,
        async afterwards() {
          process.kill(scene.waybill.pid, 'SIGTERM')
          await scene.waybill.exited
          const received = await ended
          const event = readRequestEvents(scene.waybill.data).find(({ class: kind }) => kind === 'blob')
          if (!event?.aborted || event.bytes_sent < received || received !== firstBytes) {
            throw new Error(`the download ended after ${received} bytes: ${JSON.stringify(event)}`)
          }
        },
      }
    },
  },
]
