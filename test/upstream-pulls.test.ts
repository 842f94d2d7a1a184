/** Real pulls through a Waybill whose first registry dies: the fallback serves, and the events say so. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readMetric } from './support/admin.ts'
import { writeImage } from './support/image.ts'
import { temporaryFolder } from './support/processes.ts'
import { startRedirectingRegistry } from './support/redirecting-registry.ts'
import { startRegistry } from './support/registry.ts'
import { compareBlobs, skopeoCopy, skopeoPush } from './support/skopeo.ts'
import { startWaybill } from './support/waybill.ts'

test('an image is pulled whole from the fallback, under the same name', async () => {
  const first = await startRegistry()
  const second = await startRegistry()
  const storage = await startRedirectingRegistry(second.url)
  const source = temporaryFolder('image')
  writeImage(source, 'acme/app', '1.0', { layerBytes: 2 * 1024 * 1024 })
  await skopeoPush(source, '1.0', `${first.host}/acme/app:1.0`)
  await skopeoPush(source, '1.0', `${second.host}/mirror/acme-app:1.0`)
  const config = join(temporaryFolder('config'), 'waybill.yaml')
  writeFileSync(
    config,
    JSON.stringify({
      redirectHosts: ['localhost'],
      domains: [
        {
          host: '127.0.0.1',
          routes: [
            {
              repository: 'app',
              upstream: first.url,
              upstreamRepository: 'acme/app',
              fallback: { upstream: storage.url, upstreamRepository: 'mirror/acme-app' },
            },
          ],
        },
      ],
    }),
  )
  const waybill = await startWaybill({ args: ['--config', config, '--session-idle', '2s'] })
  const pull = async (): Promise<void> => {
    const folder = temporaryFolder('copy')
    const copied = await skopeoCopy(`${waybill.host}/app:1.0`, folder, { all: false })
    expect(copied, copied.stderr).toMatchObject({ code: 0 })
    expect(await compareBlobs(folder, second.url, 'mirror/acme-app')).toMatchObject({ different: [] })
  }
  const events = async () =>
    (await waybill.events()).map(({ kind, upstream, upstream_repository }) => [
      kind,
      upstream,
      upstream_repository,
    ])
  await pull()
  await expect.poll(events, { timeout: 10_000 }).toEqual([['full', first.host, 'acme/app']])
  await first.stop()
  await pull()
  await expect.poll(events, { timeout: 10_000 }).toEqual([
    ['full', first.host, 'acme/app'],
    ['full', storage.host, 'mirror/acme-app'],
  ])
  expect(
    await readMetric(waybill, 'waybill_upstream_errors_total', { upstream: first.host }),
  ).toBeGreaterThan(0)
  expect(
    await readMetric(waybill, 'waybill_upstream_requests_total', { upstream: storage.host }),
  ).toBeGreaterThan(0)
  const readiness = await (await fetch(`${waybill.admin}/readyz`)).json()
  expect(readiness).toMatchObject({
    status: 'serving',
    redirect_hosts: [{ host: storage.storageHost, upstream: storage.host }],
  })
  expect(storage.stored.every(({ hasAuthorization }) => !hasAuthorization)).toBe(true)
  expect(await waybill.stop()).toBe(0)
  storage.stop()
  await second.stop()
})
