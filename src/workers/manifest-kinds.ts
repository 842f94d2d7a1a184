/** What a manifest is, by the media types in it: a table, first match wins. */
import type { Manifest } from '../record/events.ts'
import { imageConfigTypes } from '../record/image-config.ts'

/** The media types that say what an artefact is. */
export type ManifestTypes = {
  artifactType: string | null
  config: string | null
  /** Without the empty descriptor. */
  layers: readonly string[]
  /** Predicate type of a Sigstore bundle, from the manifest's annotations. */
  predicate: string | null
}

type Kind = Exclude<Manifest['kind'], 'index'>

/** OCI image-spec 1.1: stands for "no config" or "no layer". */
export const emptyMediaType = 'application/vnd.oci.empty.v1+json'

const helmConfig = 'application/vnd.cncf.helm.config.v1+json'

const signatureLayer = /^application\/vnd\.dev\.cosign\.simplesigning\.v1\+json$/
const attestationLayer = /^application\/(?:vnd\.dsse\.envelope|vnd\.in-toto)(?:\.v1)?\+(?:json|dsse)$/
const sbomLayer =
  /^(?:text\/spdx(?:\+\w+)?|application\/(?:spdx\+json|vnd\.cyclonedx(?:\+\w+)?|vnd\.syft\+json))$/

const signatureArtifact =
  /^application\/vnd\.(?:dev\.cosign\.artifact\.sig\.v1\+json|cncf\.notary\.signature)$/
const attestationArtifact =
  /^application\/vnd\.(?:dev\.cosign\.artifact\.att\.v1|docker\.attestation\.manifest\.v1|in-toto)\+json$/
const sbomArtifact = /^application\/vnd\.dev\.cosign\.artifact\.sbom\.v1\+json$/

/** cosign 3 puts signatures and attestations alike in bundles; the predicate tells them apart. */
const sigstoreBundle = /^application\/vnd\.dev\.sigstore\.bundle(?:\.v[\d.]+)?\+json/
const signaturePredicate = 'https://sigstore.dev/cosign/sign/v1'

function has(types: ManifestTypes, artifact: RegExp, layer: RegExp): boolean {
  if (types.artifactType !== null && artifact.test(types.artifactType)) return true
  // Older tools set no artifact type; some put it where the config's type stands.
  if (types.config !== null && artifact.test(types.config)) return true
  return types.layers.length > 0 && types.layers.every((type) => layer.test(type))
}

function isBundle({ artifactType, layers }: ManifestTypes): boolean {
  return [artifactType ?? '', ...layers].some((type) => sigstoreBundle.test(type))
}

/** Artefacts come first: many of them carry the config of an image, for registries that ask for one. */
const rules: readonly { kind: Kind; matches: (types: ManifestTypes) => boolean }[] = [
  { kind: 'helm', matches: ({ config }) => config === helmConfig },
  { kind: 'signature', matches: (types) => has(types, signatureArtifact, signatureLayer) },
  {
    kind: 'attestation',
    matches: (types) => isBundle(types) && types.predicate !== null && types.predicate !== signaturePredicate,
  },
  { kind: 'signature', matches: isBundle },
  { kind: 'attestation', matches: (types) => has(types, attestationArtifact, attestationLayer) },
  { kind: 'sbom', matches: (types) => has(types, sbomArtifact, sbomLayer) },
  { kind: 'sbom', matches: ({ artifactType }) => artifactType !== null && sbomLayer.test(artifactType) },
  { kind: 'image', matches: ({ config }) => config !== null && imageConfigTypes.has(config) },
]

export function kindOf(types: ManifestTypes): Kind {
  return rules.find(({ matches }) => matches(types))?.kind ?? 'other'
}
