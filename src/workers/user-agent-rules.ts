/**
 * The clients that are known by their User-Agent: a table, first match wins. `version`, `os` and `arch` are
 * named groups; everything else of the string (kernel, commit, suffixes) is left behind.
 */
import type { Automation } from '../record/events.ts'

export type UserAgentRule = {
  tool: string
  /**
   * One value for all User-Agents that one tool sends in a pull, so that ping, token and resource requests
   * have one client id.
   */
  family: string
  automation: Automation
  via: string | null
  pattern: RegExp
}

type Traits = { family?: string; automation?: Automation; via?: string }

function rule(tool: string, pattern: RegExp, traits: Traits = {}): UserAgentRule {
  return {
    tool,
    family: traits.family ?? tool,
    automation: traits.automation ?? 'no',
    via: traits.via ?? null,
    pattern,
  }
}

function cache(tool: string, pattern: RegExp): UserAgentRule {
  return rule(tool, pattern, { automation: 'yes', via: `cache:${tool}` })
}

/** What is taken for granted of a client that no rule knows: people use tools that say who they are. */
export const unknownAgent = { tool: null, family: 'other', automation: 'probable', via: null } as const

/**
 * Family `docker`: the engine with the containerd store asks for its token as `containerd/…+unknown`.
 * Family `go`: programs on Go's registry libraries ping or ask for tokens as `Go-http-client`; Watchtower too.
 * `automation` is what the tool says by itself (see automation.ts): `yes` for mirrors, pollers, scanners, builders
 * without a person and kubelets, `probable` for bare libraries, `no` for what people type.
 * BuildKit keeps its own family: its token is often fetched from another machine, so nothing is lost.
 */
export const userAgentRules: readonly UserAgentRule[] = [
  // Engines and runtimes. `os` and `arch` of docker are the daemon's, not the image's.
  rule('docker', /^docker\/(?<version>\S+)(?: .*? ?os\/(?<os>\S+) arch\/(?<arch>\S+))?/),
  rule('containerd', /^containerd\/v?(?<version>\d[^\s+]*)\+unknown/, { family: 'docker' }),
  rule('containerd', /^containerd\/v?(?<version>\d[^\s+]*)/),
  rule('buildkit', /^buildkit\/v?(?<version>\d\S*)/),
  rule('cri-o', /^cri-o\/(?<version>\S+)(?: go\/\S+ os\/(?<os>\S+) arch\/(?<arch>\S+))?/),
  // podman sends the name and version of its library, as does any other program on it without a name of its own.
  rule('podman', /^containers\/(?<version>\S+) \(github\.com\/containers\/image\)/),
  rule('podman', /^libpod\/(?<version>\S+)/),
  rule('buildah', /^[Bb]uildah\/(?<version>\S+)/),
  rule('skopeo', /(?:^|\s)skopeo\/(?<version>\S+)$/),

  // Command-line tools. crane's default platform is linux/amd64 wherever it runs: it says nothing of its host.
  rule('cosign', /^cosign\/(?<version>\S+) \((?<os>[^;]+); (?<arch>[^)]+)\)/),
  rule('crane', /^g?crane\/(?<version>\S*) go-containerregistry/),
  rule('helm', /^Helm\/(?<version>\S+)$/),
  rule('oras', /^oras\/(?<version>\S+)/),
  rule('regctl', /^regclient\/regctl(?: \((?<version>[^)\s]+)\))?/, { family: 'regclient' }),
  // `docker manifest inspect`; Cloudflare's serverless-registry says exactly `Docker-Client/24.0.5 (linux)` too.
  rule('docker-cli', /^Docker-Client\/(?<version>\S+) \((?<os>\w+)\)$/),

  // Pull-through caches and mirrors: they ask on behalf of others.
  cache('harbor', /^harbor-registry-client\b/),
  cache('nexus', /^Nexus\/(?<version>\S+) \((?:[^;)]*; (?<os>[^;)]+); [^;)]+; (?<arch>[^;)]+))?/),
  cache('artifactory', /^Artifactory\/(?<version>\S+)/),
  cache('spegel', /^spegel\b/),

  // Scanners look into every image there is.
  rule('trivy', /^trivy\/(?<version>\S+)/i, { automation: 'yes' }),
  rule('grype', /^grype\/(?<version>\S+)/i, { automation: 'yes' }),
  rule('syft', /^(?:anchore-)?syft\/(?<version>\S+)/i, { automation: 'yes' }),
  rule('clair', /^clair(?:core)?\/v?(?<version>\S+)/i, { automation: 'yes' }),
  rule('snyk', /^snyk[\w-]*\/(?<version>\S+)/i, { automation: 'yes' }),
  rule('docker-scout', /^docker-?scout\/v?(?<version>\S+)/i, { automation: 'yes' }),
  rule('neuvector', /^neuvector\b(?:\/(?<version>\S+))?/i, { automation: 'yes' }),

  // Builders and what deploys: CI and clusters, never a person at a keyboard.
  rule('kaniko', /^kaniko\/(?<version>\S+)/i, { family: 'go', automation: 'yes' }),
  rule('flux', /^(?:flux|source-controller|image-reflector-controller)\/v?(?<version>\S+)/i, {
    automation: 'yes',
  }),
  rule('argocd', /^argocd-[\w-]+\/v?(?<version>\S+)/i, { automation: 'yes' }),
  rule('keel', /^keel\b(?:\/(?<version>\S+))?/i, { automation: 'yes' }),
  rule('kubelet', /^kubelet\/v?(?<version>\S+)/i, { automation: 'yes' }),
  rule('jib', /^jib\b[^/]*(?:\/(?<version>\S+))?/i, { automation: 'yes' }),
  rule('dependabot', /^dependabot[\w-]*\/(?<version>\S+)/i, { automation: 'yes' }),

  // Watchers and robots.
  rule('watchtower', /^Watchtower(?:\/(?<version>\S+)| \(Docker\))/, { family: 'go', automation: 'yes' }),
  rule('diun', /^[Dd]iun\/(?<version>\S+) go\/\S+ (?<os>\S+)/, { automation: 'yes' }),
  rule('renovate', /^Renovate\/(?<version>\S+)/, { automation: 'yes' }),
  rule('regsync', /^regclient\/regsync(?: \((?<version>[^)\s]+)\))?/, {
    family: 'regclient',
    automation: 'yes',
  }),
  rule('regbot', /^regclient\/regbot(?: \((?<version>[^)\s]+)\))?/, {
    family: 'regclient',
    automation: 'yes',
  }),
  rule('oci-conformance', /^distribution-spec-conformance-tests$/, { automation: 'yes' }),

  // Libraries without a name of the program. go-containerregistry: kaniko, flux and other controllers and
  // builders; whoever types a command has crane or cosign.
  rule('go-containerregistry', /^go-containerregistry(?:\/(?<version>\S+))?$/, {
    family: 'go',
    automation: 'yes',
  }),
  rule('oras-go', /^oras-go(?:\/(?<version>\S+))?$/, { automation: 'probable' }),
  // zot's mirroring says exactly this, and so do other programs on the library.
  rule('regclient', /^regclient\/regclient(?: \((?<version>[^)\s]+)\))?/, {
    automation: 'probable',
    via: 'cache:probable',
  }),
  // The distribution registry as a mirror, keel, Argo CD's image updater. The number is that of HTTP.
  rule('go-http-client', /^Go-http-client\//, {
    family: 'go',
    automation: 'probable',
    via: 'cache:probable',
  }),
  rule('curl', /^curl\/(?<version>\S+)/, { automation: 'probable' }),
  rule('wget', /^Wget\/(?<version>\S+)/, { automation: 'probable' }),
  rule('python-requests', /^python-requests\/(?<version>\S+)/, { automation: 'probable' }),
  rule('browser', /^Mozilla\/5\.0 /),
]
