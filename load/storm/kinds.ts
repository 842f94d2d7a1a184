/** Kinds of clients: what each asks for, from recorded traces where they are, else from a small built-in set. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { builtInTraces } from './built-in-kinds.ts'
import { toolOf } from './tools.ts'

export type Mode = 'open' | 'token'

export type Step = {
  method: 'GET' | 'HEAD'
  what: 'ping' | 'token' | 'manifests' | 'blobs' | 'tags' | 'referrers'
  /** What names in braces stand for is told by the image; of pings, tokens and lists ''. */
  reference: string
  query: string
  /** It goes without a token, to be challenged. */
  challenged: boolean
  /** Which of the client's tokens, from 1. */
  token: number
  userAgent: string
}

export type Kind = {
  name: string
  userAgent: string
  acceptManifests: string
  /** Steps of one group go at once. */
  groups: Step[][]
  image: 'platforms' | 'helm'
  /** How often it comes, beside others. */
  weight: number
  /** HEADs only: it asks again and again. */
  polls: boolean
  /** It asks for others, or looks like it. */
  isCache: boolean
}

export type TraceStep = {
  m: 'GET' | 'HEAD'
  p: string
  s: number
  par?: number
  conn?: number
  token?: number
  issued?: number
  ua?: 'ping' | 'token'
}

export type RecordedTrace = {
  id: string
  ua?: string
  uaRef?: string
  pingUa?: string
  tokenUa?: string
  mode?: Mode
  accept?: { manifests?: string }
  steps: TraceStep[]
}

/** Where the traces lie beside the project. */
export const defaultTraces = fileURLToPath(new URL('../../../shared/data', import.meta.url))
const files = ['client-traces.json', 'captured-traces.json']
const defaultAccept = [
  'application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, */*',
].join(', ')

/** They need a registry of their own: one that refuses every tag, and one without Docker-Content-Digest. */
const leftOut = /^(containerd-429-storm|docker-classic-head-no-digest-header)$/
// All but these fetch blobs over several connections at once.
const oneAfterAnother = /^(skopeo|Docker-Client)\//

/** `folder` without the files: the built-in kinds. Throws when the files cannot be read. */
export function readKinds(folder: string, mode: Mode): { kinds: Kind[]; source: string } {
  const found = files.filter((file) => existsSync(join(folder, file)))
  const traces = found.flatMap((file) => {
    const { traces: read } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as {
      traces: RecordedTrace[]
    }
    return read.map((trace) => ({
      ...trace,
      ua: trace.ua ?? read.find(({ id }) => id === trace.uaRef)?.ua ?? '',
    }))
  })
  const chosen = found.length > 0 ? traces : builtInTraces
  return {
    kinds: chosen.filter((trace) => isUsed(trace, mode)).map((trace) => toKind(trace, mode)),
    source: found.length > 0 ? found.join(' and ') : 'built-in clients',
  }
}

/** Captured traces are of one mode; the others begin with a challenge, which is left out without tokens. */
function isUsed(trace: RecordedTrace, mode: Mode): boolean {
  if (leftOut.test(trace.id)) return false
  if (trace.mode !== undefined) return trace.mode === mode
  return mode === 'open' || trace.steps.some(({ s }) => s === 401)
}

function toKind(trace: RecordedTrace, mode: Mode): Kind {
  const userAgent = trace.ua ?? ''
  const groups: Step[][] = []
  let before: TraceStep | undefined
  let token = 0
  let others = 0
  for (const one of trace.steps) {
    const challenged = one.s === 401
    const step = toStep(one, challenged)
    const isSkipped = mode === 'open' && (step.what === 'token' || (challenged && step.what !== 'ping'))
    if (isSkipped) continue
    if (step.what === 'token') token = one.issued ?? token + 1
    step.token = step.what === 'token' ? token : (one.token ?? token)
    step.userAgent =
      (one.ua === 'ping' ? trace.pingUa : one.ua === 'token' ? trace.tokenUa : null) ?? userAgent
    if (step.reference === '{other}') {
      // The attestation and its two blobs are all called so.
      if (step.what === 'blobs') others += 1
      step.reference = step.what === 'manifests' ? '{A}' : others === 1 ? '{A.config}' : '{A.layer1}'
    }
    const areBlobs = one.conn !== undefined && [one, before].every((each) => each?.p.includes('/blobs/'))
    const together =
      one.par === undefined ? areBlobs && !oneAfterAnother.test(userAgent) : one.par === before?.par
    if (together) groups.at(-1)?.push(step)
    else groups.push([step])
    before = one
  }
  const asked = groups.flat().filter(({ what }) => what !== 'ping' && what !== 'token')
  return {
    name: `${trace.mode === undefined ? '' : 'captured '}${trace.id}`,
    ...{ userAgent, groups, acceptManifests: trace.accept?.manifests ?? defaultAccept },
    image: trace.id.startsWith('helm') ? 'helm' : 'platforms',
    weight: /^(docker-c|containerd|podman)/.test(trace.id) && !trace.id.includes('by-digest') ? 4 : 1,
    isCache: toolOf(userAgent).via !== null,
    polls: asked.every(({ method, what }) => method === 'HEAD' && what === 'manifests'),
  }
}

function toStep({ m, p }: TraceStep, challenged: boolean): Step {
  const step = { method: m, reference: '', query: '', challenged, token: 0, userAgent: '' }
  const [path = '', query] = p.split('?')
  const resource = /^\/v2\/\{n\}\/(manifests|blobs|tags|referrers)\/(.+)$/.exec(path)
  if (resource) {
    const what = resource[1] as 'manifests' | 'blobs' | 'tags' | 'referrers'
    return { ...step, what, reference: resource[2] ?? '', query: query === undefined ? '' : `?${query}` }
  }
  return { ...step, what: path === '/v2/' ? 'ping' : 'token' }
}
