/** Packs what the facts of a session share; a context is known within its session by the CRC of its bytes. */
import { crc32 } from 'node:zlib'
import type { Automation, Client, Company } from '../record/events.ts'
import { type ByteReader, type ByteWriter, createByteReader, createByteWriter } from './bytes.ts'
import type { FactContext } from './types.ts'

const methods = ['token', 'client'] as const
const scopes = ['node', 'shared'] as const
const automations: readonly Automation[] = ['yes', 'probable', 'no']

const writer = createByteWriter()

export type PackedContext = { id: number; bytes: Buffer }

export function packContext(context: FactContext): PackedContext {
  const { client, geo, network, company, data, privacy } = context
  writer.reset()
  writer.byte(
    methods.indexOf(context.session_method) |
      (scopes.indexOf(privacy.key_scope) << 1) |
      (automations.indexOf(client.automation) << 2) |
      (company === null ? 0 : 16),
  )
  writeTexts(writer, [
    context.domain,
    context.repository,
    context.upstream,
    // Most often the repository's own name.
    context.upstream_repository === context.repository ? '' : context.upstream_repository,
    context.node,
    privacy.key_epoch,
    client.id,
    client.endpoint_id,
    client.tool,
    client.version,
    client.os,
    client.arch,
    client.via,
    geo.country,
    geo.region,
    geo.city,
    network.organization,
    network.type,
    network.cloud_provider,
    network.cloud_region,
    data.city_built_at,
    data.asn_built_at,
  ])
  writer.varint(network.asn === null ? 0 : network.asn + 1)
  if (company !== null) {
    writeTexts(writer, [company.name, company.domain, company.confidence, company.source])
  }
  const bytes = writer.bytes()
  return { id: crc32(bytes), bytes }
}

export function unpackContext(bytes: Buffer): FactContext {
  const reader = createByteReader(bytes)
  const head = reader.byte()
  const domain = reader.text()
  const repository = readText(reader)
  const upstream = reader.text()
  const upstreamRepository = reader.text()
  const node = readText(reader)
  const keyEpoch = readText(reader)
  const client: Client = {
    id: readText(reader),
    endpoint_id: readText(reader),
    tool: reader.text(),
    version: reader.text(),
    os: reader.text(),
    arch: reader.text(),
    automation: automations[(head >> 2) & 3] ?? 'no',
    via: reader.text(),
  }
  const geo = { country: reader.text(), region: reader.text(), city: reader.text() }
  const network = {
    organization: reader.text(),
    type: reader.text(),
    cloud_provider: reader.text(),
    cloud_region: reader.text(),
  }
  const data = { city_built_at: reader.text(), asn_built_at: reader.text() }
  const asn = reader.varint()
  return {
    session_method: methods[head & 1] ?? 'client',
    domain,
    repository,
    upstream,
    upstream_repository: upstreamRepository === '' ? repository : upstreamRepository,
    client,
    geo,
    network: { asn: asn === 0 ? null : asn - 1, ...network },
    company: (head & 16) === 0 ? null : readCompany(reader),
    data,
    privacy: { key_epoch: keyEpoch, key_scope: scopes[(head >> 1) & 1] ?? 'node' },
    node,
  }
}

function readCompany(reader: ByteReader): Company {
  return {
    name: readText(reader),
    domain: reader.text(),
    confidence: readText(reader),
    source: readText(reader),
  }
}

function writeTexts(target: ByteWriter, values: readonly (string | null)[]): void {
  for (const value of values) target.text(value)
}

function readText(reader: ByteReader): string {
  return reader.text() ?? ''
}
