/**
 * Sessions for tests: invented images with their graph, and facts from lines such as `0.3 GET blobs/L1 206 sent=10`.
 */
import { createHash } from 'node:crypto'
import type { Manifest } from '../../record/events.ts'
import { type SummaryInput, summarise } from '../summarise.ts'
import type { Fact, FactContext, Graph, Summary } from '../types.ts'

/** Every name stands for a digest of its own. */
export function digestOf(name: string): string {
  return `sha256:${createHash('sha256').update(name).digest('hex')}`
}

/** Sizes by name that differ from each other, so that a sum shows what is in it. */
export function sizeOf(name: string): number {
  const number = Number.parseInt(digestOf(name).slice(7, 11), 16)
  return /^[IMAS]/.test(name) ? 500 + (number % 500) : 5_000 + number
}

export type ManifestSpec = {
  kind?: Manifest['kind']
  config?: string | null
  configType?: string
  layers?: string[]
  foreign?: string[]
  layerType?: string
  subject?: string
  /** That of its config, which is put into the graph with it. */
  platform?: string
  /** Of an index: name → platform, or `attests NAME`. */
  children?: Record<string, string | null>
}

const imageType = 'application/vnd.oci.image.manifest.v1+json'

function descriptor(name: string, mediaType: string): { digest: string; size: number; media_type: string } {
  return { digest: digestOf(name), size: sizeOf(name), media_type: mediaType }
}

function createManifest(name: string, spec: ManifestSpec): Manifest {
  const children = Object.entries(spec.children ?? {})
  const layerType = spec.layerType ?? 'application/vnd.oci.image.layer.v1.tar+gzip'
  const layers = [...(spec.layers ?? []), ...(spec.foreign ?? [])]
  return {
    schema: 'waybill.manifest/1',
    digest: digestOf(name),
    size: sizeOf(name),
    media_type: imageType,
    kind: spec.kind ?? (children.length > 0 ? 'index' : 'image'),
    artifact_type: null,
    subject: spec.subject === undefined ? null : digestOf(spec.subject),
    config: spec.config
      ? descriptor(spec.config, spec.configType ?? 'application/vnd.oci.image.config.v1+json')
      : null,
    layers: layers.map((layer) => ({
      ...descriptor(
        layer,
        layer.endsWith('.prov') ? 'application/vnd.cncf.helm.chart.provenance.v1.prov' : layerType,
      ),
      foreign: spec.foreign?.includes(layer) ?? false,
    })),
    manifests: children.map(([child, platform]) => {
      const attests = platform?.startsWith('attests ') ? digestOf(platform.slice(8)) : null
      return {
        ...descriptor(child, imageType),
        platform: attests === null ? platform : null,
        attestation_of: attests,
      }
    }),
    platform: null,
  }
}

function createConfig({ config }: Manifest, platform: string): Manifest[] {
  if (config === null) return []
  const node = createManifest('', {})
  return [{ ...node, ...config, kind: 'other', platform }]
}

export function createGraph(manifests: Record<string, ManifestSpec>): Graph {
  const made = Object.entries(manifests).flatMap(([name, spec]) => {
    const manifest = createManifest(name, spec)
    return [manifest, ...(spec.platform === undefined ? [] : createConfig(manifest, spec.platform))]
  })
  return new Map(made.map((manifest) => [manifest.digest, manifest]))
}

/** One image for two platforms with an attestation, as that of the captured traces. */
export function createImageGraph(layers: string[] = ['L1', 'L2', 'L3']): Graph {
  return createGraph({
    I: { children: { M: 'linux/amd64', M2: 'linux/arm64/v8', A: 'attests M' } },
    M: { config: 'C', layers },
    M2: { config: 'C2', layers: [layers[0] ?? 'L1', 'L2.2', 'L2.3'] },
    A: { kind: 'attestation', config: 'A.config', layers: ['A.layer1'] },
    S: { kind: 'signature', config: 'S.config', layers: ['S.layer1'], subject: 'I' },
  })
}

export function createContext(tool = 'docker', method: 'token' | 'client' = 'client'): FactContext {
  return {
    session_method: method,
    domain: 'cr.example.io',
    repository: 'foo',
    upstream: 'registry.example.com',
    upstream_repository: 'acme/foo',
    client: {
      id: '1'.repeat(32),
      endpoint_id: '2'.repeat(32),
      tool,
      version: '1.0',
      os: null,
      arch: null,
      automation: 'no',
      via: null,
    },
    geo: { country: 'SE', region: null, city: null },
    network: { asn: 29518, organization: null, type: null, cloud_provider: null, cloud_region: null },
    company: null,
    data: { city_built_at: null, asn_built_at: null },
    privacy: { key_epoch: '2026-11-21', key_scope: 'node' },
    node: 'node-of-the-fact',
  }
}

export type SessionSpec = {
  tool?: string
  method?: 'token' | 'client'
  /** Tag → name of what it resolves to; a tag that is missing resolves to `I`. */
  tags?: Record<string, string | null>
}

export const startMs = Date.UTC(2026, 10, 21, 12, 0, 0)

function parseReference(text: string): string {
  const attached = /^sha256-hex\((.+)\)(.*)$/.exec(text)
  if (attached?.[1] !== undefined) return `sha256-${digestOf(attached[1]).slice(7)}${attached[2]}`
  return /^(?:[IMCASL]|other|X)[A-Z0-9.]*\w*$/.test(text) ? digestOf(text) : text
}

function parseOptions(words: string[]): Map<string, string> {
  return new Map(
    words.map((word) => (/^\d{3}$/.test(word) ? ['status', word] : (word.split('=') as [string, string]))),
  )
}

/**
 * `SECONDS [TOKEN] METHOD PATH [STATUS] [options]`; options: `range=N-`, `sent=N[/SIZE]`, `took=MS`, `aborted`,
 * `heartbeat`, `unsized`, `nodigest`, `tool=NAME`. What is not said is a whole, immediate answer.
 */
export function parseFact(line: string, index: number, spec: SessionSpec = {}): Fact {
  const words = line.trim().split(/\s+/)
  const seconds = Number(words.shift())
  const token = /^n\d+$/.test(words[0] ?? '') ? words.shift() : undefined
  const [method, path] = [words.shift() as 'GET' | 'HEAD', words.shift() ?? '']
  const options = parseOptions(words)
  const [area = '', name = ''] = path.split('/')
  const requestClass = (
    { manifests: 'manifest', blobs: 'blob', tags: 'tags', referrers: 'referrers' } as const
  )[area]
  if (requestClass === undefined) throw new Error(`no such path: ${line}`)
  const offset = Number.parseInt(options.get('range') ?? '0', 10)
  const status = Number(options.get('status') ?? (offset > 0 ? 206 : 200))
  const reference = requestClass === 'tags' ? null : parseReference(name)
  const ok = status === 200 || status === 206
  const byDigest = reference?.includes(':') ?? false
  const target = byDigest
    ? name
    : spec.tags && name in spec.tags
      ? spec.tags[name]
      : /^sha256-/.test(name)
        ? 'S'
        : 'I'
  const [sent, size] = (options.get('sent') ?? '').split('/')
  const whole = size ? Number(size) : sizeOf(target ?? name)
  const delivered = method === 'GET' && ok ? (sent ? Number(sent) : whole - offset) : 0
  const known = (ok || byDigest) && requestClass !== 'tags' && target !== null && !options.has('nodigest')
  return {
    id: `${'0'.repeat(20)}${index.toString(16).padStart(12, '0')}`,
    heartbeat: options.has('heartbeat'),
    sessionId: token === undefined ? 'c'.repeat(32) : token.padEnd(32, '0'),
    time: startMs + Math.round(seconds * 1000),
    durationMs: Number(options.get('took') ?? 1),
    method,
    class: requestClass,
    reference,
    digest: known ? digestOf(target ?? name) : null,
    status,
    outcome: status >= 300 && status < 400 ? 'redirect' : 'relay',
    bytesSent: delivered,
    offset: ok ? offset : 0,
    size: ok && requestClass !== 'tags' && !options.has('unsized') ? whole : null,
    aborted: options.has('aborted'),
    context: createContext(
      options.get('tool') ?? spec.tool,
      spec.method ?? (token === undefined ? 'client' : 'token'),
    ),
  }
}

export function parseFacts(lines: readonly string[], spec: SessionSpec = {}): Fact[] {
  return lines.map((line, index) => parseFact(line, index + 1, spec))
}

export function run(facts: readonly Fact[], graph: Graph, changes: Partial<SummaryInput> = {}): Summary {
  return summarise({
    sessionId: 'c'.repeat(32),
    facts,
    graph,
    watermark: startMs,
    closing: true,
    idleMs: 60_000,
    node: 'node-of-the-summary',
    ...changes,
  })
}
