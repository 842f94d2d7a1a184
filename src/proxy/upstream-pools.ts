/**
 * The connections to the upstream registries: one pool for each (origin, authorities), and what is known of each upstream.
 */
import { rootCertificates } from 'node:tls'
import type { Config } from '../config/types.ts'
import { lookupPublic } from './public-host.ts'
import { type AuthProblem, createUpstreamAuth, type UpstreamAuth } from './upstream-auth.ts'
import {
  createUpstreamClient,
  type OriginConnections,
  type UpstreamClient,
  type UpstreamClientOptions,
} from './upstream-client.ts'
import { createUpstreamHealth, type UpstreamHealth } from './upstream-health.ts'

/** Shared by all entries of `Config.upstreams` that are one registry. */
export type UpstreamPool = {
  own: OriginConnections
  /** For redirects followed inside. */
  follow: UpstreamClient
  inFlight: number
}

/** One entry of `Config.upstreams`. */
export type Upstream = {
  shared: UpstreamPool
  auth: UpstreamAuth
  /** Of this entry alone: what a registry limits is an account. */
  health: UpstreamHealth
  reportedMs: number
  failing: boolean
}

export type UpstreamPools = {
  list: readonly Upstream[]
  /** After `upstreams` has grown, or `redirectHosts` changed; what is idle closes its connections itself. */
  update(): void
  close(): Promise<void>
}

const connectTimeoutMs = 10_000
// Silence in the middle of a body; a registry that streams a layer is never silent so long.
const bodyTimeoutMs = 60_000
// Registries and load balancers keep idle connections for a minute or more; the stale one is retried.
const keepAliveMs = 30_000

export function createUpstreamPools(
  config: Pick<Config, 'upstreams' | 'limits' | 'redirectHosts'>,
  onAuthProblem: (upstream: number, problem: AuthProblem) => void,
) {
  const { firstByteTimeoutMs } = config.limits
  const limits = {
    connectTimeoutMs: Math.min(connectTimeoutMs, firstByteTimeoutMs),
    headTimeoutMs: firstByteTimeoutMs,
    bodyTimeoutMs,
    keepAliveMs,
  }
  /** By the authorities that they trust, and the hosts that they may ask. */
  const clients = new Map<string, UpstreamClient>()
  const pools = new Map<string, UpstreamPool>()

  /**
   * A host that an upstream names must be public, unless the operator listed it, or the upstream itself is one
   * without TLS, which stands in a private network.
   */
  const followOf = (origin: string, ca: string | null): UpstreamClient => {
    const anywhere = config.redirectHosts.length > 0 || origin.startsWith('http:')
    return clientOf(`follow ${anywhere} ${ca}`, {
      ...(!anywhere && { lookup: lookupPublic }),
      // Its storage may be one's own as well, or a public one.
      ...(ca !== null && { ca: [...rootCertificates, ca] }),
    })
  }

  const clientOf = (key: string, trust: Pick<UpstreamClientOptions, 'ca' | 'lookup'>): UpstreamClient => {
    let client = clients.get(key)
    if (!client) {
      client = createUpstreamClient({ ...limits, ...trust })
      clients.set(key, client)
    }
    return client
  }

  const poolOf = (origin: string, ca: string | null): UpstreamPool => {
    const key = `${origin} ${ca}`
    let found = pools.get(key)
    if (!found) {
      const own = clientOf(`own ${ca}`, ca === null ? {} : { ca })
      found = { own: own.origin(origin), follow: followOf(origin, ca), inFlight: 0 }
      pools.set(key, found)
    }
    return found
  }

  const entryOf = ({ origin, ca, credentials }: Config['upstreams'][number], index: number): Upstream => ({
    shared: poolOf(origin, ca ?? null),
    auth: createUpstreamAuth({
      origin,
      ca: ca ?? null,
      credentials,
      timeoutMs: Math.min(15_000, firstByteTimeoutMs),
      now: Date.now,
      onProblem: (problem) => onAuthProblem(index, problem),
    }),
    health: createUpstreamHealth(),
    reportedMs: 0,
    failing: false,
  })
  const list = config.upstreams.map(entryOf)
  return {
    list,
    update() {
      for (let index = list.length; index < config.upstreams.length; index++) {
        list.push(entryOf(config.upstreams[index] as Config['upstreams'][number], index))
      }
      for (const [index, { origin, ca }] of config.upstreams.entries()) {
        const entry = list[index]
        if (entry) entry.shared.follow = followOf(origin, ca ?? null)
      }
    },
    async close(): Promise<void> {
      for (const client of clients.values()) client.close()
      await Promise.all(list.map(({ auth }) => auth.close()))
    },
  } satisfies UpstreamPools
}
