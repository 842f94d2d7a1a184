import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run, temporaryFolder } from './support/processes.ts'
import { type Realm, startRealm } from './support/realm.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { skopeoCopy } from './support/skopeo.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

const password = 'correct horse'
let realm: Realm
let registry: Registry
let waybill: Waybill

beforeAll(async () => {
  realm = await startRealm({
    users: { robot: password },
    mayPull: (user, repository) => user !== '' || !repository.includes('secret'),
  })
  registry = await startRegistry({ auth: realm.auth })
  const target = { host: registry.host, credentials: `robot:${password}` }
  await pushImage(target, 'acme/secret', '1.0')
  await pushImage(target, 'acme/secret-but-shown', '1.0')
  const folder = temporaryFolder('config')
  const file = join(folder, 'waybill.yaml')
  writeFileSync(join(folder, 'password'), `${password}\n`)
  // 127.0.0.1 clients sign in themselves; on localhost one private repository is shown to everybody.
  writeFileSync(
    file,
    `
sessions: {idle: 2s}
domains:
  - host: 127.0.0.1
    auth: passthrough
    routes: [{repository: "**", upstream: "${registry.url}", upstreamRepository: "acme/**"}]
  - host: localhost
    routes:
      - repository: shown
        upstream: ${registry.url}
        upstreamRepository: acme/secret-but-shown
        credentials: {username: robot, passwordFile: password}
        public: true
      - {repository: "**", upstream: "${registry.url}", upstreamRepository: "acme/**"}
`,
  )
  waybill = await startWaybill({ args: ['--config', file] })
})
afterAll(async () => {
  await waybill?.stop()
  await registry?.stop()
  await realm?.stop()
})

/** All files below, in one. */
function readAll(folder: string): string {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, 'latin1'))
    .join('\n')
}

async function login(host: string, user: string, word: string): Promise<{ code: number; stderr: string }> {
  const authFile = join(temporaryFolder('login'), 'auth.json')
  return run('skopeo', ['login', '--tls-verify=false', '-u', user, '-p', word, host], {
    env: { REGISTRY_AUTH_FILE: authFile },
  })
}

test('clients sign in to the registry; their pulls are events, and their credentials nowhere', async () => {
  const credentials = `robot:${password}`
  const source = `${waybill.host}/secret:1.0`
  expect((await skopeoCopy(source, temporaryFolder('copy'))).code).not.toBe(0)
  expect(await skopeoCopy(source, temporaryFolder('copy'), { credentials })).toMatchObject({ code: 0 })
  const isPull = ({ type, kind }: { type: string; kind: string }) => type === 'pull' && kind === 'full'
  await expect.poll(async () => (await waybill.events()).some(isPull), { timeout: 60_000 }).toBe(true)
  const pull = (await waybill.events()).find(isPull)
  expect(pull).toMatchObject({
    repository: 'secret',
    upstream_repository: 'acme/secret',
    session_method: 'client',
  })
  const kept = `${readAll(waybill.data)}${waybill.stdout()}${waybill.stderr()}`
  const shown = [password, Buffer.from(credentials).toString('base64'), 'eyJ0eXAiOiJKV1Qi']
  expect(shown.filter((text) => kept.includes(text))).toEqual([])
})

test('signing in: with the registry’s credentials where clients may, with none where there is nothing to', async () => {
  expect(await login(waybill.host, 'robot', password)).toMatchObject({ code: 0 })
  for (const host of [waybill.host, waybill.host.replace('127.0.0.1', 'localhost')]) {
    const { code, stderr } = await login(host, 'robot', 'wrong')
    expect(code).not.toBe(0)
    expect(stderr).toMatch(
      /invalid username\/password|unauthorized|authentication required|without logging in/i,
    )
  }
})

test('configured credentials show one repository to everybody, and no other', async () => {
  const host = waybill.host.replace('127.0.0.1', 'localhost')
  expect(await skopeoCopy(`${host}/shown:1.0`, temporaryFolder('copy'))).toMatchObject({ code: 0 })
  for (const name of ['secret', 'secret-but-shown']) {
    const copied = await skopeoCopy(`${host}/${name}:1.0`, temporaryFolder('copy'))
    expect(copied.code).not.toBe(0)
    expect(copied.stderr).toMatch(/name unknown|not known|manifest unknown/i)
  }
})
