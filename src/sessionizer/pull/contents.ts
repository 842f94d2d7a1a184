/**
 * What a digest leads to by the manifest graph (10.1): index → manifests → config and layers, each with its role.
 */
import type { Manifest } from '../../record/events.ts'
import { imageConfigTypes } from '../../record/image-config.ts'
import type { Graph } from '../types.ts'

/**
 * `platform`: a manifest that is pulled for itself (image, chart, other artifact). `attached`: a signature,
 * attestation or SBOM. `unknown`: not in the graph.
 */
export type ManifestRole = 'index' | 'platform' | 'attached' | 'unknown'

/**
 * `optional`: belongs to the artifact, but is fetched only on demand. `empty`: the config of artifacts that have none,
 * which need not be fetched. `attached`: of an attached manifest.
 */
export type BlobRole = 'config' | 'empty' | 'layer' | 'optional' | 'foreign' | 'attached'

/** `known`: in the graph, so that all it leads to is here. */
export type ManifestUse = { role: ManifestRole; known: boolean; size: number | null; platform: string | null }
export type BlobUse = { manifest: string; role: BlobRole; size: number }

export type UsedBlob = { digest: string; role: BlobRole }

export type Contents = {
  root: string
  /** The root, and of an index its children. */
  manifests: ReadonlyMap<string, ManifestUse>
  /** Every use of each blob: layers are shared between manifests (10.3-21). */
  blobs: ReadonlyMap<string, readonly BlobUse[]>
  /** What each of its manifests uses. */
  used: ReadonlyMap<string, readonly UsedBlob[]>
}

/** Indexes in indexes are legal but rare; deeper ones are not followed. */
const maxDepth = 3

/** Fetched by `helm pull --prov` alone; a chart is whole without it (10.3-7: "+ provenance"). */
const provenanceType = 'application/vnd.cncf.helm.chart.provenance.v1.prov'

/** OCI image spec 1.1, "Guidance for an Empty Descriptor". */
const emptyType = 'application/vnd.oci.empty.v1+json'

export function isAttachedKind(kind: Manifest['kind']): boolean {
  return kind === 'signature' || kind === 'attestation' || kind === 'sbom'
}

/** The graph has configs of images, too, which are no manifests whoever asks for them as such. */
export function manifestIn(graph: Graph, digest: string): Manifest | undefined {
  const node = graph.get(digest)
  return node === undefined || imageConfigTypes.has(node.media_type) ? undefined : node
}

/** The digest of the config that says an image's platform. */
export function imageConfigOf(manifest: Manifest | undefined): string | null {
  const config = manifest?.kind === 'image' ? manifest.config : null
  return config !== null && imageConfigTypes.has(config.media_type) ? config.digest : null
}

function platformOf(manifest: Manifest, graph: Graph): string | null {
  // What was stored before configs were read has no such field.
  return graph.get(imageConfigOf(manifest) ?? '')?.platform ?? null
}

function roleOf(manifest: Manifest | undefined): ManifestRole {
  if (manifest === undefined) return 'unknown'
  if (manifest.kind === 'index') return 'index'
  return isAttachedKind(manifest.kind) ? 'attached' : 'platform'
}

function layerRole(manifest: Manifest, layer: Manifest['layers'][number]): BlobRole {
  if (layer.foreign) return 'foreign'
  return manifest.kind === 'helm' && layer.media_type === provenanceType ? 'optional' : 'layer'
}

function readContents(root: string, graph: Graph): Contents {
  const manifests = new Map<string, ManifestUse>()
  const blobs = new Map<string, BlobUse[]>()
  const used = new Map<string, UsedBlob[]>()

  function addBlob(digest: string, use: BlobUse): void {
    const own = used.get(use.manifest)
    if (own === undefined) used.set(use.manifest, [{ digest, role: use.role }])
    else own.push({ digest, role: use.role })
    const uses = blobs.get(digest)
    if (uses === undefined) blobs.set(digest, [use])
    else uses.push(use)
  }

  function addBlobs(manifest: Manifest, role: ManifestRole): void {
    const attached = role === 'attached'
    if (manifest.config !== null) {
      const { digest, size, media_type } = manifest.config
      const configRole = media_type === emptyType ? 'empty' : 'config'
      addBlob(digest, { manifest: manifest.digest, role: attached ? 'attached' : configRole, size })
    }
    for (const layer of manifest.layers) {
      const blobRole = attached ? 'attached' : layerRole(manifest, layer)
      addBlob(layer.digest, { manifest: manifest.digest, role: blobRole, size: layer.size })
    }
  }

  function visit(digest: string, use: Omit<ManifestUse, 'known'>, depth: number): void {
    if (manifests.has(digest)) return
    const manifest = manifestIn(graph, digest)
    if (manifest === undefined) {
      manifests.set(digest, { ...use, known: false })
      return
    }
    // What an index says of it comes first.
    const platform = use.platform ?? platformOf(manifest, graph)
    manifests.set(digest, { ...use, platform, known: true })
    if (manifest.kind !== 'index') return addBlobs(manifest, use.role)
    if (depth >= maxDepth) return
    for (const child of manifest.manifests) {
      const known = roleOf(manifestIn(graph, child.digest))
      // A child that was never seen is an image unless its index says that it is an attestation.
      const role = child.attestation_of !== null ? 'attached' : known === 'unknown' ? 'platform' : known
      visit(child.digest, { role, size: child.size, platform: child.platform }, depth + 1)
    }
  }

  const manifest = manifestIn(graph, root)
  visit(root, { role: roleOf(manifest), size: manifest?.size ?? null, platform: null }, 0)
  return { root, manifests, blobs, used }
}

/** Reads contents and remembers them: a session asks for the same few roots for each of its facts. */
export function createContentsReader(graph: Graph): (root: string) => Contents {
  const known = new Map<string, Contents>()
  return (root) => {
    const seen = known.get(root)
    if (seen !== undefined) return seen
    const contents = readContents(root, graph)
    known.set(root, contents)
    return contents
  }
}
