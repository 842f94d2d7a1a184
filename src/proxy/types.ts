/** The small interfaces that the proxy thread's entry hands in. */
import type { Config } from '../config/types.ts'
import type { Outcome, RequestClass, WaybillRecord } from '../record/record.ts'

export type UpstreamErrorReason =
  | 'connect'
  | 'timeout_connect'
  | 'timeout_first_byte'
  | 'timeout_body'
  | 'reset'
  | 'protocol'
  | 'too_large'
  | 'digest_mismatch'
  | 'auth'
  | 'admission'
  | 'other'

/** Why a client was turned away: by a limit, the rules of the PROXY protocol, or `block` in the config. */
export type RefusalReason =
  | 'connections'
  | 'client_connections'
  | 'client_requests'
  | 'proxy_header'
  | 'blocked_range'
  | 'blocked_asn'
  | 'blocked_company'
  | 'blocked_country'
  | 'blocked_type'

export type UnrecordedReason = 'do_not_track' | 'global_privacy_control' | 'recording_off'

/** Hot-path counters; see `src/ops/counters.ts` for what each means. */
export type ProxyCounters = {
  countRequest(
    requestClass: RequestClass,
    outcome: Outcome,
    status: number,
    durationMs: number,
    firstByteMs: number,
    bytes: number,
  ): void
  countAbort(): void
  connectionOpened(): void
  connectionClosed(): void
  countUntrustedForwarded(): void
  countRefusal(reason: RefusalReason): void
  /** A request was served and is not recorded. */
  countUnrecorded(reason: UnrecordedReason): void
  countUpstream(index: number, status: number, durationMs: number): void
  countUpstreamError(index: number, reason: UpstreamErrorReason): void
  setRatelimitRemaining(index: number, remaining: number, nowMs: number): void
}

/** Where records go; never waits, a full ring is counted there. */
export type Records = {
  write(record: WaybillRecord): boolean
  nextSequence(): number
  /** What began before (Unix ms) has left its record or a heartbeat; said again and again. */
  tell(upToMs: number): void
}

/** A manifest that entered the cache, or is still served an hour after it was last told of. */
export type ManifestNotice = { digest: string; mediaType: string; bytes: Uint8Array }

export type Log = Record<'debug' | 'info' | 'warn' | 'error', (fields: object, message: string) => void>

/** A certificate for each name (SNI), and those of the listeners in their order. */
export type Certificates = {
  listen: readonly Config['listen'][number]['tls'][]
  names: readonly { host: string; cert: string; key: string }[]
}

/** What can change while requests are served. Indexes of before stay what they were. */
export type ProxyUpdate = Pick<
  Config,
  'domains' | 'upstreams' | 'redirectHosts' | 'trustedProxies' | 'streamRanges'
> & {
  /** Indexes of those that are in use; the others were, and records may still name them. */
  active: { domains: readonly number[]; upstreams: readonly number[] }
}

export type ProxyOptions = {
  config: Config
  /** Without it: the files that the config names. */
  certificates?: Certificates
  /** Number of proxy threads, over which the limits of the config are divided. */
  threads: number
  tokenKeys: readonly string[]
  counters: ProxyCounters
  records: Records
  /** `compileBlock`; null: nobody is refused. */
  block: SharedArrayBuffer | null
  announceManifest(notice: ManifestNotice): void
  /** An upstream answered (null) or could not be reached; called at most once a second for each. */
  reportUpstream(index: number, failure: UpstreamErrorReason | null): void
  /** An upstream led to this host (with port where it is not the scheme's); at most once a minute for each. */
  reportRedirectHost(index: number, host: string, seenMs: number): void
  log: Log
}
