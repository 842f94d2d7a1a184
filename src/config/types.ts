/**
 * The one frozen Config that every part gets: plain data (it is cloned into threads), durations in ms,
 * sizes in bytes, defaults filled in, secrets read from their files.
 */

/** `cert` and `key`: absolute paths of PEM files (uWebSockets.js opens them itself). */
export type Listener = { host: string; port: number; tls: { cert: string; key: string } | null }

export type Upstream = {
  /** `http://` or `https://` with host and port only. */
  origin: string
  /** host[:port] as events name it. */
  host: string
  /** Docker Hub: one-part names get `library/` before them. */
  dockerHub: boolean
  /** PEM text of the authorities that its certificate is checked with; null: those of the system. */
  ca: string | null
  /** Only on routes that are public: what the front itself signs in with; null: anonymous. */
  credentials: { username: string; password: string } | null
}

export type Route = {
  /** Repository pattern: literal, `*` one part, `**` any parts. */
  repository: string
  /** Index into `Config.upstreams`. */
  upstream: number
  /** `**` stands for what the pattern's wildcard matched. */
  upstreamRepository: string
  blobs: 'redirect' | 'stream'
  /** The operator says that everybody may read what this route serves. */
  public: boolean
  /** Asked when the first upstream fails; null: none. */
  fallback: { upstream: number; upstreamRepository: string } | null
}

export type Domain = {
  /** Lower case, without port; `*.` before a suffix: any host below it; null: any Host. */
  host: string | null
  publicUrl: string | null
  auth: 'token' | 'open' | 'passthrough'
  /** false: served and counted in a total, but no record is left. */
  recording: boolean
  /** Certificate for this name (SNI), on every listener with TLS; null: the listener's own. */
  tls: { cert: string; key: string } | null
  routes: Route[]
}

export type Config = {
  /** null: a random id kept in the data folder. */
  node: string | null
  listen: Listener[]
  admin: { host: string; port: number }
  /** Absolute path. */
  data: string
  upstreams: Upstream[]
  domains: Domain[]
  /** Where blobs may lead: lower-case host names or `*.suffix`; empty: any https host. */
  redirectHosts: string[]
  /** CIDRs whose X-Forwarded-For and -Proto count. */
  trustedProxies: string[]
  /** Connections of trusted proxies begin with a PROXY protocol header. */
  proxyProtocol: boolean
  /** CIDRs of clients that get blobs streamed whatever the route says: those who may reach one host only. */
  streamRanges: string[]
  threads: { proxy: number; workers: { min: number; max: number } }
  sessions: {
    /** For any session, for one of HEADs only, for one of a builder. */
    idleMs: number
    idleHeadMs: number
    idleBuilderMs: number
    maxMs: number
    latenessMs: number
  }
  /** `ca`, here and below: the PEM text, null: the authorities of the system. */
  redis: { url: string; cluster: boolean; tls: { ca: string | null } | null } | null
  kafka: {
    brokers: string[]
    ssl: boolean | { ca: string | null }
    sasl: {
      mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
      username: string
      password: string
    } | null
    compression: 'none' | 'gzip'
    /** null: off. */
    requestsTopic: string | null
    eventsTopic: string | null
    deadLettersTopic: string | null
    manifestsTopic: string | null
    createTopics: boolean
    partitions: number
    replicationFactor: number
  } | null
  /** 0: off. */
  retention: { eventsMs: number; requestsMs: number; maxBytes: number }
  log: { maxBytes: number; maxAgeMs: number }
  geo: {
    city: string | null
    asn: string | null
    company: string | null
    overrides: string | null
    detail: 'country' | 'region' | 'city'
  }
  privacy: {
    rotationMs: number
    keyFile: string | null
    operator: string | null
    contact: string | null
    purpose: string | null
  }
  /** Clients that are refused; all empty: off. Countries as ISO 3166-1 alpha-2, companies by name or domain. */
  block: { countries: string[]; asns: number[]; types: string[]; ranges: string[]; companies: string[] }
  /** Hex keys of 32 bytes, the first signs; null: one is made and kept in the data folder or in Redis. */
  tokenKeys: string[] | null
  /** Absolute path of the file that they came from, which is read again while Waybill runs; null: no file. */
  tokenKeyFile: string | null
  limits: {
    headerBytes: number
    connections: number
    connectionsPerClient: number
    upstreamRequests: number
    manifestBytes: number
    manifestCacheBytes: number
    firstByteTimeoutMs: number
    minRateBytes: number
    requestTimeoutMs: number
  }
  logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'
}
