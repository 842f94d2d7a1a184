/** skopeo, to push test images and as a client whose copy is compared byte by byte. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run, temporaryFolder } from './processes.ts'

type Result = { code: number; stdout: string; stderr: string }

let authFile: string | null = null

/** Nothing of this machine's own settings and credentials takes part. */
function skopeo(args: readonly string[]): Promise<Result> {
  if (authFile === null) {
    authFile = join(temporaryFolder('skopeo'), 'auth.json')
    writeFileSync(authFile, '{}')
  }
  const env = { REGISTRY_AUTH_FILE: authFile, CONTAINERS_REGISTRIES_CONF: '/dev/null' }
  return run('skopeo', ['--insecure-policy', ...args], { env, timeoutMs: 120_000 })
}

/** Pushes a layout's tag to `host/name:tag`, over plain HTTP, digests unchanged. `credentials`: `user:password`. */
export async function skopeoPush(
  folder: string,
  tag: string,
  target: string,
  credentials?: string,
): Promise<void> {
  const { code, stderr } = await skopeo([
    ...['copy', '--all', '--preserve-digests', '--quiet', '--dest-tls-verify=false'],
    ...(credentials === undefined ? [] : ['--dest-creds', credentials]),
    ...[`oci:${folder}:${tag}`, `docker://${target}`],
  ])
  if (code !== 0) throw new Error(`skopeo did not push ${target}\n${stderr}`)
}

/**
 * Copies `host/name:tag` (or `@digest`) with all platforms into an OCI layout in `folder`.
 * `credentials`: `user:password`. `tls`: verify it (default: plain HTTP is allowed), with the `ca.crt` in `certDir`.
 */
export function skopeoCopy(
  source: string,
  folder: string,
  options: { tls?: boolean; certDir?: string; all?: boolean; credentials?: string } = {},
): Promise<Result> {
  const certificates = options.certDir ? ['--src-cert-dir', options.certDir] : []
  return skopeo([
    ...['copy', '--preserve-digests', '--quiet', `--src-tls-verify=${options.tls ?? false}`, ...certificates],
    ...(options.credentials ? ['--src-creds', options.credentials] : []),
    ...(options.all === false ? [] : ['--all']),
    ...[`docker://${source}`, `oci:${folder}:copy`],
  ])
}

/** Compares every blob of a layout with what the registry at `url` holds under its digest. */
export async function compareBlobs(
  folder: string,
  url: string,
  repository: string,
): Promise<{ equal: string[]; different: string[] }> {
  const equal: string[] = []
  const different: string[] = []
  for (const name of readdirSync(join(folder, 'blobs', 'sha256'))) {
    const local = readFileSync(join(folder, 'blobs', 'sha256', name))
    const digest = `sha256:${name}`
    const matches = await Promise.all(
      ['blobs', 'manifests'].map(async (kind) => {
        const response = await fetch(`${url}/v2/${repository}/${kind}/${digest}`, {
          headers: {
            Accept:
              '*/*, application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json',
          },
          signal: AbortSignal.timeout(30_000),
        })
        const remote = Buffer.from(await response.arrayBuffer())
        return response.status === 200 && remote.equals(local)
      }),
    )
    const target = matches.includes(true) ? equal : different
    target.push(digest)
  }
  return { equal, different }
}
