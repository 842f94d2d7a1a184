/** A steady load of whole pulls, each of which can be told from all others, and the events that they must become. */
import { Agent, type IncomingMessage, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { PackageEvent, RequestEvent } from '../../src/record/events.ts'
import type { Image } from './image.ts'

export type LoadImage = { repository: string; tag: string; image: Image }

export type Pull = {
  /** Nobody else has it: the version in the User-Agent, which events name. */
  version: string
  tool: 'docker' | 'skopeo'
  repository: string
  tag: string
  digest: string
  platformDigest: string
  /** Answered requests to the repository, and those of them that the event counts by kind. */
  requests: number
  manifestHeads: number
  manifestGets: number
  blobGets: number
  /** All answered requests, ping and token included. */
  answered: number
  /** Unix ms at which its last answer was whole. */
  endedMs: number
}

export type PullLoad = {
  /** Those that came to their end, in order of that. */
  pulls: Pull[]
  /** What went wrong, in words: requests that failed or were answered with another status than planned. */
  failures: string[]
  /** Requests answered so far, of unfinished pulls too. */
  answered(): number
  /** Begins no more pulls and waits for those that run. */
  stop(): Promise<void>
}

export type PullLoadOptions = {
  url: string
  images: readonly LoadImage[]
  perSecond: number
  /** Tells the pulls of several loads apart. */
  name?: string
}

type Answer = { status: number; body: Buffer }

const requestTimeoutMs = 15_000
const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
].join(', ')

/** Half of the pulls go as Docker's engine does, half as skopeo does, all of them in token mode. */
export function startPullLoad({ url, images, perSecond, name = '1' }: PullLoadOptions): PullLoad {
  const agent = new Agent({ keepAlive: true })
  const stopping = new AbortController()
  const running = new Set<Promise<void>>()
  const load = { pulls: [] as Pull[], failures: [] as string[] }
  let answered = 0
  let begun = 0

  function ask(method: string, path: string, headers: Record<string, string>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(requestTimeoutMs)
      const sent = request(
        `${url}${path}`,
        { method, agent, headers, signal },
        (response: IncomingMessage) => {
          const parts: Buffer[] = []
          response.on('data', (part: Buffer) => parts.push(part))
          response.on('error', reject)
          response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts) }))
        },
      )
      sent.on('error', reject)
      sent.end()
    })
  }

  async function pull(number: number): Promise<void> {
    const tool = number % 2 === 0 ? 'docker' : 'skopeo'
    const version = `1.${name}.${number}`
    const chosen = images[number % images.length]
    const platform = chosen?.image.images[0]
    if (!chosen || !platform) throw new Error('a load needs images')
    const { repository, tag, image } = chosen
    const agentName =
      tool === 'docker'
        ? `docker/${version} go/go1.23.8 git-commit/01f442b kernel/6.8.0 os/linux arch/amd64`
        : `skopeo/${version}`
    const done: Pull = {
      ...{ version, tool, repository, tag, digest: image.digest, platformDigest: platform.manifest.digest },
      ...{ requests: 0, manifestHeads: 0, manifestGets: 0, blobGets: 0, answered: 0, endedMs: 0 },
    }
    let token = ''
    const step = async (method: 'GET' | 'HEAD', path: string, status: number): Promise<Buffer> => {
      const authorization: Record<string, string> = token === '' ? {} : { Authorization: `Bearer ${token}` }
      const headers = { 'User-Agent': agentName, Accept: manifestTypes, ...authorization }
      const answer = await ask(method, path, headers)
      answered += 1
      done.answered += 1
      if (answer.status !== status) throw new Error(`${method} ${path}: ${answer.status}`)
      return answer.body
    }
    const fetchPart = async (
      kind: 'manifests' | 'blobs',
      reference: string,
      method: 'GET' | 'HEAD' = 'GET',
    ) => {
      await step(method, `/v2/${repository}/${kind}/${reference}`, 200)
      done.requests += 1
      if (kind === 'blobs') done.blobGets += 1
      else if (method === 'HEAD') done.manifestHeads += 1
      else done.manifestGets += 1
    }
    await step('GET', '/v2/', 401)
    const grant = await step('GET', `/token?service=test&scope=repository:${repository}:pull`, 200)
    token = (JSON.parse(String(grant)) as { token: string }).token
    if (tool === 'docker') {
      await fetchPart('manifests', tag, 'HEAD')
      await fetchPart('manifests', image.digest)
    } else await fetchPart('manifests', tag)
    if (image.index) await fetchPart('manifests', platform.manifest.digest)
    await Promise.all([platform.config, ...platform.layers].map(({ digest }) => fetchPart('blobs', digest)))
    done.endedMs = Date.now()
    load.pulls.push(done)
  }

  async function begin(): Promise<void> {
    const startedMs = performance.now()
    while (!stopping.signal.aborted) {
      const number = begun++
      const one: Promise<void> = pull(number)
        .catch((error: unknown) => void load.failures.push(`pull ${number}: ${String(error)}`))
        .finally(() => running.delete(one))
      running.add(one)
      // On the clock and not after the last one: the rate stays when a pull takes long.
      const nextMs = startedMs + (begun * 1000) / perSecond
      await delay(Math.max(0, nextMs - performance.now()), null, { signal: stopping.signal }).catch(
        () => null,
      )
    }
  }

  const beginning = begin()
  return {
    ...load,
    answered: () => answered,
    async stop() {
      stopping.abort()
      await beginning
      await Promise.all(running)
      agent.destroy()
    },
  }
}

/** What a test compares: one row for each pull, as it was made or as its events tell it. */
export type PullRow = {
  version: string
  kind: string
  repository: string
  tag: string | null
  digest: string | null
  platformDigest: string | null
  requests: number
  manifestHeads: number
  manifestGets: number
  blobGets: number
}

const byVersion = (a: PullRow, b: PullRow): number =>
  a.version.localeCompare(b.version, 'en', { numeric: true })

export function rowsOfPulls(pulls: readonly Pull[]): PullRow[] {
  return pulls
    .map(({ tool, answered, endedMs, ...rest }) => ({ ...rest, kind: 'pull full' }))
    .toSorted(byVersion)
}

export function rowsOfEvents(events: readonly PackageEvent[]): PullRow[] {
  return events
    .map((event) => ({
      version: event.client.version ?? '',
      kind: `${event.type} ${event.kind}`,
      repository: event.repository,
      tag: event.tag,
      digest: event.digest,
      platformDigest: event.platform_digest,
      requests: event.requests,
      manifestHeads: event.manifest_heads,
      manifestGets: event.manifest_gets,
      blobGets: event.blob_gets,
    }))
    .toSorted(byVersion)
}

/** Requests of each pull that carry a session, and how many package events name that session: 1. */
export function countSessions(
  requests: readonly RequestEvent[],
  events: readonly PackageEvent[],
): { version: string; requests: number; events: number }[] {
  const named = events.flatMap((event) => event.session_ids)
  const counts = new Map<string, { version: string; requests: number; events: number }>()
  for (const { session_id, client } of requests) {
    if (session_id === null) continue
    const known = counts.get(session_id)
    if (known) known.requests += 1
    else {
      const times = named.filter((id) => id === session_id).length
      counts.set(session_id, { version: client.version ?? '', requests: 1, events: times })
    }
  }
  return [...counts.values()].toSorted((a, b) => a.version.localeCompare(b.version, 'en', { numeric: true }))
}
