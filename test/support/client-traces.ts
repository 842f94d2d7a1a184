/** Recorded requests of registry clients, and their replay against a front, each on the connections that it used. */
import { readFileSync } from 'node:fs'
import { openRawConnection, type RawAnswer, type RawConnection } from './raw-connection.ts'
import { sharedData } from './shared-data.ts'

type Step = {
  m: string
  p: string
  s: number
  /** Same number: at once. */
  par?: number
  conn?: number
  /** Which of the trace's tokens goes with it, or comes from it. */
  token?: number
  issued?: number
  /** Part of the client that has a User-Agent of its own. */
  ua?: 'ping' | 'token'
}

/** As data/README.md says of `expect`. */
export type Expectation = {
  sessions: number
  countsAsPull?: boolean
  platformDigest?: string
  reason?: string
  tagNot?: string
  platformNot?: string
  automation?: boolean | string
  viaCache?: string
} & Partial<Record<'kind' | 'tag' | 'digest' | 'platform' | 'artifact', string | null>>

export type Trace = {
  id: string
  /** No other trace has it. */
  name: string
  ua: string
  /** Of which trace it has the User-Agent. */
  uaRef?: string
  pingUa?: string
  tokenUa?: string
  mode: 'open' | 'token'
  accept?: Record<string, string>
  steps: Step[]
  expect?: Expectation
}

/** With the User-Agent and the mode of each filled in. */
export function readTraces(file: 'client-traces.json' | 'captured-traces.json'): Trace[] {
  const { traces } = JSON.parse(readFileSync(sharedData(file), 'utf8')) as { traces: Trace[] }
  return traces.map((trace) => {
    const named = trace.uaRef === undefined ? trace : traces.find(({ id }) => id === trace.uaRef)
    const mode = trace.mode ?? (trace.steps.some(({ s }) => s === 401) ? 'token' : 'open')
    return { ...trace, name: `${file.split('-')[0]}/${trace.id}-${mode}`, ua: named?.ua ?? '', mode }
  })
}

export type Replay = {
  trace: Trace
  /** host:port */
  host: string
  repository: string
  /** What a name in braces stands for: a tag, or a digest. */
  nameOf(name: string): string
}

// All but these fetch layers over several connections at once.
const oneAfterAnother = /^(skopeo|Docker-Client)\//
const defaultAccept = [
  'application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, */*',
].join(', ')

/** `METHOD path status` of each step, in the order of the trace. */
export async function replay({ trace, host, repository, nameOf }: Replay): Promise<string[]> {
  const connections = new Map<string, Promise<RawConnection>>()
  const tokens = new Map<number, string>()
  let lastToken = 0
  const closes = trace.ua.startsWith('Docker-Client/')
  let challenge = { realm: '', service: '' }

  function pathOf(step: Step): string {
    return step.p
      .replace('{realm}', challenge.realm)
      .replace(/\{(service|front)\}/, encodeURIComponent(challenge.service))
      .replaceAll('{n}', repository)
      .replace(/sha256-hex\(\{(.+?)\}\)/, (_, name: string) => nameOf(name).replace(':', '-'))
      .replaceAll(/\{(.+?)\}/g, (_, name: string) => nameOf(name))
  }

  /** In the order of Go's client, which all of them are: Host, User-Agent, then by name. */
  function headOf(step: Step): string[] {
    const agent = (step.ua === 'ping' ? trace.pingUa : step.ua === 'token' ? trace.tokenUa : null) ?? trace.ua
    const isManifest = step.p.includes('/manifests/')
    const accept = trace.accept?.['manifests'] ?? (trace.accept === undefined ? defaultAccept : null)
    const token =
      step.s === 401 || !step.p.startsWith('/v2/') ? undefined : tokens.get(step.token ?? lastToken)
    return [
      `${step.m} ${pathOf(step)} HTTP/1.1`,
      `Host: ${host}`,
      `User-Agent: ${agent}`,
      ...(isManifest && accept !== null ? [`Accept: ${accept}`] : []),
      'Accept-Encoding: gzip',
      ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
      ...(closes ? ['Connection: close'] : []),
    ]
  }

  function learn(step: Step, answer: RawAnswer): void {
    const asked = answer.headers.get('www-authenticate') ?? ''
    const [realm, service] = ['realm', 'service'].map(
      (key) => new RegExp(`${key}="([^"]+)"`).exec(asked)?.[1],
    )
    if (realm && service) challenge = { realm: new URL(realm).pathname, service }
    if (step.p.startsWith('/v2/') || answer.status !== 200) return
    lastToken = step.issued ?? lastToken + 1
    tokens.set(lastToken, (JSON.parse(answer.body.toString()) as { token: string }).token)
  }

  async function take(step: Step, place: string): Promise<string> {
    const opened = connections.get(place) ?? openRawConnection(host)
    connections.set(place, opened)
    const answer = await (await opened).send(headOf(step))
    learn(step, answer)
    return `${step.m} ${step.p} ${answer.status}`
  }

  let steps = 0
  const taken: string[] = []
  for (const group of groupsOf(trace)) {
    const places = new Map<string, Step[]>()
    for (const [index, step] of group.entries()) {
      const place =
        step.conn === undefined ? (closes ? `step ${steps++}` : `par ${index}`) : `conn ${step.conn}`
      places.set(place, [...(places.get(place) ?? []), step])
    }
    const results = new Map<Step, string>()
    await Promise.all(
      [...places].map(async ([place, inOrder]) => {
        for (const step of inOrder) results.set(step, await take(step, place))
      }),
    )
    taken.push(...group.map((step) => results.get(step) ?? ''))
  }
  for (const connection of connections.values()) (await connection).close()
  return taken
}

/** Steps that go at once: those of one `par`; captured ones, where only the order of their ends is known, the blobs. */
function groupsOf(trace: Trace): Step[][] {
  const groups: Step[][] = []
  for (const step of trace.steps) {
    const before = groups.at(-1)?.at(-1)
    const areBlobs = step.conn !== undefined && [step, before].every((each) => each?.p.includes('/blobs/'))
    const together =
      step.par === undefined ? areBlobs && !oneAfterAnother.test(trace.ua) : step.par === before?.par
    if (together) groups.at(-1)?.push(step)
    else groups.push([step])
  }
  return groups
}
