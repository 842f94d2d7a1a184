/** Plain requests with full control of headers and TLS, and a whole pull made of them. */
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'

export type Answer = { status: number; headers: Record<string, string>; body: Buffer }

export type RequestOptions = {
  method?: string
  headers?: Record<string, string>
  body?: string
  /** PEM of the authority to trust. */
  ca?: string
  timeoutMs?: number
}

/** One request on a connection of its own. Rejects when the answer does not come whole. */
export function send(url: string, options: RequestOptions = {}): Promise<Answer> {
  const { method = 'GET', body, ca, timeoutMs = 30_000 } = options
  // Node frames no body of a GET by itself.
  const framing = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  const headers = { ...framing, ...options.headers }
  const secure = url.startsWith('https:')
  return new Promise((resolve, reject) => {
    const request = (secure ? requestHttps : requestHttp)(
      url,
      { method, headers, agent: false, signal: AbortSignal.timeout(timeoutMs), ...(ca && { ca }) },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers as Record<string, string>,
            body: Buffer.concat(chunks),
          }),
        )
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}

const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
].join(', ')

export type Pulled = { digest: string; statuses: number[]; blobs: number }

/** A token of `url`, as a client gets it that was challenged. */
export async function fetchToken(url: string, options: RequestOptions = {}): Promise<string> {
  const { body } = await send(`${url}/token`, options)
  return (JSON.parse(body.toString()) as { token: string }).token
}

type Index = { manifests?: { digest: string }[]; config?: { digest: string }; layers?: { digest: string }[] }

/** Ping, token, HEAD of the tag, index, the first platform's manifest, and all its blobs one after another. */
export async function pullByHand(
  url: string,
  repository: string,
  tag: string,
  options: RequestOptions = {},
): Promise<Pulled> {
  const ping = await send(`${url}/v2/`, options)
  const headers = {
    ...options.headers,
    accept: manifestTypes,
    authorization: `Bearer ${await fetchToken(url, options)}`,
  }
  const statuses = [ping.status]
  const get = async (path: string, method = 'GET'): Promise<Answer> => {
    const answer = await send(`${url}/v2/${repository}/${path}`, { ...options, method, headers })
    statuses.push(answer.status)
    return answer
  }
  const head = await get(`manifests/${tag}`, 'HEAD')
  const digest = head.headers['docker-content-digest'] ?? ''
  let manifest = JSON.parse((await get(`manifests/${digest}`)).body.toString()) as Index
  const child = manifest.manifests?.[0]
  if (child) manifest = JSON.parse((await get(`manifests/${child.digest}`)).body.toString()) as Index
  const blobs = [manifest.config, ...(manifest.layers ?? [])].flatMap((blob) => blob?.digest ?? [])
  for (const blob of blobs) await get(`blobs/${blob}`)
  return { digest, statuses, blobs: blobs.length }
}
