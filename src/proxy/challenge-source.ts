/**
 * Learns what an upstream challenges anonymous clients with, by asking it so, and remembers it for a while: it is
 * the same for everybody.
 */

import type { AnswerFields } from './answer-head.ts'
import { type Challenge, parseChallenge } from './challenge.ts'
import { ownHeaders } from './manifest-fetch.ts'
import type { UpstreamErrorReason } from './types.ts'
import type { Sink, Upstreams } from './upstream.ts'

export type Learnt =
  /** null: it asks for nothing. */
  | { kind: 'challenge'; challenge: Challenge | null }
  /** 429; `retryAfter`: its header, '' without one. */
  | { kind: 'limited'; retryAfter: string }
  | { kind: 'failed'; reason: UpstreamErrorReason }

export type ChallengeSource = {
  /** `repository`: a name there to ask about where the registry as a whole is open; '' without one. */
  learn(upstream: number, repository: string): Promise<Learnt>
}

// A registry that changes its token service is followed within minutes.
const keepMs = 10 * 60_000

export function createChallengeSource(upstreams: Upstreams, now: () => number): ChallengeSource {
  const known = new Map<number, { challenge: Challenge | null; untilMs: number }>()
  const pending = new Map<number, Promise<Learnt>>()

  const ask = (upstream: number, repository: string, path: string): Promise<Learnt> =>
    new Promise((resolve) => {
      const sink: Sink = {
        head(call, { status, fields }) {
          resolve(judge(status, fields))
          call.abort()
        },
        data() {},
        end() {},
        fail: (_call, reason) => resolve({ kind: 'failed', reason }),
      }
      const own = { headers: ownHeaders(''), authorization: '', origin: '' }
      const alone = { fallback: null, isFallback: false, isCounted: false, isSpare: false }
      upstreams.ask({ upstream, repository, method: 'GET', path, ...own, ...alone }, sink)
    })

  const learnPing = (upstream: number): Promise<Learnt> => {
    const running = pending.get(upstream)
    if (running !== undefined) return running
    const started = ask(upstream, '', '/v2/').then((learnt) => {
      pending.delete(upstream)
      if (learnt.kind === 'challenge') {
        known.set(upstream, { challenge: learnt.challenge, untilMs: now() + keepMs })
      }
      return learnt
    })
    pending.set(upstream, started)
    return started
  }

  return {
    async learn(upstream, repository) {
      const kept = known.get(upstream)
      const learnt: Learnt =
        kept && kept.untilMs > now()
          ? { kind: 'challenge', challenge: kept.challenge }
          : await learnPing(upstream)
      if (learnt.kind !== 'challenge' || learnt.challenge !== null || repository === '') return learnt
      // Some registries guard single repositories only.
      return ask(upstream, repository, `/v2/${repository}/tags/list?n=1`)
    },
  }
}

function judge(status: number, fields: AnswerFields): Learnt {
  if (status === 401) {
    const challenge = parseChallenge(fields.challenge)
    return challenge ? { kind: 'challenge', challenge } : { kind: 'failed', reason: 'protocol' }
  }
  if (status === 429) return { kind: 'limited', retryAfter: fields.retryAfter }
  return status < 500 ? { kind: 'challenge', challenge: null } : { kind: 'failed', reason: 'other' }
}
