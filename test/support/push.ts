/** Pushes bytes to a registry by hand, for content that no client would make. */
import { createHash } from 'node:crypto'

export type Pushed = { digest: string; size: number; bytes: Buffer }

export function digestOf(bytes: string | Uint8Array, algorithm: 'sha256' | 'sha512' = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

async function expectCreated(response: Response, what: string): Promise<Response> {
  if (response.ok) return response
  throw new Error(`${what}: ${response.status} ${await response.text()}`)
}

/** `url`: of the registry. */
export async function pushBlob(
  url: string,
  repository: string,
  bytes: Buffer,
  algorithm: 'sha256' | 'sha512' = 'sha256',
): Promise<Pushed> {
  const digest = digestOf(bytes, algorithm)
  const signal = AbortSignal.timeout(30_000)
  const begun = await fetch(`${url}/v2/${repository}/blobs/uploads/`, { method: 'POST', signal })
  const place = new URL((await expectCreated(begun, 'an upload')).headers.get('location') ?? '', url)
  place.searchParams.set('digest', digest)
  const headers = { 'Content-Type': 'application/octet-stream' }
  await expectCreated(
    await fetch(place, { method: 'PUT', body: new Uint8Array(bytes), headers, signal }),
    digest,
  )
  return { digest, size: bytes.length, bytes }
}

/** Under `reference`, a tag; null: under its digest alone. */
export async function pushManifest(
  url: string,
  repository: string,
  reference: string | null,
  manifest: { mediaType: string } & Record<string, unknown>,
): Promise<Pushed> {
  const bytes = Buffer.from(JSON.stringify(manifest))
  const digest = digestOf(bytes)
  const response = await fetch(`${url}/v2/${repository}/manifests/${reference ?? digest}`, {
    method: 'PUT',
    body: new Uint8Array(bytes),
    headers: { 'Content-Type': manifest.mediaType },
    signal: AbortSignal.timeout(30_000),
  })
  await expectCreated(response, `manifest ${reference ?? digest}`)
  return { digest, size: bytes.length, bytes }
}
