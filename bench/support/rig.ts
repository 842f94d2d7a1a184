/**
 * One upstream that is never the bottleneck (an nginx that sends files), and before it the two that are
 * compared: nginx as people put it before a registry, and Waybill as its users start it.
 */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Nginx, startNginx } from '../../test/support/nginx.ts'
import { removeFolder, temporaryFolder } from '../../test/support/processes.ts'
import { startWaybill, type Waybill } from '../../test/support/waybill.ts'

export type Content = { path: string; digest: string; mediaType: string; body: Buffer; file: string }

export type Upstream = {
  nginx: Nginx
  manifest: Content
  /** 2,048 bytes, as configs and small layers have. */
  blob: Content
  /** 100 MB: a layer. */
  layer: Content
  stop(): Promise<void>
}

export const repository = 'demo/app'
export const pingBody = '{}'
const smallBytes = 2048
const layerBytes = 100_000_000
const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const blobType = 'application/octet-stream'

/** The same bytes each time, different at every place, so that a shifted body is a wrong one. */
function fill(length: number): Buffer {
  const body = Buffer.allocUnsafe(length)
  for (let at = 0; at + 4 <= length; at += 4) body.writeUInt32LE(Math.imul(at + 1, 0x9e3779b1) >>> 0, at)
  return body
}

function digestOf(body: Buffer): string {
  return `sha256:${createHash('sha256').update(body).digest('hex')}`
}

function manifestOf(config: Content, layer: Content): Buffer {
  const write = (padding: string): Buffer =>
    Buffer.from(
      JSON.stringify({
        ...{ schemaVersion: 2, mediaType: manifestType },
        config: {
          mediaType: 'application/vnd.oci.image.config.v1+json',
          digest: config.digest,
          size: config.body.length,
        },
        layers: [
          {
            mediaType: 'application/vnd.oci.image.layer.v1.tar',
            digest: layer.digest,
            size: layer.body.length,
          },
        ],
        annotations: { padding },
      }),
    )
  return write('.'.repeat(smallBytes - write('').length))
}

export async function startUpstream(): Promise<Upstream> {
  const folder = temporaryFolder('upstream')
  const put = (kind: 'blobs' | 'manifests', body: Buffer, mediaType: string): Content => {
    const digest = digestOf(body)
    const file = join(folder, digest.slice(7))
    writeFileSync(file, body)
    return { path: `/v2/${repository}/${kind}/${digest}`, digest, mediaType, body, file }
  }
  const blob = put('blobs', fill(smallBytes), blobType)
  const layer = put('blobs', fill(layerBytes), blobType)
  const manifest = put('manifests', manifestOf(blob, layer), manifestType)
  const locations = [blob, layer, manifest, { ...manifest, path: `/v2/${repository}/manifests/latest` }].map(
    ({ path, digest, mediaType, file }) => `    location = ${path} {
      alias ${file};
      default_type ${mediaType};
      add_header Docker-Distribution-Api-Version registry/2.0;
      add_header Docker-Content-Digest ${digest};
      add_header ETag '"${digest}"';
    }`,
  )
  const nginx = await startNginx(`    access_log off;
    sendfile on;
    tcp_nopush on;
    etag off;
    open_file_cache max=16;
    location = /v2/ { default_type application/json; return 200 '${pingBody}'; }
${locations.join('\n')}`)
  return {
    nginx,
    manifest,
    blob,
    layer,
    async stop() {
      await nginx.stop()
      removeFolder(folder)
    },
  }
}

/** `tokenBytes`: length of what its `/token` answers. */
export function startRival(upstream: Upstream, tokenBytes: number): Promise<Nginx> {
  const ping = 'add_header Docker-Distribution-Api-Version registry/2.0; default_type application/json;'
  return startNginx(
    `    location = /v2/ { ${ping} return 200 '${pingBody}'; }
    location = /token { default_type application/json; return 200 '${'t'.repeat(tokenBytes)}'; }
    location / {
      proxy_pass http://registry;
      proxy_http_version 1.1;
      proxy_set_header Connection '';
    }`,
    `  upstream registry {
    server ${upstream.nginx.host};
    keepalive 128;
    keepalive_requests 1000000000;
  }
`,
  )
}

/** With everything on: records, log, sessions and events in the embedded store. */
export function startBenchedWaybill(upstream: Upstream, auth: 'token' | 'open'): Promise<Waybill> {
  const args = ['--upstream', upstream.nginx.url, '--auth', auth, '--blobs', 'stream']
  return startWaybill({ args: [...args, '--proxy-threads', '1', '--log-level', 'warn'] })
}

/** Asks once and checks what the load does not look at: the headers and the digest. */
export async function checkSample(server: string, content: Content, token = ''): Promise<void> {
  const headers: Record<string, string> = token === '' ? {} : { authorization: `Bearer ${token}` }
  const response = await fetch(server + content.path, { headers, signal: AbortSignal.timeout(60_000) })
  const body = Buffer.from(await response.arrayBuffer())
  const found = {
    status: response.status,
    type: response.headers.get('content-type'),
    header: response.headers.get('docker-content-digest'),
    digest: digestOf(body),
  }
  const { digest, mediaType } = content
  const expected = { status: 200, type: mediaType, header: digest, digest }
  if (JSON.stringify(found) !== JSON.stringify(expected)) {
    throw new Error(`${server}${content.path}: ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`)
  }
}
