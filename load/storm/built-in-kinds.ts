/** Clients for when there are no recorded traces: how docker, containerd, podman, skopeo, crane and watchers ask. */
import type { RecordedTrace, TraceStep } from './kinds.ts'

const get = (p: string, s = 200, par?: number): TraceStep => ({ m: 'GET', p, s, ...(par && { par }) })
const head = (p: string, s = 200): TraceStep => ({ m: 'HEAD', p, s })
const manifest = (name: string): string => `/v2/{n}/manifests/${name}`
const ping = get('/v2/', 401)
const token = get('{realm}?scope=repository%3A{n}%3Apull&service={service}')
const blobs = ['{C}', '{L1}', '{L2}', '{L3}'].map((name) => get(`/v2/{n}/blobs/${name}`, 200, 1))
const rest = [get(manifest('{M}')), ...blobs]

const docker =
  'docker/28.1.1 go/go1.23.8 git-commit/01f442b kernel/6.8.0 os/linux arch/amd64 UpstreamClient(Docker-Client/28.1.1 \\(linux\\))'
const containerd = 'containerd/v2.1.4'
const challengedHead = (name: string): TraceStep[] => [head(manifest(name), 401), token, head(manifest(name))]

export const builtInTraces: readonly RecordedTrace[] = [
  {
    id: 'docker-cold',
    ua: docker,
    steps: [ping, token, head(manifest('{t}')), get(manifest('{I}')), ...rest],
  },
  { id: 'docker-check', ua: docker, steps: [ping, token, head(manifest('{t}'))] },
  { id: 'containerd-cold', ua: containerd, steps: [...challengedHead('{t}'), get(manifest('{I}')), ...rest] },
  { id: 'containerd-check', ua: containerd, steps: challengedHead('{t}') },
  {
    id: 'containerd-by-digest',
    ua: containerd,
    steps: [...challengedHead('{I}'), get(manifest('{I}')), ...rest],
  },
  {
    id: 'podman-cold',
    ua: 'containers/5.36.1 (github.com/containers/image)',
    steps: [ping, token, get(manifest('{t}')), ...rest],
  },
  {
    id: 'skopeo-one-layer',
    ua: 'skopeo/1.9.3',
    steps: [ping, token, get(manifest('{t}')), get(manifest('{M}')), ...blobs.slice(0, 2)],
  },
  {
    id: 'crane-manifest',
    ua: 'crane/v0.20.3 go-containerregistry/v0.20.3',
    steps: [ping, token, get(manifest('{t}'))],
  },
  { id: 'watchtower-check', ua: 'Watchtower/v1.7.1', steps: [ping, token, head(manifest('{t}'))] },
]
