/** What a pull of a test image must come to, and the wait until all its events are there. */
import { expect, vi } from 'vitest'
import type { PackageEvent } from '../../src/record/events.ts'
import { readPackageEvents } from './embedded-events.ts'
import { fetchToken, type RequestOptions, send } from './http-client.ts'
import type { Image, PlatformImage } from './image.ts'
import { schemaErrors } from './schema-validation.ts'

/** The event of a finished pull is there so soon after it, with the idle time below. */
export const eventWithinMs = 10_000
export const sessionIdle = ['--session-idle', '2s'] as const

/** What a client takes that is not told otherwise. */
export const hostPlatform = process.arch === 'arm64' ? 'linux/arm64' : 'linux/amd64'
/** Docker and containerd need it. */
export const asRoot = process.getuid?.() === 0

/** Repository and tag whose checks mark points in time; push it before the first `settle`. */
export const marker = { repository: 'marker', tag: '1' }

export function platformOf(image: Image, platform = hostPlatform): PlatformImage {
  const found = image.images.find((each) => each.platform === platform) ?? image.images[0]
  if (!found) throw new Error('the image has no platform')
  return found
}

/** Bytes of one platform's pull: index (if there is one), manifest, config and layers. */
export function bytesOf(image: Image, platform = hostPlatform): number {
  const { manifest, config, layers } = platformOf(image, platform)
  const parts = [manifest, config, ...layers, ...(image.index ? [image.index] : [])]
  return parts.reduce((sum, { size }) => sum + size, 0)
}

/** Fields of the event of a cold pull of one platform that took everything once. `heads`: of the tag. */
export function fullPull(
  image: Image,
  repository: string,
  tag: string,
  { heads = 0, platform = hostPlatform }: { heads?: number; platform?: string } = {},
) {
  const { manifest, layers, platform: taken } = platformOf(image, platform)
  const manifests = image.index ? 2 : 1
  const bytes = bytesOf(image, platform)
  return {
    ...{ type: 'pull', kind: 'full', artifact: 'image', repository, upstream_repository: repository },
    ...{ tag, tag_source: 'requested', digest: image.digest, session_method: 'token' },
    ...{ platform: taken, platform_digest: manifest.digest },
    ...{ resumed: false, attempts: 1, fail_reason: null, checks: null, batch_id: null },
    requests: heads + manifests + 1 + layers.length,
    manifest_gets: manifests,
    manifest_heads: heads,
    blob_gets: layers.length + 1,
    layers_requested: layers.length,
    layers_total: layers.length,
    ...{ bytes_sent: bytes, bytes_unique: bytes, bytes_expected: bytes, bytes_basis: 'observed' },
    counts: {
      ...{ hub_pulls: 1, dvp_action: 'pull_by_tag', scarf_pull: true },
      ...{ k8s_complete_pull: true, config_blob_pull: true },
    },
  }
}

/** Fields of the event of a client that asked for the tag and found that it has it. */
export function upToDateCheck(image: Image, repository: string, tag: string) {
  return {
    ...{ type: 'check', kind: 'check', repository, tag, digest: image.digest },
    ...{ requests: 1, manifest_heads: 1, manifest_gets: 0, blob_gets: 0, bytes_sent: 0 },
  }
}

export type EventSource = { url: string; events(): Promise<PackageEvent[]> }

/** The same events as `waybill events` prints, without a process for each look. */
export function eventSource({ url, data }: { url: string; data: string }): EventSource {
  return { url, events: async () => readPackageEvents(data) }
}

/** Waits for the `count`th event of the repository, the last by time; fails after `eventWithinMs`. */
export async function eventOf(source: EventSource, repository: string, count = 1): Promise<PackageEvent> {
  const events = await vi.waitFor(
    async () => {
      const found = (await source.events()).filter((event) => event.repository === repository)
      expect(found.length, `events of ${repository}`).toBeGreaterThanOrEqual(count)
      return found
    },
    { timeout: eventWithinMs, interval: 100 },
  )
  expect(events).toHaveLength(count)
  const event = events.at(-1) as PackageEvent
  expect(schemaErrors('package-event', event)).toEqual([])
  return event
}

/**
 * All events of what was asked for before the call. A check of the marker made now falls idle after all of
 * that, so when its event is there no other can be missing: the wait is for that and no fixed time.
 */
export async function settle(source: EventSource, options: RequestOptions = {}): Promise<PackageEvent[]> {
  const startedMs = Date.now()
  const authorization = `Bearer ${await fetchToken(source.url, options)}`
  const { status } = await send(`${source.url}/v2/${marker.repository}/manifests/${marker.tag}`, {
    ...options,
    method: 'HEAD',
    headers: { ...options.headers, authorization, accept: 'application/vnd.oci.image.index.v1+json' },
  })
  expect(status).toBe(200)
  const isMarker = ({ repository, started_at }: PackageEvent) =>
    repository === marker.repository && Date.parse(started_at) >= startedMs
  const events = await vi.waitFor(
    async () => {
      const found = await source.events()
      expect(found.some(isMarker), 'the event of the marker').toBe(true)
      return found
    },
    { timeout: 20_000, interval: 100 },
  )
  for (const event of events) expect(schemaErrors('package-event', event)).toEqual([])
  return events.filter(({ repository }) => repository !== marker.repository)
}

/** `repository type/kind`, sorted: what there is, at a glance. */
export function listEvents(events: readonly PackageEvent[]): string[] {
  return events.map(({ repository, type, kind }) => `${repository} ${type}/${kind}`).sort()
}
