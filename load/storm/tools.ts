/** What the User-Agents of the storm's clients say, written down apart from Waybill's own table. */

export type Tool = {
  tool: string | null
  version: string | null
  os: string | null
  arch: string | null
  automation: 'yes' | 'probable' | 'no'
  via: string | null
  /** Waybill tells its pulls apart by address and tool in token mode too, as it takes a token for each step. */
  byAddress: boolean
}

const none = { version: null, os: null, arch: null, automation: 'no', via: null, byAddress: false } as const

const tools: readonly [start: RegExp, tool: Partial<Tool>][] = [
  [/^docker\/(?<version>\S+) .*os\/(?<os>\S+) arch\/(?<arch>\S+)/, { tool: 'docker' }],
  [/^containerd\/v?(?<version>\S+)/, { tool: 'containerd' }],
  [/^containers\/(?<version>\S+)/, { tool: 'podman' }],
  [/^Buildah\/(?<version>\S+)/, { tool: 'buildah' }],
  [/^skopeo\/(?<version>\S+)/, { tool: 'skopeo' }],
  [/^crane\/v(?<version>\S+)/, { tool: 'crane' }],
  [/^go-containerregistry\/v(?<version>\S+)/, { tool: 'go-containerregistry', automation: 'yes' }],
  [/^Helm\/(?<version>\S+)/, { tool: 'helm' }],
  [/^cosign\/v(?<version>\S+) \((?<os>\w+); (?<arch>\w+)\)/, { tool: 'cosign', byAddress: true }],
  [/^Watchtower\/v(?<version>\S+)/, { tool: 'watchtower', automation: 'yes' }],
  [/^diun\/(?<version>\S+) go\/\S+ (?<os>\S+)/, { tool: 'diun', automation: 'yes', byAddress: true }],
  [/^Docker-Client\/(?<version>\S+) \((?<os>\w+)\)/, { tool: 'docker-cli', byAddress: true }],
  [
    /^Go-http-client\//,
    { tool: 'go-http-client', automation: 'probable', via: 'cache:probable', byAddress: true },
  ],
]

export function toolOf(userAgent: string): Tool {
  for (const [start, tool] of tools) {
    const match = start.exec(userAgent)
    if (!match) continue
    const { version = null, os, arch = null } = match.groups ?? {}
    return { ...none, tool: null, ...tool, version, os: os?.toLowerCase() ?? null, arch }
  }
  return { ...none, tool: null, automation: 'probable' }
}
