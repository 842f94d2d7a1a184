/**
 * Requests are joined by lines and shelves, not by walking through all open pulls: it must make no difference, and
 * a session of thousands of pulls must be done soon.
 */
import { expect, test } from 'vitest'
import type { Fact } from '../types.ts'
import { joinFacts } from './join.ts'
import { joinNaively } from './naive-join.fixture.ts'
import type { Pull } from './pull.ts'
import { createRandomSession } from './random-session.fixture.ts'
import { isChallenge, orderFacts } from './request.ts'
import { createImageGraph, digestOf, parseFact, run, startMs } from './session.fixture.ts'

function describePull(pull: Pull): object {
  const {
    origin,
    reference,
    tag,
    tagSource,
    digest,
    subject,
    facts,
    sessionIds,
    contents,
    startMs: start,
  } = pull
  return {
    ...{ origin, reference, tag, tagSource, digest, subject, start, end: pull.endMs },
    facts: facts.map(({ id }) => id),
    sessions: [...sessionIds].sort(),
    contents: contents.map(({ root }) => root),
    transfers: new Map([...pull.transfers].sort()),
  }
}

test('each request joins the pull that a comparison with all open pulls would find', () => {
  let pulls = 0
  for (let seed = 1; seed <= 600; seed += 1) {
    const { facts, graph } = createRandomSession(seed)
    const counted = orderFacts(facts).filter((fact) => !isChallenge(fact))
    const idleMs = [2000, 15_000, 60_000][seed % 3] as number
    const known = seed % 2 === 0 ? [{ tag: 'z', digest: digestOf('I'), endMs: startMs + 500 }] : []
    const joined = joinFacts(counted, graph, idleMs, known).map(describePull)
    expect(joined, `seed ${seed}`).toEqual(joinNaively(counted, graph, idleMs, known).map(describePull))
    pulls += joined.length
  }
  expect(pulls).toBeGreaterThan(5000)
}, 120_000)

const crowds: [string, (index: number) => string, Record<string, number>][] = [
  ['GETs of one manifest by digest', () => 'GET manifests/M', { manifest_only: 20_000 }],
  ['HEADs of one tag', () => 'HEAD manifests/t', { check: 20_000 }],
  ['GETs of one blob', () => 'GET blobs/L1', { incremental: 1 }],
  ['ranges of one blob', (index) => `GET blobs/L1 range=${index * 2 + 2}- sent=1/50000`, { lazy: 1 }],
]

test.each(crowds)(
  '20,000 %s of one client within a second are done in seconds',
  (_, line, kinds) => {
    const facts = Array.from({ length: 20_000 }, (_, index): Fact => {
      const fact = parseFact(`0 ${line(index)}`, index + 1)
      return { ...fact, time: startMs + Math.floor(index / 20) }
    })
    // What is worse than linear takes a minute and more.
    const { finished } = run(facts, createImageGraph())
    const found = Map.groupBy(finished, ({ event }) => event.kind)
    expect(Object.fromEntries([...found].map(([kind, { length }]) => [kind, length]))).toEqual(kinds)
  },
  20_000,
)
