/**
 * Pairs of sessions found step by step are those of one walk over all requests.
 */
import { expect, test } from 'vitest'
import { createRandom } from '../../test/support/random.ts'
import { compareEntries, decideJoins, joinEntryOf, type OpenEntry } from './join-index.ts'
import { pairSessions } from './pair-sessions.ts'
import { parseFact } from './pull/session.fixture.ts'

const windowMs = 9000

test.each([1, 2, 3])('of thousands of requests behind one address (%i)', (seed) => {
  const random = createRandom(seed)
  const many = Array.from({ length: 6500 }, (): OpenEntry => {
    const kind = (['a', 'a', 'b', 'b', 'c'] as const)[random.below(5)] as OpenEntry['kind']
    // Many at the same time, across the steps too.
    const time = random.below(3000) * 200
    const digest = `digest ${random.below(3)}`
    return { kind, time, digest, sessionId: `session ${random.below(4000)}` }
  }).sort(compareEntries)
  // Of each session the first of each kind, as `firstEntries` gives them.
  const seen = new Set<string>()
  const entries = many.filter(({ kind, sessionId }) => seen.size < seen.add(kind + sessionId).size)
  const limits = { upToMs: Number.POSITIVE_INFINITY, windowMs }
  const { decided } = decideJoins(entries, () => false, limits)
  const expected = decided.flatMap(({ entry, partner }): [string, string][] =>
    entry.kind === 'a' && partner !== null ? [[entry.sessionId, partner]] : [],
  )
  expect(expected.length).toBeGreaterThan(200)
  expect([...pairSessions(entries, windowMs)].sort()).toEqual(expected.sort())
})

test('a check by docker, which takes one token for a pull, joins no pull by digest; those of containerd do', () => {
  const kindsOf = (tool: string) =>
    ['HEAD manifests/t', 'GET manifests/I'].map(
      (request, index) => joinEntryOf(parseFact(`0 n${index} ${request}`, index + 1, { tool }))?.kind ?? null,
    )
  expect(kindsOf('docker')).toEqual([null, 'b'])
  expect(kindsOf('containerd')).toEqual(['a', 'b'])
})
