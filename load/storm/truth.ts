/** What the package event of a pull must say, told from what its client did and got, and from nothing of Waybill. */
import type { PackageEvent } from '../../src/record/events.ts'
import type { Pull } from './client.ts'
import type { Exchange } from './exchange.ts'
import type { Part } from './images.ts'
import type { Mode } from './kinds.ts'
import { toolOf } from './tools.ts'

/** From when to when something was, in Unix ms: a client cannot say more of what its server noted. */
export type Span = { fromMs: number; toMs: number }

/** What an event is compared in; null in `oneOf` is a value too. */
export type Truth = {
  pull: Pull
  started: Span
  ended: Span
  /** By name of the field, nested ones with a point. */
  fields: Map<string, readonly unknown[]>
  tool: string | null
  version: string | null
  isByAddress: boolean
  tokens: number
}

export type TruthOptions = {
  mode: Mode
  domain: string
  upstream: string
  /** Name of each node, and by how much its clock is fast. */
  nodes: readonly { name: string; skewMs: number }[]
  /** Of an image without index too, whose config alone says it; else it may be null. */
  knowsPlatforms: boolean
}

const isAnswered = ({ status }: Exchange): boolean => status === 200 || status === 206
const isManifest = ({ what }: Exchange): boolean => what === 'manifests'

/** Digest of what a request is for: a tag is that of the pull's image, `sha256-….sig` its signature. */
function digestOf(pull: Pull, { what, reference, status }: Exchange): string | null {
  if (reference.startsWith('sha256:')) return reference
  if (what !== 'manifests' || status !== 200) return null
  return reference === pull.image.tag ? pull.image.digest : (pull.image.names.get('S') ?? null)
}

/** One for each event: of a tool with a token for each step, each token's part is a pull of its own, as the docs say. */
export function truthsOf(pull: Pull, options: TruthOptions): Truth[] {
  const isInspect = pull.operation.kind.groups.flat().some(({ what }) => what === 'tags')
  const isByAddress = options.mode === 'open' || toolOf(pull.userAgent).byAddress
  if (!isInspect || isByAddress) return pull.exchanges.length === 0 ? [] : [truthOf(pull, options)]
  const tokens = new Set(pull.exchanges.map(({ token }) => token))
  return [...tokens].map((token) =>
    truthOf({ ...pull, exchanges: pull.exchanges.filter((one) => one.token === token) }, options),
  )
}

function truthOf(pull: Pull, options: TruthOptions): Truth {
  const { exchanges, image } = pull
  const part = (digest: string | null): Part | undefined => image.parts.get(digest ?? '')
  const gets = exchanges.filter(({ method }) => method === 'GET')
  const manifests = exchanges.filter(isManifest)
  const blobs = gets.filter(({ what }) => what === 'blobs')
  const answeredBlobs = blobs.filter(isAnswered)
  const isOwn = ({ reference }: Exchange): boolean => part(reference)?.role !== 'attached'
  const own = blobs.filter(isOwn)
  const fetched = gets.filter((one) => isManifest(one) && isAnswered(one))
  const fetchedDigests = new Set(fetched.map((one) => digestOf(pull, one)))

  const root = manifests.find(({ reference }) => reference === image.tag || reference === image.digest)
  const isResolved = manifests.some((one) => isAnswered(one) && digestOf(pull, one) === image.digest)
  const isListing = exchanges.every(({ what }) => what === 'tags' || what === 'referrers')
  const platforms = platformsOf(pull, fetchedDigests, own, isResolved)
  const needed = new Set(platforms.flatMap((digest) => part(digest)?.contains ?? []))
  const layers = [...needed].filter((digest) => part(digest)?.role === 'layer')
  const requested = new Set(own.map(({ reference }) => reference))
  const layersRequested = [...requested].filter((digest) => part(digest)?.role === 'layer')
  const isVerify = manifests.some(({ reference }) => reference.endsWith('.sig')) && own.length === 0
  const asksSignature = isVerify && platforms.length === 0

  const ranges = new Map<string, Set<readonly [number, number]>>()
  for (const one of gets.filter(isAnswered)) {
    const digest = digestOf(pull, one)
    if (digest === null) continue
    const known = ranges.get(digest) ?? new Set()
    ranges.set(digest, known.add([one.offset, one.offset + one.bytes]))
  }
  const united = new Map([...ranges].map(([digest, set]) => [digest, unite([...set])]))
  const reachesEnd = (digest: string): boolean =>
    united.get(digest)?.some(([, to]) => to === part(digest)?.size) ?? false
  const startsLate = (digest: string): boolean => (united.get(digest)?.[0]?.[0] ?? 0) > 0
  const lengthOf = (digest: string): number =>
    (united.get(digest) ?? []).reduce((sum, [from, to]) => sum + to - from, 0)
  const isFinished = (digest: string): boolean =>
    reachesEnd(digest) && (startsLate(digest) || lengthOf(digest) === part(digest)?.size)

  function kind(): [type: string, kind: string, reason: string | null] {
    if (isListing) return ['discovery', 'discovery', null]
    const isCheck = !gets.some(({ what }) => what === 'manifests' || what === 'blobs')
    const last = exchanges.findLast(({ what }) => what === 'manifests')
    if (!isResolved && last) return [isCheck ? 'check' : 'pull', 'failed', String(last.status)]
    if (asksSignature) return ['verify', 'verify', null]
    if (isCheck) return ['check', 'check', null]
    if ([...requested].some((digest) => !isFinished(digest))) return ['pull', 'interrupted', null]
    const config = [...needed].filter((digest) => part(digest)?.role === 'config')
    const isFull = requested.size > 0 && [...config, ...layers].every((digest) => requested.has(digest))
    if (isFull) return ['pull', 'full', null]
    return ['pull', layersRequested.length === 0 ? 'manifest_only' : 'incremental', null]
  }

  const [type, name, reason] = kind()
  const asked = new Set(gets.map((one) => digestOf(pull, one)).filter((digest) => digest !== null))
  const tool = toolOf(pull.userAgent)
  const isByAddress = options.mode === 'open' || tool.byAddress
  const tokens = new Set(exchanges.map(({ token }) => token))
  const only = platforms.length === 1 ? (platforms[0] ?? null) : null
  const answeredManifests = manifests.filter(isAnswered)
  const byTag = answeredManifests.filter(({ reference }) => !reference.includes(':'))
  const isByTag = root?.reference === image.tag
  const first = exchanges.find(({ what }) => what === 'manifests' || what === 'blobs') ?? exchanges[0]
  const sum = (ones: readonly Exchange[]): number => ones.reduce((total, { bytes }) => total + bytes, 0)
  const shiftOf = ({ node }: Exchange): number => options.nodes[node]?.skewMs ?? 0

  const fields: Record<string, unknown> = {
    ...{ type, kind: name, fail_reason: reason, domain: options.domain, repository: image.repository },
    ...{ upstream: options.upstream, upstream_repository: image.repository },
    session_method: isByAddress ? 'client' : 'token',
    sessions: isByAddress ? 1 : tokens.size,
    artifact: isListing
      ? 'other'
      : type === 'verify'
        ? 'signature'
        : // Of an image of which nothing was seen nobody can say what it is; it is taken for one that runs.
          image.shape === 'helm' && isResolved
          ? 'helm'
          : 'image',
    digest: isListing || (!isResolved && isByTag) ? null : image.digest,
    platform_digest: only,
    subject: type === 'verify' ? image.digest : null,
    resumed: [...requested].some((digest) => startsLate(digest)),
    requests: exchanges.length,
    manifest_gets: fetched.length,
    manifest_heads: manifests.filter((one) => one.method === 'HEAD' && isAnswered(one)).length,
    blob_gets: answeredBlobs.length,
    layers_requested: layersRequested.length,
    layers_total: platforms.length === 0 ? null : layers.length,
    bytes_sent: sum(exchanges),
    bytes_unique: [...united.keys()].reduce((total, digest) => total + lengthOf(digest), 0),
    bytes_expected: [...asked].reduce((total, digest) => total + (part(digest)?.size ?? 0), 0),
    bytes_basis: 'observed',
    'counts.hub_pulls': [...fetchedDigests].filter((digest) => part(digest)?.role === 'platform').length,
    'counts.dvp_action':
      answeredManifests.length === 0
        ? null
        : byTag.length === 0
          ? 'pull_by_digest'
          : fetched.length > 0
            ? 'pull_by_tag'
            : 'version_check',
    'counts.scarf_pull': fetched.length > 0,
    'counts.k8s_complete_pull': answeredManifests.length > 0 && answeredBlobs.length > 0,
    'counts.config_blob_pull': answeredBlobs.some(({ reference }) => part(reference)?.role === 'config'),
    ...{ 'client.tool': tool.tool, 'client.version': tool.version, 'client.os': tool.os },
    ...{ 'client.arch': tool.arch, 'client.automation': tool.automation, 'client.via': tool.via },
    node: options.nodes[first?.node ?? 0]?.name,
    attempts: 1,
  }
  const allowed = new Map<string, readonly unknown[]>(
    Object.entries(fields).map(([field, value]) => [field, [value]]),
  )
  const platform = platforms.length > 1 ? 'multiple' : (part(only)?.platform ?? null)
  const mayBeUnknown = image.shape === 'single' && only !== null && !options.knowsPlatforms
  allowed.set('platform', mayBeUnknown ? [platform, null] : [platform])
  // A name for a digest may be known from others; it is then said to be inferred.
  allowed.set('tag', isListing ? [null] : isByTag ? [image.tag] : [null, image.tag])
  allowed.set('tag_source', isListing ? [null] : isByTag ? ['requested'] : [null, 'inferred'])
  allowed.set('batch_id', pull.isBatch && !isByAddress ? ['one'] : [null])
  return {
    pull,
    started: spanOf(
      exchanges.map((one) => [one.sentMs + shiftOf(one), one.endedMs + shiftOf(one)]),
      Math.min,
    ),
    ended: spanOf(
      exchanges.map((one) => [one.sentMs + shiftOf(one), one.endedMs + shiftOf(one)]),
      Math.max,
    ),
    fields: allowed,
    ...{ tool: tool.tool, version: tool.version, isByAddress, tokens: tokens.size },
  }
}

/** The first or the last of several moments, of each of which only the bounds are known. */
function spanOf(
  bounds: readonly (readonly [number, number])[],
  choose: (...values: number[]) => number,
): Span {
  return { fromMs: choose(...bounds.map(([from]) => from)), toMs: choose(...bounds.map(([, to]) => to)) }
}

function platformsOf(
  { image }: Pull,
  fetched: ReadonlySet<string | null>,
  own: readonly Exchange[],
  isResolved: boolean,
): string[] {
  const all = [...image.parts.values()].filter(({ role }) => role === 'platform')
  const taken = all.filter(({ digest }) => fetched.has(digest))
  if (taken.length > 0) return taken.map(({ digest }) => digest)
  if (image.parts.get(image.digest)?.role === 'platform') return isResolved ? [image.digest] : []
  if (own.length === 0) return []
  const holders = all.filter(({ contains }) => own.every(({ reference }) => contains.includes(reference)))
  return holders.length === 1 ? holders.map(({ digest }) => digest) : []
}

/** Ranges that touch or overlap become one; in order. */
function unite(ranges: (readonly [number, number])[]): [number, number][] {
  const united: [number, number][] = []
  for (const [from, to] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const last = united.at(-1)
    if (last && from <= last[1]) last[1] = Math.max(last[1], to)
    else united.push([from, to])
  }
  return united
}

/** The value of a field of an event under the name that a truth has for it. */
export function fieldOf(event: PackageEvent, field: string): unknown {
  if (field === 'sessions') return event.session_ids.length
  if (field === 'batch_id') return event.batch_id === null ? null : 'one'
  const [name = '', nested] = field.split('.')
  const value = (event as Record<string, unknown>)[name]
  return nested === undefined ? value : (value as Record<string, unknown> | null)?.[nested]
}
