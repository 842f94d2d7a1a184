/**
 * Real clients log in through the front, pull what is theirs alone, and log out: to the registry behind it with
 * `passthrough`; with `token` there is nobody to log in as, and with `open` nobody asks.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startContainerd } from './support/containerd.ts'
import { startContainersTool } from './support/containers-tool.ts'
import { startDockerEngine } from './support/docker.ts'
import { readPackageEvents } from './support/embedded-events.ts'
import type { Image } from './support/image.ts'
import { freePort, removeFolder, run, temporaryFolder } from './support/processes.ts'
import { asRoot, eventOf, fullPull } from './support/pulls.ts'
import { type Realm, startRealm } from './support/realm.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

type Result = { code: number; stdout: string; stderr: string }

/** Its credentials are its own: nothing of the machine's takes part. */
type LoginClient = {
  login(host: string, name: string, password: string): Promise<Result>
  logout(host: string): Promise<Result>
  pull(reference: string): Promise<Result>
  /** Where it keeps them, in the form that all of them share. */
  credentials: string
  stop(): Promise<void>
}

const tools = ['docker', 'podman', 'buildah', 'skopeo'] as const
const password = 'pass wörd'
const small = { layers: 2, layerBytes: 1024 }

let realm: Realm
let registry: Registry
let waybill: Waybill
let port: number
/** host:port of the fronts, one for each way of `auth`. */
const hosts = { token: '', passthrough: '', open: '' }
const images = new Map<string, Image>()

const starts: Record<(typeof tools)[number], () => Promise<LoginClient>> = {
  async docker() {
    const engine = await startDockerEngine({ insecureRegistries: Object.values(hosts) })
    return {
      login: (host, name, secret) => engine.docker(['login', '--username', name, '--password', secret, host]),
      logout: (host) => engine.docker(['logout', host]),
      pull: (reference) => engine.pull(reference),
      credentials: engine.credentials,
      stop: engine.stop,
    }
  },
  podman: async () => startTool('podman'),
  buildah: async () => startTool('buildah'),
  async skopeo() {
    const folder = temporaryFolder('skopeo')
    const credentials = join(folder, 'auth.json')
    const env = { REGISTRY_AUTH_FILE: credentials, CONTAINERS_REGISTRIES_CONF: '/dev/null' }
    const skopeo = (args: readonly string[]) => run('skopeo', ['--insecure-policy', ...args], { env })
    return {
      ...loginOf(skopeo),
      pull: (reference) =>
        skopeo([
          ...['copy', '--quiet', '--src-tls-verify=false'],
          ...[`docker://${reference}`, `oci:${temporaryFolder('copy')}:copy`],
        ]),
      credentials,
      stop: async () => removeFolder(folder),
    }
  },
}

function startTool(command: 'podman' | 'buildah'): LoginClient {
  const tool = startContainersTool(command, { insecureRegistries: Object.values(hosts) })
  return { ...loginOf(tool.run), pull: tool.pull, credentials: tool.credentials, stop: tool.stop }
}

function loginOf(tool: (args: readonly string[]) => Promise<Result>): Pick<LoginClient, 'login' | 'logout'> {
  return {
    login: (host, name, secret) =>
      tool(['login', '--tls-verify=false', '--username', name, '--password', secret, host]),
    logout: (host) => tool(['logout', host]),
  }
}

describe.runIf(asRoot)('docker login and its like', () => {
  beforeAll(async () => {
    // `private-…` is for those who say who they are.
    const mayPull = (user: string, repository: string) => !repository.includes('private-') || user === 'robot'
    realm = await startRealm({ users: { robot: password }, mayPull })
    registry = await startRegistry({ auth: realm.auth })
    const target = { host: registry.host, credentials: `robot:${password}` }
    const names = [...tools, 'containerd'].flatMap((tool) => [`private-${tool}`, `public-${tool}`])
    for (const name of names) images.set(name, await pushImage(target, `acme/${name}`, '1.0', small))

    port = await freePort()
    const domains = Object.keys(hosts).map((auth, index) => {
      const host = `127.0.0.${index + 1}`
      hosts[auth as keyof typeof hosts] = `${host}:${port}`
      const routes = [{ repository: '**', upstream: registry.url, upstreamRepository: 'acme/**' }]
      return { host, auth, blobs: 'stream', routes }
    })
    const file = join(temporaryFolder('config'), 'waybill.yaml')
    writeFileSync(file, JSON.stringify({ listen: Object.values(hosts), domains }))
    waybill = await startWaybill({
      args: ['--config', file, '--session-idle', '3s'],
      listens: `127.0.0.1:${port}`,
    })
  })
  afterAll(async () => {
    await waybill?.stop()
    await registry.stop()
    await realm.stop()
  })

  const ok = { code: 0 }
  const refused = { code: expect.toSatisfy((code: number) => code !== 0, 'a failure') }
  const source = () => ({ url: waybill.url, events: async () => readPackageEvents(waybill.data) })
  const expectPulled = async (tool: string, heads: number): Promise<void> => {
    const name = `private-${tool}`
    const known = fullPull(images.get(name) as Image, name, '1.0', { heads })
    expect(await eventOf(source(), name)).toMatchObject({
      ...{ ...known, upstream_repository: `acme/${name}` },
      // What clients were given by the registry tells the front nothing.
      ...{ session_method: 'client', domain: '127.0.0.2', client: { tool } },
    })
  }

  test.concurrent.for(tools)('%s', async (tool, { onTestFinished }) => {
    const client = await starts[tool]()
    onTestFinished(client.stop)
    const secret = `${hosts.passthrough}/private-${tool}:1.0`
    expect(await client.pull(secret)).toMatchObject(refused)
    const wrong = await client.login(hosts.passthrough, 'robot', 'sesame')
    expect(wrong).toMatchObject({
      ...refused,
      stderr: expect.stringMatching(/unauthorized|invalid username\/password/),
    })
    expect(await client.pull(secret)).toMatchObject(refused)

    const right = await client.login(hosts.passthrough, 'robot', password)
    expect(right, right.stderr).toMatchObject({
      ...ok,
      stdout: expect.stringMatching(/^login succeeded/i),
    })
    const pulled = await client.pull(secret)
    expect(pulled, pulled.stderr).toMatchObject(ok)
    // One pull: those that were refused got no further than their token.
    await expectPulled(tool, tool === 'docker' ? 1 : 0)

    expect(await client.logout(hosts.passthrough)).toMatchObject(ok)
    expect(await client.pull(secret)).toMatchObject(refused)

    // What everybody may have is had without logging in, and with credentials nothing is.
    const open = `${hosts.token}/public-${tool}:1.0`
    expect(await client.login(hosts.token, 'robot', password)).toMatchObject({
      ...refused,
      stderr: expect.stringMatching(/pull without logging in|invalid username\/password/),
    })
    const auth = Buffer.from(`robot:${password}`).toString('base64')
    writeFileSync(client.credentials, JSON.stringify({ auths: { [hosts.token]: { auth } } }))
    expect(await client.pull(open)).toMatchObject(refused)
    expect(await client.logout(hosts.token)).toMatchObject(ok)
    expect(await client.pull(open)).toMatchObject(ok)
    // Where nothing is asked for, any are right.
    expect(await client.login(hosts.open, 'robot', 'sesame')).toMatchObject(ok)
    expect(await client.pull(`${hosts.open}/public-${tool}:1.0`)).toMatchObject(ok)
  })

  test.concurrent('containerd, which is told them with each pull', async ({ onTestFinished }) => {
    const containerd = await startContainerd()
    onTestFinished(containerd.stop)
    const pull = (host: string, name: string, args: readonly string[]) =>
      containerd.pull(`${host}/${name}-containerd:1.0`, { plainHttp: true, args })
    expect(await pull(hosts.passthrough, 'private', [])).toMatchObject(refused)
    expect(await pull(hosts.passthrough, 'private', ['--user', 'robot:sesame'])).toMatchObject(refused)
    expect(await pull(hosts.passthrough, 'private', ['--user', `robot:${password}`])).toMatchObject(ok)
    await expectPulled('containerd', 1)
    expect(await pull(hosts.token, 'public', ['--user', `robot:${password}`])).toMatchObject(refused)
    expect(await pull(hosts.token, 'public', [])).toMatchObject(ok)
  })

  test('what they logged in with is nowhere', async () => {
    expect(await waybill.stop()).toBe(0)
    const secrets = ['robot', password, Buffer.from(`robot:${password}`).toString('base64')]
    const files = readdirSync(waybill.data, { recursive: true, withFileTypes: true }).filter((file) =>
      file.isFile(),
    )
    const texts = files.map((file) => readFileSync(join(file.parentPath, file.name)))
    for (const text of [...texts, Buffer.from(waybill.stdout() + waybill.stderr())])
      expect(secrets.filter((each) => text.includes(each))).toEqual([])
  })
})
