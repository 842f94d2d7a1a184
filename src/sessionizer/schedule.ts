/**
 * When a session is looked at next. `redis/add-facts.lua` holds the same rule; the behaviour tests run
 * both against the same table.
 */
import type { Config } from '../config/types.ts'
import { endOf } from './pull/request.ts'
import type { Fact } from './types.ts'

export type SessionRules = Config['sessions']

/** Bits of `SessionState.flags`. */
export const flags = { get: 1, builder: 2, token: 4, heartbeat: 8 } as const

/**
 * A session that never falls idle is looked at after so many facts, and as many as stayed at the last look, so that
 * each fact is looked at about twice; or when it has gone on for so long.
 */
export const passFacts = 256
export const passEveryMs = 60_000
/** What is read of a session at a time: some 300 ms of the session thread. */
export const mostFacts = 16_384
/** Of several sessions no more are read at a time. */
export const claimFacts = 4096
/** A token session whose image is completely delivered ends this long after its last request. */
export const earlyMs = 5000

const builders: ReadonlySet<string> = new Set(['buildkit', 'kaniko'])

/** Of all facts of a session; Unix ms. */
export type SessionState = { firstMs: number; lastMs: number; flags: number }

export function flagsOf(fact: Fact): number {
  let value = fact.method === 'GET' ? flags.get : 0
  if (fact.context.client.tool !== null && builders.has(fact.context.client.tool)) value |= flags.builder
  if (fact.context.session_method === 'token') value |= flags.token
  if (fact.heartbeat) value |= flags.heartbeat
  return value
}

/** null for no facts. */
export function stateOf(facts: Iterable<Fact>): SessionState | null {
  let [firstMs, lastMs, all] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0]
  for (const fact of facts) {
    firstMs = Math.min(firstMs, fact.time)
    lastMs = Math.max(lastMs, Math.round(endOf(fact)))
    all |= flagsOf(fact)
  }
  return firstMs === Number.POSITIVE_INFINITY ? null : { firstMs, lastMs, flags: all }
}

export function factState(fact: Fact): SessionState {
  return { firstMs: fact.time, lastMs: Math.round(endOf(fact)), flags: flagsOf(fact) }
}

export function joinStates(a: SessionState | null, b: SessionState): SessionState {
  if (a === null) return b
  return {
    firstMs: Math.min(a.firstMs, b.firstMs),
    lastMs: Math.max(a.lastMs, b.lastMs),
    flags: a.flags | b.flags,
  }
}

export function idleMsOf(stateFlags: number, rules: SessionRules): number {
  if ((stateFlags & flags.get) === 0) return rules.idleHeadMs
  return (stateFlags & flags.builder) === 0 ? rules.idleMs : rules.idleBuilderMs
}

/**
 * Next check after new facts. `held`: all facts; `arrivals`: those since the last pass; `passMs`: time of that pass,
 * null: none yet; `previousMs`: the check set before, null: none. Early for token sessions with a GET: one of HEADs
 * only has nothing that could be complete.
 */
export function nextCheckMs(
  state: SessionState,
  { held, arrivals }: { held: number; arrivals: number },
  passMs: number | null,
  previousMs: number | null,
  rules: SessionRules,
): number {
  const idleMs = idleMsOf(state.flags, rules)
  const early = flags.token | flags.get
  const waitMs = (state.flags & early) === early ? Math.min(earlyMs, idleMs) : idleMs
  let check = state.lastMs + waitMs
  const isBusy =
    arrivals >= Math.max(passFacts, held - arrivals) ||
    state.lastMs - (passMs ?? state.firstMs) >= passEveryMs
  // The check set before counts here: the last end of a busy session runs ahead of the watermark for ever.
  if (isBusy) check = Math.min(check, state.lastMs, previousMs ?? check)
  return Math.min(check, state.firstMs + rules.maxMs)
}

/** A silent node holds the others no longer than a late one may. */
export function nodeLifeMs(rules: SessionRules): number {
  return Math.max(rules.latenessMs, 10_000)
}
