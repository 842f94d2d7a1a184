/**
 * Attempts over several tokens: what was refused before counts, what was answered or is long past does not.
 */
import { expect, test } from 'vitest'
import { createGraph, parseFacts, run, startMs } from '../pull/session.fixture.ts'
import { attemptOf, createAttemptHistory } from './attempt-history.ts'

function attemptsOf(lines: string[], order: 1 | -1 = 1): number[] {
  const facts = parseFacts(lines, { method: 'token' })
  const history = createAttemptHistory()
  const arrivals = order === 1 ? facts : [...facts, ...facts].reverse()
  for (const attempt of arrivals.map(attemptOf)) if (attempt !== null) history.note(attempt)
  const kept = createAttemptHistory(history.rows())
  const sessions = Map.groupBy(facts, ({ sessionId }) => sessionId)
  return [...sessions.values()].flatMap((session) =>
    run(session, createGraph({}), { others: { failuresBefore: kept.failuresBefore } }).finished.map(
      ({ event }) => event.attempts,
    ),
  )
}

test.each<[string, string[], number[]]>([
  [
    'kubelet backs off, with a token each time',
    [
      '0 n1 HEAD manifests/t 404',
      '10 n2 HEAD manifests/t 404',
      '30 n3 HEAD manifests/t',
      '30.1 n3 GET manifests/I',
    ],
    [1, 2, 3],
  ],
  ['other tags do not count', ['0 n1 HEAD manifests/u 404', '10 n2 HEAD manifests/t'], [1, 1]],
  [
    'a retry that was answered failed nothing',
    ['0 n1 HEAD manifests/t 429', '1 n1 HEAD manifests/t', '9 n2 HEAD manifests/t'],
    [1, 1],
  ],
  [
    'an answer that came later changes nothing',
    ['0 n1 HEAD manifests/t 429', '5 n2 HEAD manifests/t', '6 n1 HEAD manifests/t'],
    [1, 2],
  ],
  ['challenges are no attempts', ['0 n1 HEAD manifests/t 401', '1 n2 HEAD manifests/t'], [1]],
  ['more than ten minutes before', ['0 n1 HEAD manifests/t 404', '601 n2 HEAD manifests/t 404'], [1, 1]],
  ['what comes later does not count', ['5 n1 HEAD manifests/t', '9 n2 HEAD manifests/t 404'], [1, 1]],
])('%s', (_, lines, attempts) => {
  expect(attemptsOf(lines)).toEqual(attempts)
  expect(attemptsOf(lines, -1)).toEqual(attempts)
})

test('what nobody can ask about any more is forgotten, and of too many the oldest', () => {
  const history = createAttemptHistory()
  for (let at = 0; at < 3000; at += 1)
    history.note({ tag: 't', sessionId: `${at}`, timeMs: startMs + at * 1000, answeredMs: null })
  history.forget(startMs + 3_000_000)
  expect(history.rows()).toHaveLength(600)
  for (let at = 0; at < 3000; at += 1)
    history.note({ tag: 't', sessionId: `${at}`, timeMs: startMs + 3_000_000, answeredMs: null })
  history.forget(startMs + 3_000_000)
  expect(history.rows()).toHaveLength(1024)
})
