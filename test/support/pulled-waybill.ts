/** A registry with a few images, and a Waybill before it that keeps every event where tests can read it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from './processes.ts'
import type { LoadImage } from './pull-load.ts'
import { pushImage, type Registry, startRegistry } from './registry.ts'
import { startWaybill, type Waybill } from './waybill.ts'

export type PulledRegistry = { registry: Registry; images: LoadImage[] }

/** One image with two platforms, one without an index. */
export async function startPulledRegistry(): Promise<PulledRegistry> {
  const registry = await startRegistry()
  const images: LoadImage[] = []
  for (const [repository, single] of [
    ['team/app', false],
    ['tool', true],
    ['team/base', false],
  ] as const) {
    const image = await pushImage(registry, repository, 'v1', { layers: 2, layerBytes: 4096, single })
    images.push({ repository, tag: 'v1', image })
  }
  return { registry, images }
}

/** A request that waits this long for its first byte ends its session: more than an overloaded machine takes. */
const sessionIdle = '5s'

export const keepRequests = 'retention: {requests: 1d}\n'

/** `settings`: lines of the config file; by default one that keeps request events, which Waybill does not. */
export function startRecordingWaybill(
  upstream: string,
  options: { args?: readonly string[]; data?: string; env?: Record<string, string>; settings?: string } = {},
): Promise<Waybill> {
  const file = join(temporaryFolder('config'), 'waybill.yaml')
  writeFileSync(file, options.settings ?? keepRequests)
  return startWaybill({
    ...(options.data === undefined ? {} : { data: options.data }),
    ...(options.env === undefined ? {} : { env: options.env }),
    args: [
      ...['--config', file, '--upstream', upstream, '--session-idle', sessionIdle],
      ...['--proxy-threads', '1', '--workers', '2', ...(options.args ?? [])],
    ],
  })
}
