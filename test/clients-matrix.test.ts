/** Real clients pull what the registry has, byte for byte; docs/clients.md tells what was pulled and how. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { PackageEvent } from '../src/record/events.ts'
import { type Certificates, createCertificates } from './support/certificates.ts'
import { type Client, type ClientName, startClients } from './support/clients.ts'
import { frontsOf, missingPairs, type Row, rows } from './support/clients-matrix.ts'
import { type ConnectProxy, startConnectProxy } from './support/connect-proxy.ts'
import { readPackageEvents } from './support/embedded-events.ts'
import type { Image } from './support/image.ts'
import { freePort, temporaryFolder } from './support/processes.ts'
import { asRoot, platformOf, sessionIdle } from './support/pulls.ts'
import { type RedirectingRegistry, startRedirectingRegistry } from './support/redirecting-registry.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

type Front = { waybill: Waybill; tlsPort: number; names: { first: string; second: string } }
type FrontKind = Pick<Row, 'auth' | 'blobs' | 'name'>

const kinds = frontsOf()
const keyOf = ({ auth, blobs, name }: FrontKind): string => `${auth}-${blobs}-${name}`
const namesOf = (kind: FrontKind) => ({
  first: `one.${keyOf(kind)}.example.test`,
  second: `two.${keyOf(kind)}.example.test`,
})
const renamed = 'team'

let registry: Registry
let redirecting: RedirectingRegistry
let certificates: Certificates
let proxy: ConnectProxy
let clients: Map<ClientName, Client>
const fronts = new Map<string, Front>()

async function startFront(kind: FrontKind): Promise<Front> {
  const [port, tlsPort] = [await freePort(), await freePort()]
  const names = namesOf(kind)
  const file = join(temporaryFolder('config'), 'waybill.yaml')
  // Storage at a private address is followed only where the operator names it.
  writeFileSync(
    file,
    `listen: [127.0.0.1:${port}, {address: 127.0.0.1:${tlsPort}, tls: {cert: ${certificates.cert}, key: ${certificates.key}}}]
upstream: ${redirecting.url}${kind.name === 'renamed' ? `/${renamed}` : ''}
auth: ${kind.auth}
blobs: ${kind.blobs}
redirectHosts: [localhost]
`,
  )
  const args = ['--config', file, ...sessionIdle, '--proxy-threads', '1', '--workers', '1']
  return { waybill: await startWaybill({ args, listens: `127.0.0.1:${port}` }), tlsPort, names }
}

test('each pair of properties occurs', () => {
  expect(missingPairs()).toEqual([])
  expect(missingPairs(rows.slice(1))).not.toEqual([])
})

describe.runIf(asRoot)('pulls', () => {
  beforeAll(async () => {
    registry = await startRegistry()
    redirecting = await startRedirectingRegistry(registry.url)
    certificates = await createCertificates(kinds.flatMap((kind) => Object.values(namesOf(kind))))
    for (const kind of kinds) fronts.set(keyOf(kind), await startFront(kind))
    const all = [...fronts.values()]
    const byName = new Map(
      all.flatMap(({ tlsPort, names }) => Object.values(names).map((name) => [name, tlsPort])),
    )
    proxy = await startConnectProxy((name) => byName.get(name))
    clients = await startClients({
      plain: all.map(({ waybill }) => waybill.host),
      names: [...byName.keys()],
      ca: certificates.ca,
      proxy: proxy.url,
    })
  })
  afterAll(async () => {
    await Promise.all([...clients.values()].map((client) => client.stop()))
    await Promise.all([...fronts.values()].map(({ waybill }) => waybill.stop()))
    proxy.stop()
    redirecting.stop()
    await registry.stop()
  })

  const outcomes = new Map<Row, { cold: string; again: string }>()

  for (const [index, row] of rows.entries()) {
    test.concurrent(Object.values(row).join(' '), async () => {
      const front = fronts.get(keyOf(row))!
      const client = clients.get(row.client)!
      const repository = `row-${index + 1}`
      const pushed = row.name === 'renamed' ? `${renamed}/${repository}` : repository
      const image = await pushImage(registry, pushed, '1.0', {
        single: row.image === 'single',
        attestation: row.image === 'attested',
      })
      const host = row.transport === 'plain' ? front.waybill.host : front.names[row.transport]
      const reference = `${host}/${repository}${row.reference === 'tag' ? ':1.0' : `@${image.digest}`}`
      const pull = async (count: number): Promise<string> => {
        const pulled = await client.pull(reference)
        expect(pulled, pulled.stderr).toMatchObject({ code: 0 })
        const arrived = await client.arrived(reference)
        expect(
          contentOf(row.client, image).filter((one) => !one.some((digest) => arrived.has(digest))),
        ).toEqual([])
        const event = await lastEvent(front.waybill, repository, count)
        expect(event).toMatchObject({
          ...{ repository, upstream_repository: pushed, digest: image.digest },
          tag: row.reference === 'tag' ? '1.0' : null,
          session_method: row.auth === 'token' ? 'token' : 'client',
          domain: host.replace(/:\d+$/, ''),
          client: { tool: row.client },
        })
        return `${event.type} ${event.kind}`
      }
      const cold = await pull(1)
      expect(cold).toBe('pull full')
      // The engine looks at nothing but its own store for a digest that it has.
      const again = row.client === 'docker' && row.reference === 'digest' ? 'none' : await pull(2)
      if (again === 'none') expect(await client.pull(reference)).toMatchObject({ code: 0 })
      outcomes.set(row, { cold, again })
    })
  }

  test('there are no other events', async () => {
    const expected = rows.flatMap((row, index) => {
      const { cold, again } = outcomes.get(row) ?? { cold: 'missing', again: 'missing' }
      return [cold, again].filter((each) => each !== 'none').map((each) => `row-${index + 1} ${each}`)
    })
    for (const { waybill } of fronts.values()) expect(await waybill.stop()).toBe(0)
    const events = [...fronts.values()].flatMap(({ waybill }) => readPackageEvents(waybill.data))
    expect(events.map(({ repository, type, kind }) => `${repository} ${type} ${kind}`).sort()).toEqual(
      expected.sort(),
    )
  })

  test('docs/clients.md tells this', async () => {
    const path = fileURLToPath(new URL('../docs/clients.md', import.meta.url))
    const lines = rows.map((row) => {
      const outcome = outcomes.get(row)
      const { client, image, reference, transport, auth, blobs, name } = row
      const images = { index: 'several platforms', single: 'one platform', attested: 'with attestations' }
      const transports = { plain: 'HTTP', first: 'TLS, first name', second: 'TLS, second name' }
      const cells = [
        ...[
          `${client} ${clients.get(client)?.version}`,
          images[image],
          `by ${reference}`,
          transports[transport],
        ],
        ...[
          auth,
          blobs,
          name,
          `\`${outcome?.cold}\``,
          outcome?.again === 'none' ? 'none, nothing is asked' : `\`${outcome?.again}\``,
        ],
      ]
      return `| ${cells.join(' | ')} |`
    })
    const [before = '', , after] = readFileSync(path, 'utf8').split(
      /(?<=<!-- pulls -->\n)|(?=<!-- \/pulls -->)/,
    )
    const filled = `${before}\n${header}\n${lines.join('\n')}\n\n${after}`
    // `vitest run -u` writes it.
    await expect(filled).toMatchFileSnapshot(path)
  })
})

const header = `| client | image | reference | transport | auth | blobs | repository | event | event, pulled again |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |`

/** What must have come: each in one of the forms that a client keeps it in. */
function contentOf(client: ClientName, image: Image): string[][] {
  const keepsManifests = client !== 'docker'
  // skopeo copies all platforms, the others take their own.
  const images = client === 'skopeo' ? [...image.images, ...image.attestations] : [platformOf(image)]
  return [
    [image.digest],
    ...images.flatMap(({ manifest, config, layers, diffIds }) => [
      ...(keepsManifests ? [[manifest.digest]] : []),
      [config.digest],
      ...layers.map(({ digest }, index) => [digest, diffIds[index] ?? digest]),
    ]),
  ]
}

async function lastEvent(waybill: Waybill, repository: string, count: number): Promise<PackageEvent> {
  return vi.waitFor(
    () => {
      const events = readPackageEvents(waybill.data).filter((event) => event.repository === repository)
      expect(events).toHaveLength(count)
      return events.at(-1)!
    },
    { timeout: 20_000, interval: 200 },
  )
}
