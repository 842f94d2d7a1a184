/**
 * What each real client asks for when it pulls made images one after another, and the whole package event that each
 * pull must come to: the truth that a storm of them is compared with.
 */
import { expect } from 'vitest'
import type { PackageEvent } from '../../src/record/events.ts'
import type { ClientName } from './clients.ts'
import type { Blob, Image, PlatformImage } from './image.ts'
import { hostPlatform, platformOf } from './pulls.ts'

/** Of one repository, in the order that a client pulls them. */
export type Step = {
  tag: string
  image: Image
  /** Asked for by its digest instead of its tag. */
  byDigest: boolean
}

export type Place = {
  domain: string
  repository: string
  auth: 'token' | 'open'
  blobs: 'redirect' | 'stream'
  /** host:port */
  upstream: string
}

/** One that was made: where, what of, and what the client had to fetch. */
export type KnownPull = {
  client: ClientName
  release: string
  place: Place
  step: Step
  heads: number
  manifests: Blob[]
  configs: Blob[]
  layers: Blob[]
  layersTotal: number
  platforms: PlatformImage[]
  /** Unix ms before the client was started and after it had ended. */
  startedMs: number
  endedMs: number
}

type Asked = Pick<KnownPull, 'heads' | 'manifests' | 'configs' | 'layers' | 'layersTotal' | 'platforms'>

/**
 * `before`: what the client pulled of the repository. The Docker engine and containerd ask for the head first, and for
 * nothing when they have what it names; podman and buildah ask for manifests and config in any case, for no layer that
 * they have; skopeo keeps nothing and was told to copy all platforms.
 */
export function askedFor(client: ClientName, step: Step, before: readonly Step[]): Asked {
  const { image } = step
  const all = client === 'skopeo'
  const asksHead = client === 'containerd' || (client === 'docker' && !step.byDigest)
  const platforms = all ? image.images : [platformOf(image)]
  const had = new Set(
    all ? [] : before.flatMap((each) => platformOf(each.image).layers.map(({ digest }) => digest)),
  )
  const isKnown = before.some((each) => each.image.digest === image.digest)
  const answersItself = isKnown && (client === 'docker' || client === 'containerd')
  const layers = platforms.flatMap((platform) => platform.layers)
  return {
    heads: asksHead ? 1 : 0,
    platforms: answersItself ? [] : platforms,
    manifests: answersItself
      ? []
      : [...(image.index ? [image.index] : []), ...platforms.map(({ manifest }) => manifest)],
    configs: answersItself ? [] : platforms.map(({ config }) => config),
    layers: answersItself ? [] : layers.filter(({ digest }) => !had.has(digest)),
    layersTotal: layers.length,
  }
}

const idText = expect.stringMatching(/^[0-9a-f]{32}$/)
const sum = (blobs: readonly Blob[]): number => blobs.reduce((total, { size }) => total + size, 0)

function kindOf({ manifests, layers, layersTotal }: KnownPull): string {
  if (manifests.length === 0) return 'check'
  if (layers.length === 0) return 'manifest_only'
  return layers.length < layersTotal ? 'incremental' : 'full'
}

/** Every field; those that only Waybill can choose by their form. */
export function expectedEvent(pull: KnownPull): object {
  const { client, place, step, heads, manifests, configs, layers, platforms } = pull
  const isCheck = manifests.length === 0
  const [only] = platforms
  const blobGets = configs.length + layers.length
  const expectedBytes = sum(manifests) + sum(configs) + sum(layers)
  const redirected = place.blobs === 'redirect' && !isCheck
  const sent = redirected ? sum(manifests) : expectedBytes
  return {
    schema: 'waybill.package-event/1',
    id: idText,
    // containerd takes one token to resolve and one to fetch.
    session_ids: client === 'containerd' && place.auth === 'token' && !isCheck ? [idText, idText] : [idText],
    session_method: place.auth === 'token' ? 'token' : 'client',
    ...{ type: isCheck ? 'check' : 'pull', kind: kindOf(pull) },
    ...{ started_at: expect.any(String), ended_at: expect.any(String), duration_ms: expect.any(Number) },
    ...{ domain: place.domain, repository: place.repository, artifact: 'image' },
    ...{ upstream: place.upstream, upstream_repository: place.repository },
    ...{ tag: step.byDigest ? null : step.tag, tag_source: step.byDigest ? null : 'requested' },
    digest: step.image.digest,
    platform: platforms.length > 1 ? 'multiple' : (only?.platform ?? null),
    platform_digest: platforms.length === 1 ? only?.manifest.digest : null,
    ...{ subject: null, batch_id: null, resumed: false, attempts: 1, fail_reason: null, checks: null },
    requests: heads + manifests.length + blobGets,
    ...{ manifest_gets: manifests.length, manifest_heads: heads, blob_gets: blobGets },
    ...{ layers_requested: layers.length, layers_total: isCheck ? null : pull.layersTotal },
    ...{ bytes_sent: sent, bytes_unique: sent, bytes_expected: expectedBytes },
    bytes_basis: redirected ? 'redirected' : 'observed',
    counts: {
      hub_pulls: platforms.length,
      dvp_action: step.byDigest ? 'pull_by_digest' : isCheck ? 'version_check' : 'pull_by_tag',
      scarf_pull: !isCheck,
      k8s_complete_pull: blobGets > 0,
      config_blob_pull: configs.length > 0,
    },
    client: {
      ...{ id: idText, endpoint_id: idText, tool: client },
      // podman says its library's version, and the Docker engine alone what it runs on.
      version: client === 'podman' ? expect.stringMatching(/^\d+\.\d+\.\d+$/) : pull.release,
      os: client === 'docker' ? hostPlatform.split('/')[0] : null,
      arch: client === 'docker' ? hostPlatform.split('/')[1] : null,
      ...{ automation: 'no', via: null },
    },
    geo: { country: null, region: null, city: null },
    network: { asn: null, organization: null, type: 'private', cloud_provider: null, cloud_region: null },
    company: null,
    data: { city_built_at: null, asn_built_at: null },
    privacy: { key_epoch: expect.any(String), key_scope: 'node' },
    node: expect.any(String),
  }
}

/**
 * Both in one order: by client, repository, image and kind, then by time. Where two clients of a tool pulled the same at
 * the same time, which event is whose cannot be told, and need not be.
 */
export function inOrder(events: readonly PackageEvent[], pulls: readonly KnownPull[]) {
  const told = events.map((event) => ({
    event,
    key: [event.client.tool, event.repository, event.digest, event.kind].join(' '),
    startedMs: Date.parse(event.started_at),
  }))
  const known = pulls.map((pull) => ({
    pull,
    key: [pull.client, pull.place.repository, pull.step.image.digest, kindOf(pull)].join(' '),
    startedMs: pull.startedMs,
  }))
  return {
    events: told.sort(byKeyAndTime).map(({ event }) => event),
    pulls: known.sort(byKeyAndTime).map(({ pull }) => pull),
  }
}

type Keyed = { key: string; startedMs: number }

function byKeyAndTime(a: Keyed, b: Keyed): number {
  if (a.key !== b.key) return a.key < b.key ? -1 : 1
  return a.startedMs - b.startedMs
}

/**
 * Events that no pull can have made, by their times. Of two containerds that want the same image behind one address the
 * HEAD of one and the GETs of the other may become one event: each takes a token for either, and nothing else tells
 * them apart (docs/sessions.md). So such an event begins within one of their pulls and ends within another.
 */
export function timesWithoutPull(events: readonly PackageEvent[], pulls: readonly KnownPull[]): string[] {
  return events.flatMap(({ started_at, ended_at, duration_ms, client, repository, digest }) => {
    const [from, to] = [Date.parse(started_at), Date.parse(ended_at)]
    const same = pulls.filter(
      (pull) =>
        pull.client === client.tool &&
        pull.place.repository === repository &&
        pull.step.image.digest === digest,
    )
    // Times are rounded to milliseconds.
    const within = (pull: KnownPull, ms: number) => ms >= pull.startedMs - 1 && ms <= pull.endedMs + 1
    const fits =
      client.tool === 'containerd'
        ? same.some((pull) => within(pull, from)) && same.some((pull) => within(pull, to))
        : same.some((pull) => within(pull, from) && within(pull, to))
    return fits && to - from === duration_ms
      ? []
      : [`${client.tool} ${repository}: ${started_at} ${ended_at}`]
  })
}
