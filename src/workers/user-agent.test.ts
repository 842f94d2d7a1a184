import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createUserAgentParser } from './user-agent.ts'

type Trace = {
  id: string
  client?: string
  ua?: string
  uaRef?: string
  uaRegex?: string
  pingUa?: string
  tokenUa?: string
  expect?: { automation?: boolean | string; viaCache?: string }
}

function load(name: string): Trace[] {
  const file = new URL(`../../../shared/data/${name}`, import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')).traces
}

const described = load('client-traces.json')
const captured = load('captured-traces.json')
const parse = createUserAgentParser()

const withAgent = described.map((trace) => {
  const source = trace.uaRef === undefined ? trace : described.find(({ id }) => id === trace.uaRef)
  return { ...source, ...trace, ua: source?.ua ?? '' }
})

test.each(withAgent)('$id: tool, version, platform of the host', ({ client, ua, uaRegex }) => {
  const agent = parse(ua)
  expect(agent.tool).toBe(client)
  if (uaRegex === undefined) return
  const { version, os, arch } = new RegExp(uaRegex).exec(ua)?.groups ?? {}
  if (version !== undefined) expect(agent.version).toBe(version.replace(/^v/, ''))
  expect(agent.os).toBe(os ?? (client === 'diun' ? 'linux' : null))
  expect(agent.arch).toBe(arch ?? null)
})

test.each(withAgent)('$id: automation and cache', ({ ua, expect: wanted }) => {
  const agent = parse(ua)
  if (wanted?.automation !== undefined) {
    expect(agent.automation).toBe(wanted.automation === true ? 'yes' : wanted.automation)
  }
  if (wanted?.viaCache !== undefined) expect(agent.via).toBe(`cache:${wanted.viaCache}`)
})

test.each(withAgent)('$id: one family for ping, token and resource', ({ ua, pingUa, tokenUa }) => {
  for (const other of [pingUa, tokenUa]) {
    if (other !== undefined) expect(parse(other).family).toBe(parse(ua).family)
  }
})

test.each(captured)('captured $id is recognised', ({ id, ua = '' }) => {
  const tool = id === 'docker-manifest-inspect' ? 'docker-cli' : id.split('-')[0]
  const agent = parse(ua)
  expect(agent).toMatchObject({ tool, automation: 'no', via: null })
  expect(agent.version).toMatch(/^\d+\.\d+\.\d+/)
})

const table: [string, object][] = [
  ['containerd/1.6.20~ds1', { tool: 'containerd', family: 'containerd', version: '1.6.20~ds1' }],
  ['containerd/v1.7.11-k3s2', { tool: 'containerd', version: '1.7.11-k3s2' }],
  ['containerd/1.4.3+azure', { tool: 'containerd', family: 'containerd', version: '1.4.3' }],
  ['containerd/2.3.4+unknown', { tool: 'containerd', family: 'docker', version: '2.3.4' }],
  ['buildkit/v0.25', { tool: 'buildkit', version: '0.25' }],
  ['buildkit/v0.25-dev moby/28.1', { tool: 'buildkit', version: '0.25-dev' }],
  ['libpod/4.3.1', { tool: 'podman', version: '4.3.1' }],
  ['Buildah/1.28.2', { tool: 'buildah', version: '1.28.2' }],
  ['acme-mirror skopeo/1.9.3', { tool: 'skopeo', version: '1.9.3' }],
  [
    'cri-o/1.29.1 go/go1.21.5 os/linux arch/arm64',
    { tool: 'cri-o', version: '1.29.1', os: 'linux', arch: 'arm64' },
  ],
  [
    'crane/v0.20.3 go-containerregistry/v0.20.3',
    { tool: 'crane', version: '0.20.3', os: null, arch: null, automation: 'no' },
  ],
  ['gcrane/ go-containerregistry/v0.20.3', { tool: 'crane', version: null }],
  ['go-containerregistry', { tool: 'go-containerregistry', version: null, automation: 'yes' }],
  ['oras-go', { tool: 'oras-go', automation: 'probable' }],
  ['oras/1.2.0', { tool: 'oras', version: '1.2.0' }],
  ['Trivy/0.58.0', { tool: 'trivy', version: '0.58.0', automation: 'yes' }],
  ['kaniko/v1.23.0', { tool: 'kaniko', family: 'go', automation: 'yes' }],
  ['kubelet/v1.31.2 (linux/amd64)', { tool: 'kubelet', version: '1.31.2', automation: 'yes' }],
  ['argocd-image-updater/v0.15.0', { tool: 'argocd', automation: 'yes' }],
  ['Watchtower (Docker)', { tool: 'watchtower', version: null, automation: 'yes' }],
  ['Diun/4.29.0 go/1.24.2 Linux', { tool: 'diun', os: 'linux', automation: 'yes' }],
  [
    'Renovate/39.1.0 (https://github.com/renovatebot/renovate)',
    { tool: 'renovate', version: '39.1.0', automation: 'yes' },
  ],
  ['regclient/regclient (v0.8.0)', { tool: 'regclient', family: 'regclient', via: 'cache:probable' }],
  ['regclient/regctl (v0.8.0)', { tool: 'regctl', family: 'regclient', version: '0.8.0', automation: 'no' }],
  ['regclient/regsync (v0.8.0)', { tool: 'regsync', automation: 'yes' }],
  ['harbor-registry-client', { tool: 'harbor', automation: 'yes', via: 'cache:harbor' }],
  ['spegel', { tool: 'spegel', automation: 'yes', via: 'cache:spegel' }],
  [
    'Nexus/3.60.0-02 (OSS; Linux; 5.15.0-91-generic; amd64; 1.8.0_372)',
    { tool: 'nexus', version: '3.60.0-02', os: 'linux', arch: 'amd64', via: 'cache:nexus' },
  ],
  ['Artifactory/7.37.15 73715900', { tool: 'artifactory', version: '7.37.15', via: 'cache:artifactory' }],
  ['distribution-spec-conformance-tests', { tool: 'oci-conformance', automation: 'yes' }],
  ['Go-http-client/2.0', { tool: 'go-http-client', family: 'go', version: null, automation: 'probable' }],
  ['curl/8.5.0', { tool: 'curl', version: '8.5.0' }],
  ['Wget/1.21.3', { tool: 'wget' }],
  ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36', { tool: 'browser', version: null, os: null }],
  ['docker/28.1.1', { tool: 'docker', version: '28.1.1', os: null, arch: null }],
  ['', { tool: null, family: 'other', automation: 'probable' }],
  ['alice@example.test/1.0', { tool: null, version: null }],
]

test.each(table)('%s', (userAgent, wanted) => {
  expect(parse(userAgent)).toMatchObject(wanted)
})

test('kernel, commit and strange values do not get through', () => {
  const userAgent =
    'docker/28.1.1 go/go1.23.8 git-commit/01f442b kernel/6.8.0-58-generic os/linux arch/x86_64 UpstreamClient(compose/2.29)'
  const text = JSON.stringify(parse(userAgent))
  expect(text).not.toMatch(/01f442b|6\.8\.0|compose/)
  expect(parse(userAgent).arch).toBe('amd64')
  expect(parse(`curl/${'9'.repeat(300)}`).version).toBeNull()
  expect(parse('docker/1<script> os/li"nux arch/a').version).toBeNull()
})

test('what was used last stays remembered, the rest makes room', () => {
  const small = createUserAgentParser(2)
  const first = small('curl/1')
  small('curl/2')
  expect(small('curl/1')).toBe(first)
  small('curl/3')
  expect(small('curl/1')).toBe(first)
  small('curl/4')
  small('curl/5')
  expect(small('curl/1')).not.toBe(first)
})
