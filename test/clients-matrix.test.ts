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
import { asRoot, platformOf } from './support/pulls.ts'
import { type RedirectingRegistry, startRedirectingRegistry } from './support/redirecting-registry.ts'
import { pushImage, type Registry, startRegistry } from './support/registry.ts'
import { startWaybill, type Waybill } from './support/waybill.ts'

type FrontKind = Pick<Row, 'auth' | 'blobs' | 'name'>

const kinds = frontsOf()
const keyOf = ({ auth, blobs, name }: FrontKind): string => `${auth}-${blobs}-${name}`
const renamed = 'team'
// So long that an overloaded machine does not look like a client that went away.
const sessionIdle = ['--session-idle', '4s'] as const
/** Where a row's client finds its kind of front: each kind has an address and two names, all of one Waybill. */
const hostOf = (kind: FrontKind, transport: Row['transport']): string =>
  transport === 'plain'
    ? `127.0.0.${kinds.findIndex((each) => keyOf(each) === keyOf(kind)) + 1}`
    : `${transport}.${keyOf(kind)}.example.test`

let registry: Registry
let redirecting: RedirectingRegistry
let waybill: Waybill
let port: number
let proxy: ConnectProxy
let clients: Map<ClientName, Client>
const namesOf = (transport: Row['transport']): string[] => kinds.map((kind) => hostOf(kind, transport))

/** Two certificates, each for half of the names: a client that gets the wrong one does not pull. */
async function startFront(first: Certificates, second: Certificates, tlsPort: number): Promise<Waybill> {
  const pair = ({ cert, key }: Certificates) => ({ cert, key })
  const domains = kinds.flatMap((kind) =>
    (['plain', 'first', 'second'] as const).map((transport) => ({
      host: hostOf(kind, transport),
      auth: kind.auth,
      ...(transport === 'plain' ? {} : { tls: pair(transport === 'first' ? first : second) }),
      routes: [
        {
          repository: '**',
          upstream: redirecting.url,
          upstreamRepository: kind.name === 'renamed' ? `${renamed}/**` : '**',
          blobs: kind.blobs,
        },
      ],
    })),
  )
  const listen = [
    ...namesOf('plain').map((address) => `${address}:${port}`),
    { address: `127.0.0.1:${tlsPort}`, tls: pair(await createCertificates()) },
  ]
  const file = join(temporaryFolder('config'), 'waybill.yaml')
  // JSON is YAML. Storage at a private address is followed only where the operator names it.
  writeFileSync(file, JSON.stringify({ listen, domains, redirectHosts: ['localhost'] }))
  return startWaybill({
    args: ['--config', file, ...sessionIdle, '--proxy-threads', '1'],
    listens: `127.0.0.1:${port}`,
  })
}

test('each pair of properties occurs', () => {
  expect(missingPairs()).toEqual([])
  expect(missingPairs(rows.slice(1))).not.toEqual([])
})

describe.runIf(asRoot)('pulls', () => {
  beforeAll(async () => {
    registry = await startRegistry()
    redirecting = await startRedirectingRegistry(registry.url)
    port = await freePort()
    const tlsPort = await freePort()
    const certificates = await Promise.all([
      createCertificates(namesOf('first')),
      createCertificates(namesOf('second')),
    ])
    waybill = await startFront(...certificates, tlsPort)
    const names = [...namesOf('first'), ...namesOf('second')]
    proxy = await startConnectProxy((name) => (names.includes(name) ? tlsPort : undefined))
    const ca = join(temporaryFolder('authorities'), 'ca.crt')
    writeFileSync(ca, certificates.map((each) => readFileSync(each.ca, 'utf8')).join(''))
    const plain = namesOf('plain').map((host) => `${host}:${port}`)
    clients = await startClients({ plain, names, ca, proxy: proxy.url })
  })
  afterAll(async () => {
    await Promise.all([...clients.values()].map((client) => client.stop()))
    await waybill.stop()
    proxy.stop()
    redirecting.stop()
    await registry.stop()
  })

  const outcomes = new Map<Row, { cold: string; again: string }>()

  for (const [index, row] of rows.entries()) {
    test.concurrent(Object.values(row).join(' '), async () => {
      const client = clients.get(row.client)!
      const repository = `row-${index + 1}`
      const pushed = row.name === 'renamed' ? `${renamed}/${repository}` : repository
      const image = await pushImage(registry, pushed, '1.0', {
        single: row.image === 'single',
        attestation: row.image === 'attested',
      })
      const domain = hostOf(row, row.transport)
      const host = row.transport === 'plain' ? `${domain}:${port}` : domain
      const reference = `${host}/${repository}${row.reference === 'tag' ? ':1.0' : `@${image.digest}`}`
      const pull = async (count: number): Promise<string> => {
        const pulled = await client.pull(reference)
        expect(pulled, pulled.stderr).toMatchObject({ code: 0 })
        const arrived = await client.arrived(reference)
        expect(
          contentOf(row.client, image).filter((one) => !one.some((digest) => arrived.has(digest))),
        ).toEqual([])
        const event = await lastEvent(repository, count)
        expect(event).toMatchObject({
          ...{ repository, upstream_repository: pushed, digest: image.digest },
          tag: row.reference === 'tag' ? '1.0' : null,
          session_method: row.auth === 'token' ? 'token' : 'client',
          domain,
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
    expect(await waybill.stop()).toBe(0)
    const events = readPackageEvents(waybill.data)
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
      return cells
    })
    const [before = '', , after] = readFileSync(path, 'utf8').split(
      /(?<=<!-- pulls -->\n)|(?=<!-- \/pulls -->)/,
    )
    const filled = `${before}\n${tableOf([header, ...lines])}\n\n${after}`
    // `vitest run -u` writes it.
    await expect(filled).toMatchFileSnapshot(path)
  })
})

const header = [
  'client',
  'image',
  'reference',
  'transport',
  'auth',
  'blobs',
  'repository',
  'event',
  'pulled again',
]

/** In Markdown, as the formatter would have it. */
function tableOf([head = [], ...body]: string[][]): string {
  const widths = head.map((_, column) => Math.max(...[head, ...body].map((row) => row[column]?.length ?? 0)))
  const lineOf = (cells: string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  return [head, widths.map((width) => '-'.repeat(width)), ...body].map(lineOf).join('\n')
}

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

async function lastEvent(repository: string, count: number): Promise<PackageEvent> {
  return vi.waitFor(
    () => {
      const events = readPackageEvents(waybill.data).filter((event) => event.repository === repository)
      expect(events).toHaveLength(count)
      return events.at(-1)!
    },
    { timeout: 20_000, interval: 200 },
  )
}
