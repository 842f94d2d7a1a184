/** What `make load` asks, and what the right answers are: taken from the registry, not from Waybill. */
import { createHash } from 'node:crypto'
import type { Image } from '../test/support/image.ts'

/** A request and the whole truth about its answer. */
export type Question = {
  method: 'GET' | 'HEAD'
  path: string
  headers: Readonly<Record<string, string>>
  status: number
  /** Content-Length. */
  length: number
  /** `sha256:…` of the body; null: the body is checked by `isRight` alone. */
  digest: string | null
  /** Docker-Content-Digest; null: not looked at. */
  digestHeader: string | null
  isRight?: (body: string) => boolean
  /** Asked with a token, where there are any. */
  authorized: boolean
  /** Belongs to a repository, so it is part of a session. */
  counted: boolean
}

export type Scenario = { name: string; questions: readonly Question[] }

export const scenarioNames = [
  'ping',
  'token',
  'manifest-tag-head',
  'manifest-tag-get',
  'manifest-digest',
  'blob',
  'mixed',
] as const

const indexType = 'application/vnd.oci.image.index.v1+json'
const manifestType = 'application/vnd.oci.image.manifest.v1+json'

export async function buildScenarios(options: {
  registry: string
  waybill: string
  repository: string
  tag: string
  image: Image
}): Promise<Scenario[]> {
  const { registry, repository, tag, image } = options
  const base = `/v2/${repository}`
  const platform = image.images[0]
  const layer = platform?.layers[0]
  if (!platform || !layer) throw new Error('the image has no layer')

  /** The truth, with the digest of what the registry really sends. */
  const learn = async (path: string, digestHeader: string | null): Promise<Question> => {
    const headers = { accept: `${indexType}, ${manifestType}` }
    const response = await fetch(registry + path, { headers, signal: AbortSignal.timeout(30_000) })
    const body = Buffer.from(await response.arrayBuffer())
    if (response.status !== 200) throw new Error(`${registry}${path}: ${response.status}`)
    return {
      ...{ method: 'GET', path, status: 200, length: body.length, digestHeader },
      ...{ authorized: true, counted: true },
      headers,
      digest: `sha256:${createHash('sha256').update(body).digest('hex')}`,
    }
  }
  const headOf = (question: Question): Question => ({ ...question, method: 'HEAD', digest: null })

  const byTag = await learn(`${base}/manifests/${tag}`, image.digest)
  const byDigest = await learn(`${base}/manifests/${platform.manifest.digest}`, platform.manifest.digest)
  const blob = await learn(`${base}/blobs/${layer.digest}`, layer.digest)
  const config = await learn(`${base}/blobs/${platform.config.digest}`, platform.config.digest)
  const ping: Question = {
    ...{ method: 'GET', path: '/v2/', headers: {}, status: 200, length: 2 },
    ...{ digest: null, digestHeader: null, isRight: (body) => body === '{}' },
    ...{ authorized: true, counted: false },
  }
  const token = await tokenQuestion(options.waybill, repository)
  const tagHead = headOf(byTag)
  return [
    { name: 'ping', questions: [ping] },
    { name: 'token', questions: [token] },
    { name: 'manifest-tag-head', questions: [tagHead] },
    { name: 'manifest-tag-get', questions: [byTag] },
    { name: 'manifest-digest', questions: [byDigest] },
    { name: 'blob', questions: [blob] },
    // What a client asks in one pull, in its order.
    { name: 'mixed', questions: [ping, token, tagHead, byTag, byDigest, config, blob, headOf(blob)] },
  ]
}

/** Tokens are random but all of one length, which the first one tells. */
async function tokenQuestion(waybill: string, repository: string): Promise<Question> {
  const path = `/token?service=load&scope=repository:${repository}:pull`
  const { body } = await fetchToken(waybill, path)
  return {
    ...{ method: 'GET', path, headers: {}, status: 200, length: body.length },
    ...{ digest: null, digestHeader: null, isRight: isToken },
    ...{ authorized: false, counted: false },
  }
}

async function fetchToken(waybill: string, path = '/token'): Promise<{ body: string; token: string }> {
  const response = await fetch(waybill + path, { signal: AbortSignal.timeout(30_000) })
  const body = await response.text()
  if (response.status !== 200 || !isToken(body)) throw new Error(`/token answered ${response.status}`)
  return { body, token: (JSON.parse(body) as { token: string }).token }
}

/** As many clients, for Waybill, as there are tokens. */
export async function fetchTokens(waybill: string, count: number): Promise<string[]> {
  const tokens: string[] = []
  while (tokens.length < count) {
    const asked = Array.from({ length: Math.min(64, count - tokens.length) }, () => fetchToken(waybill))
    tokens.push(...(await Promise.all(asked)).map(({ token }) => token))
  }
  return tokens
}

function isToken(body: string): boolean {
  try {
    const answer = JSON.parse(body) as Record<string, unknown>
    const { token } = answer
    return typeof token === 'string' && token !== '' && answer['access_token'] === token
  } catch {
    return false
  }
}
