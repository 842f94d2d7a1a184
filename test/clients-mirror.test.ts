/** Waybill as a mirror of Docker Hub, set up in each client as docs/clients.md says: names stay those of the Hub. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startContainerd } from './support/containerd.ts'
import { startContainersTool } from './support/containers-tool.ts'
import { startDockerEngine } from './support/docker.ts'
import { temporaryFolder } from './support/processes.ts'
import { asRoot, eventOf, eventSource, fullPull, sessionIdle } from './support/pulls.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

type Result = { code: number; stderr: string }
type MirroredClient = { pull(reference: string): Promise<Result>; stop(): Promise<void> }

let registry: Registry
let waybill: Waybill
beforeAll(async () => {
  registry = await startRegistry()
  waybill = await startWaybill({ args: ['--upstream', registry.url, ...sessionIdle] })
})
afterAll(async () => {
  await waybill.stop()
  await registry.stop()
})

const starts: Record<string, () => Promise<MirroredClient>> = {
  docker: () => startDockerEngine({ hubMirror: waybill.url }),
  async containerd() {
    const hosts = temporaryFolder('hosts')
    mkdirSync(join(hosts, 'docker.io'))
    // The Hub itself is out of reach here: what comes, comes through the mirror.
    writeFileSync(
      join(hosts, 'docker.io', 'hosts.toml'),
      `server = "https://registry-1.docker.io"\n[host."${waybill.url}"]\ncapabilities = ["pull", "resolve"]\n`,
    )
    const containerd = await startContainerd()
    return {
      pull: (reference) => containerd.pull(reference, { args: ['--hosts-dir', hosts] }),
      stop: containerd.stop,
    }
  },
  podman: async () => startContainersTool('podman', { hubMirror: waybill.host }),
  buildah: async () => startContainersTool('buildah', { hubMirror: waybill.host }),
}

for (const [tool, start] of Object.entries(starts)) {
  test.runIf(asRoot).concurrent(`${tool}`, async () => {
    const repository = `library/for-${tool}`
    const image = await pushImage(registry, repository, '1.0')
    const client = await start()
    const pulled = await client.pull(`docker.io/${repository}:1.0`)
    expect(pulled, pulled.stderr).toMatchObject({ code: 0 })
    expect(await eventOf(eventSource(waybill), repository)).toMatchObject({
      ...fullPull(image, repository, '1.0', { heads: tool === 'docker' || tool === 'containerd' ? 1 : 0 }),
      client: { tool },
    })
    await client.stop()
  })
}
