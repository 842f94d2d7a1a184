/** Blobs of a registry that redirects to storage: the redirect is handed on, or followed and streamed. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PackageEvent } from '../src/record/events.ts'
import type { Image } from './support/image.ts'
import { temporaryFolder } from './support/processes.ts'
import { eventOf, eventSource, fullPull, platformOf, sessionIdle } from './support/pulls.ts'
import { type RedirectingRegistry, startRedirectingRegistry } from './support/redirecting-registry.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { compareBlobs, skopeoCopy } from './support/skopeo.ts'
import { startWaybill } from './support/waybill.ts'

let registry: Registry
let redirecting: RedirectingRegistry
let image: Image
beforeAll(async () => {
  registry = await startRegistry()
  redirecting = await startRedirectingRegistry(registry.url)
  image = await pushImage(registry, 'app', '1.0', { layerBytes: 3 * 1024 * 1024 })
})
afterAll(async () => {
  redirecting.stop()
  await registry.stop()
})

/** A pull whose bytes are the registry's; its event. */
async function pullThrough(blobs: 'redirect' | 'stream'): Promise<PackageEvent> {
  redirecting.stored.length = 0
  const config = join(temporaryFolder('config'), 'waybill.yaml')
  // Storage at a private address is followed only where the operator names it.
  writeFileSync(config, 'redirectHosts: [localhost]\n')
  const waybill = await startWaybill({
    args: ['--config', config, '--upstream', redirecting.url, '--blobs', blobs, ...sessionIdle],
  })
  const folder = temporaryFolder('copy')
  const copied = await skopeoCopy(`${waybill.host}/app:1.0`, folder, { all: false })
  expect(copied, copied.stderr).toMatchObject({ code: 0 })
  expect(await compareBlobs(folder, registry.url, 'app')).toMatchObject({
    different: [],
    equal: { length: 5 },
  })
  const event = await eventOf(eventSource(waybill), 'app')
  await waybill.stop()
  return event
}

test('redirect: the client fetches from the storage, and the event says what it was sent there for', async () => {
  const event = await pullThrough('redirect')
  const { manifest, config, layers } = platformOf(image)
  const manifestBytes = manifest.size + (image.index?.size ?? 0)
  const blobBytes = [config, ...layers].reduce((sum, { size }) => sum + size, 0)
  expect(event).toMatchObject({
    ...fullPull(image, 'app', '1.0'),
    ...{ bytes_sent: manifestBytes, bytes_unique: manifestBytes },
    ...{ bytes_expected: manifestBytes + blobBytes, bytes_basis: 'redirected' },
  })
  expect(redirecting.stored).toHaveLength(4)
})

test('stream: the client sees no redirect, and the storage no credential', async () => {
  const event = await pullThrough('stream')
  expect(event).toMatchObject(fullPull(image, 'app', '1.0'))
  expect(redirecting.stored).toHaveLength(4)
  expect(redirecting.stored.every(({ hasAuthorization }) => !hasAuthorization)).toBe(true)
})
