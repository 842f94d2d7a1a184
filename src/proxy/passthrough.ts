/**
 * Auth mode `passthrough`: clients sign in to the upstream itself, through the front's own realm. Their credentials
 * go to that upstream's token service alone, and nothing that comes of them is kept or shared.
 */
import type { Config } from '../config/types.ts'
import { askFor } from './ask.ts'
import { challenge, isAnonymous, sendBasicChallenge, servePing, tokenHeaders } from './auth.ts'
import type { Challenge } from './challenge.ts'
import { type ChallengeSource, createChallengeSource, type Learnt } from './challenge-source.ts'
import { type LocalError, localErrors } from './errors.ts'
import type { Exchange, Exchanges } from './exchange.ts'
import { createRealmClient, type RealmAnswer, type RealmClient } from './realm.ts'
import { errorOf, type RelayOptions, type RelayPlan, startRelay } from './relay.ts'
import { send, sendError } from './respond.ts'
import type { RouteTable } from './route.ts'
import { readScopes } from './token-scopes.ts'
import type { Log, ProxyCounters } from './types.ts'
import type { Upstreams } from './upstream.ts'

export type PassthroughOptions = {
  config: Pick<Config, 'domains' | 'upstreams' | 'limits'>
  threads: number
  exchanges: Exchanges
  upstreams: Upstreams
  relay: RelayOptions
  routes: RouteTable
  counters: ProxyCounters
  log: Log
}

export type Passthrough = {
  servePing(exchange: Exchange): void
  /** `authorization`: the client's. */
  serveToken(exchange: Exchange, authorization: string): void
  close(): Promise<void>
}

type Question = { upstream: number; repository: string; scopes: string[]; authorization: string }

const problemEveryMs = 60_000

export function createPassthrough(options: PassthroughOptions): Passthrough {
  const { config, exchanges, upstreams, routes, counters } = options
  const challenges: ChallengeSource = createChallengeSource(upstreams, Date.now)
  const realms = new Map<number, RealmClient>()
  const limit = Math.max(1, Math.floor(config.limits.upstreamRequests / options.threads))
  let inFlight = 0
  let toldMs = Number.NEGATIVE_INFINITY

  const realmOf = (upstream: number): RealmClient => {
    const known = realms.get(upstream)
    if (known) return known
    const { origin, ca } = config.upstreams[upstream] as Config['upstreams'][number]
    const timeoutMs = Math.min(15_000, config.limits.firstByteTimeoutMs)
    const made = createRealmClient({ origin, ca, timeoutMs })
    realms.set(upstream, made)
    return made
  }

  const fail = (exchange: Exchange, error: LocalError, retryAfter = ''): void =>
    sendError(exchanges, exchange, error, 'relay', retryAfter)

  /** Which upstream answers for the domain as a whole; -1: none. */
  const firstUpstream = (exchange: Exchange): number =>
    config.domains[exchange.record.domain]?.routes[0]?.upstream ?? -1

  const pingPlan: RelayPlan = {
    head(relay) {
      // Its words, and when to come back.
      if (relay.status === 429) return 'relay'
      if (relay.status !== 200) relay.refuse(localErrors.upstreamFailed, 'relay')
      else {
        relay.takeOver()
        servePing(exchanges, relay.exchange)
      }
      return 'taken'
    },
  }

  const answerPing = (exchange: Exchange, learnt: Learnt): void => {
    if (exchange.over) return
    if (learnt.kind === 'failed') fail(exchange, errorOf(learnt.reason))
    else if (learnt.kind === 'limited') fail(exchange, localErrors.tooMany, learnt.retryAfter)
    else if (learnt.challenge === null) servePing(exchanges, exchange)
    else if (learnt.challenge.scheme === 'basic') sendBasicChallenge(exchanges, exchange, '')
    else challenge(exchanges, exchange, '')
  }

  const answerToken = (exchange: Exchange, upstream: number, answer: RealmAnswer): void => {
    if (answer.kind === 'refused') {
      counters.countUpstreamError(upstream, 'auth')
      if (Date.now() - toldMs >= problemEveryMs) {
        toldMs = Date.now()
        const { host } = config.upstreams[upstream] as Config['upstreams'][number]
        options.log.warn({ upstream: host, reason: 'realm_refused' }, 'no token from the registry')
      }
      return fail(exchange, localErrors.upstreamFailed)
    }
    if (answer.kind === 'failed') {
      counters.countUpstreamError(upstream, 'auth')
      return fail(exchange, answer.timedOut ? localErrors.upstreamSlow : localErrors.upstreamFailed)
    }
    const { status, body, retryAfter } = answer
    exchange.record.upstreamStatus = status
    if (status === 200 && isJson(body)) send(exchanges, exchange, 200, 'relay', tokenHeaders, body)
    else if (status === 401) sendBasicChallenge(exchanges, exchange, '')
    else if (status === 403) fail(exchange, localErrors.denied)
    else if (status === 429) fail(exchange, localErrors.tooMany, retryAfter)
    else fail(exchange, localErrors.upstreamFailed)
  }

  const relayToken = async (exchange: Exchange, question: Question, signal: AbortSignal): Promise<void> => {
    const { upstream, repository, scopes, authorization } = question
    const learnt = await challenges.learn(upstream, repository)
    if (exchange.over) return
    if (learnt.kind === 'failed') return fail(exchange, errorOf(learnt.reason))
    if (learnt.kind === 'limited') return fail(exchange, localErrors.tooMany, learnt.retryAfter)
    // Only who was challenged with Bearer comes here; this upstream gives out no tokens.
    if (learnt.challenge?.scheme !== 'bearer') return fail(exchange, localErrors.notFound)
    const { realm, service } = learnt.challenge satisfies Challenge
    const account = accountOf(exchange.query)
    const answer = await realmOf(upstream).ask({ realm, service, scopes, authorization, account, signal })
    if (!exchange.over) answerToken(exchange, upstream, answer)
  }

  return {
    servePing(exchange) {
      const upstream = firstUpstream(exchange)
      if (upstream < 0) return sendError(exchanges, exchange, localErrors.nameUnknown)
      if (exchange.authorization === '') {
        void challenges.learn(upstream, '').then((learnt) => answerPing(exchange, learnt))
        return
      }
      const ask = { ...askFor(exchange, 'GET', '', exchange.upstreamHeaders), upstream, path: '/v2/' }
      startRelay(upstreams, options.relay, exchange, pingPlan, ask)
    },
    serveToken(exchange, authorization) {
      const anonymous = isAnonymous(authorization)
      if (!anonymous && !/^basic /i.test(authorization)) return sendBasicChallenge(exchanges, exchange, '')
      const asked = readScopes(exchange.query, (name) => routes.findRoute(exchange.record.domain, name))
      if (asked.kind === 'mixed') return sendError(exchanges, exchange, localErrors.severalRegistries)
      if (asked.kind === 'too-many') return sendError(exchanges, exchange, localErrors.badRequest)
      const signsIn = asked.kind === 'none'
      const upstream = signsIn ? firstUpstream(exchange) : asked.upstream
      if (upstream < 0) return sendError(exchanges, exchange, localErrors.nameUnknown)
      if (inFlight >= limit) return sendError(exchanges, exchange, localErrors.overloaded)
      exchange.record.upstream = upstream
      const leaving = new AbortController()
      exchange.sender = { sweep() {}, abandon: () => leaving.abort() }
      inFlight++
      const question = {
        upstream,
        repository: signsIn ? '' : (asked.repositories[0] ?? ''),
        scopes: signsIn ? [] : asked.scopes,
        authorization: anonymous ? '' : authorization,
      }
      void relayToken(exchange, question, leaving.signal).finally(() => {
        inFlight--
      })
    },
    async close() {
      await Promise.all([...realms.values()].map((realm) => realm.close()))
    },
  }
}

function isJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === 'object'
  } catch {
    return false
  }
}

/** Sent on, as token services log it; `offline_token` is not, as its refresh token could be used by POST alone. */
function accountOf(query: string): string {
  const account = new URLSearchParams(query).get('account') ?? ''
  return /^[\x21-\x7e]{1,256}$/.test(account) ? account : ''
}
