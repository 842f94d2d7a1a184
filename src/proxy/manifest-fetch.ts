/**
 * Manifests asked of the upstream on behalf of everyone who waits for them: one HEAD or GET for all, which
 * goes on when the first client leaves.
 */
import { createHash } from 'node:crypto'
import type { AnswerFields, AnswerHead } from './answer-head.ts'
import { type Ask, askFallback } from './ask.ts'
import type { HeaderList } from './headers.ts'
import type { CachedManifest } from './manifest-cache.ts'
import { maxStatus } from './relay.ts'
import type { UpstreamErrorReason } from './types.ts'
import type { Sink, UpstreamCall, Upstreams } from './upstream.ts'

export type Resolved = {
  status: number
  fields: AnswerFields
  block: Buffer
}

/** What came of it; `reason` when the upstream could not be asked. `ask`: what was asked last, of a fallback perhaps. */
export type Outcome<Value> = { ask: Ask } & (
  | { kind: 'ok'; value: Value }
  | { kind: 'answer'; resolved: Resolved }
  | { kind: 'failed'; reason: UpstreamErrorReason }
  /** Larger than may be held: it must be relayed. */
  | { kind: 'too-large' }
)

export type Waiter<Value> = (outcome: Outcome<Value>) => void

export type ManifestFetch = {
  /** Shared HEAD; 'ok' for any status that the upstream gave. */
  head(key: string, ask: Ask, waiter: Waiter<Resolved>): void
  /** Shared GET of a manifest whose bytes must have `digest`; '' for one asked by tag. */
  get(key: string, ask: Ask, digest: string, waiter: Waiter<CachedManifest>): void
}

// Asked in the front's own name, so every type is accepted: what a digest names has one form only.
const acceptAll = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  '*/*',
].join(', ')

/** Headers of a request in the front's own name. `accept` '' accepts all. */
export function ownHeaders(accept: string): HeaderList {
  return [
    'accept',
    accept === '' ? acceptAll : accept,
    'accept-encoding',
    'identity',
    'user-agent',
    'waybill',
    'via',
    '1.1 waybill',
  ]
}

export function createManifestFetch(options: {
  upstreams: Upstreams
  manifestBytes: number
  /** What the upstream says is left of its rate limit: only manifests are counted, so only their answers say it. */
  onRateLimit(upstream: number, remaining: number): void
  /** An upstream sent bytes that are not those of the digest. */
  onMismatch(upstream: number): void
}): ManifestFetch {
  const heads = new Map<string, Waiter<Resolved>[]>()
  const gets = new Map<string, Waiter<CachedManifest>[]>()

  /** The first to ask starts the request; whoever comes before its end waits with it. */
  const share = <Value>(
    running: Map<string, Waiter<Value>[]>,
    key: string,
    waiter: Waiter<Value>,
    start: (settle: Waiter<Value>) => void,
  ): void => {
    const waiting = running.get(key)
    if (waiting) {
      waiting.push(waiter)
      return
    }
    const waiters = [waiter]
    running.set(key, waiters)
    start((outcome) => {
      running.delete(key)
      for (const each of waiters) each(outcome)
    })
  }

  const getBody = (ask: Ask, digest: string, settle: Waiter<CachedManifest>): void => {
    const sink = bodySink(digest, options.manifestBytes, options.onRateLimit, (outcome) => {
      const isFailed = outcome.kind === 'failed'
      if (isFailed && outcome.reason === 'digest_mismatch') options.onMismatch(outcome.ask.upstream)
      const { fallback } = outcome.ask
      if (!isFailed || !fallback) return settle(outcome)
      // Nobody has seen anything of a body that broke off, or was another than was asked for.
      getBody(askFallback(outcome.ask, fallback), digest, (second) =>
        settle(second.kind === 'failed' ? outcome : second),
      )
    })
    options.upstreams.ask(ask, sink)
  }

  return {
    head: (key, ask, waiter) =>
      share(heads, key, waiter, (settle) =>
        options.upstreams.ask(ask, headSink(options.onRateLimit, settle)),
      ),
    get: (key, ask, digest, waiter) => share(gets, key, waiter, (settle) => getBody(ask, digest, settle)),
  }
}

type RateLimited = (upstream: number, remaining: number) => void

function readHead(call: UpstreamCall, head: AnswerHead, onRateLimit: RateLimited): Resolved | null {
  const { status, fields } = head
  // `100;w=21600`, as Docker Hub writes it.
  const remaining = Number.parseInt(fields.rateLimitRemaining, 10)
  if (remaining >= 0) onRateLimit(call.ask.upstream, remaining)
  const block = status > maxStatus ? null : head.block()
  return block && { status, fields, block: Buffer.from(block) }
}

function headSink(onRateLimit: RateLimited, settle: Waiter<Resolved>): Sink {
  let resolved: Resolved | null = null
  return {
    head(call, head) {
      resolved = readHead(call, head, onRateLimit)
    },
    data() {},
    end({ ask }) {
      settle(resolved ? { kind: 'ok', value: resolved, ask } : { kind: 'failed', reason: 'protocol', ask })
    },
    fail: ({ ask }, reason) => settle({ kind: 'failed', reason, ask }),
  }
}

function bodySink(
  digest: string,
  manifestBytes: number,
  onRateLimit: RateLimited,
  settle: Waiter<CachedManifest>,
): Sink {
  let resolved: Resolved | null = null
  const chunks: Buffer[] = []
  let length = 0
  const leave = (call: UpstreamCall, outcome: Outcome<CachedManifest>): void => {
    call.abort()
    settle(outcome)
  }
  return {
    head(call, head) {
      resolved = readHead(call, head, onRateLimit)
      const { ask } = call
      const { status } = head
      if (!resolved) leave(call, { kind: 'failed', reason: 'protocol', ask })
      else if (status !== 200) leave(call, { kind: 'answer', resolved, ask })
      else if (Number(resolved.fields.contentLength) > manifestBytes) leave(call, { kind: 'too-large', ask })
    },
    data(call, chunk) {
      length += chunk.length
      if (length > manifestBytes) leave(call, { kind: 'too-large', ask: call.ask })
      else chunks.push(Buffer.from(chunk))
    },
    end({ ask }) {
      settle(completed(ask, resolved as Resolved, Buffer.concat(chunks), digest))
    },
    fail: ({ ask }, reason) => settle({ kind: 'failed', reason, ask }),
  }
}

/** In the algorithm of `like`, which may be ''. */
export function digestOf(bytes: Buffer, like: string): string {
  const algorithm = like.startsWith('sha512:') ? 'sha512' : 'sha256'
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

function completed(ask: Ask, resolved: Resolved, bytes: Buffer, digest: string): Outcome<CachedManifest> {
  const { fields } = resolved
  const wanted = digest === '' ? fields.digest : digest
  const actual = digestOf(bytes, wanted)
  // Nothing would tell such a body from a part of it (RFC 9112 6.3).
  const unbounded = fields.contentLength === '' && fields.transferEncoding === ''
  if (wanted === '' && unbounded) return { kind: 'failed', reason: 'protocol', ask }
  if (wanted !== '' && wanted !== actual) return { kind: 'failed', reason: 'digest_mismatch', ask }
  // Clients fail without these three (docker, ggcr, oras), so what the upstream left out is added.
  const lines = [resolved.block]
  if (fields.digest === '') lines.push(Buffer.from(`\r\nDocker-Content-Digest: ${actual}`))
  if (fields.contentType === '') lines.push(Buffer.from('\r\nContent-Type: application/json'))
  const nowMs = performance.now()
  return {
    kind: 'ok',
    ask,
    value: {
      digest: actual,
      mediaType: fields.contentType === '' ? 'application/json' : fields.contentType,
      etag: fields.etag,
      bytes,
      block: Buffer.concat(lines),
      confirmedMs: nowMs,
      announcedMs: Number.NEGATIVE_INFINITY,
    },
  }
}
