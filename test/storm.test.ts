/** A small storm of mixed clients, seeded: every package event says what its client did, in every field. */
import { expect, test } from 'vitest'
import { createImageStore } from '../load/storm/images.ts'
import { defaultTraces, readKinds } from '../load/storm/kinds.ts'
import { makePlan } from '../load/storm/plan.ts'
import { rehearseStorm } from '../load/storm/rehearse.ts'
import { judge } from '../load/storm/report.ts'
import { runStorm, type StormOptions, type StormResult } from '../load/storm/run.ts'

const small: Omit<StormOptions, 'mode' | 'natGroup'> = {
  ...{ pulls: 160, perSecond: 20, atOnce: 100, seed: 7, failures: 0.1 },
  ...{
    versions: 20,
    nodes: 1,
    skewMs: 0,
    spread: 'requests',
    idleSeconds: 5,
    knowsPlatforms: true,
    traces: defaultTraces,
  },
}

/** All that is wrong, in words that say where to look. */
function wrongOf({ differences, missing, extra }: StormResult): string[] {
  return [
    ...differences.map(({ field, expected, found, truth }) => {
      const { kind, failure } = truth.pull.operation
      return `${kind.name} (${failure ?? 'nothing'} goes wrong): ${field} is ${found}, not ${expected}`
    }),
    ...missing.map(({ pull }) => `${pull.operation.kind.name}: no event`),
    ...extra.map(({ type, kind, repository }) => `${type} ${kind} of ${repository} that nobody made`),
  ]
}

test.concurrent.each([
  ['token', { natGroup: 20, nodes: 2, skewMs: 5, spread: 'addresses' }],
  ['open', { natGroup: 1 }],
] as const)('%s: every event is exact', { timeout: 120_000 }, async (name, changes) => {
  const result = await runStorm({ ...small, mode: name, ...changes })
  expect(result.pulls).toBeGreaterThanOrEqual(small.pulls)
  expect(new Set([...result.byKind.keys()]).size).toBeGreaterThan(5)
  expect(wrongOf(result)).toEqual([])
  expect(judge(name, result)).toEqual([])
})

// Behind one address without tokens some are guessed wrong, and of so few cells one would be too many.
test.concurrent('nat: each request is in one event, and nearly all are exact', {
  timeout: 120_000,
}, async () => {
  const result = await runStorm({ ...small, mode: 'open', natGroup: 20 })
  expect(result.counted).toBe(result.requests)
  expect([...result.problems]).toEqual([])
  expect(result.exact / result.pulls).toBeGreaterThan(0.97)
})

test.each(['token', 'open', 'nat'] as const)(
  '%s: in virtual time thousands of pulls reach the aim',
  async (name) => {
    const mode = name === 'token' ? 'token' : 'open'
    const result = await rehearseStorm({
      ...small,
      ...{ mode, natGroup: name === 'open' ? 1 : 20, pulls: 4000, failures: 0.05, spread: 'addresses' },
    })
    expect(result.pulls).toBeGreaterThan(3900)
    expect(judge(name, result)).toEqual([])
  },
)

test('the same rehearsal of the same seed comes to the same', async () => {
  const play = async (seed: number) => {
    const { events, requests, byKind } = await rehearseStorm({ ...small, mode: 'token', natGroup: 20, seed })
    return { events, requests, byKind }
  }
  const first = await play(1)
  expect(await play(1)).toEqual(first)
  expect(await play(2)).not.toEqual(first)
})

test('without recorded traces there are clients all the same, and a seed decides what they do', async () => {
  const { add } = createImageStore()
  const images = ['v1', 'v2'].map((tag) => add('team/app', tag, 'platforms'))
  const { kinds, source } = readKinds('/nonexistent', 'token')
  expect(source).toBe('built-in clients')
  const planOf = (seed: number) =>
    makePlan({ ...small, seed, natGroup: 20, kinds, images }).map(
      ({ kind, images: of, ...rest }) => [kind.name, of.map(({ tag }) => tag), rest] as const,
    )
  expect(planOf(1)).toEqual(planOf(1))
  expect(planOf(1)).not.toEqual(planOf(2))
  expect(new Set(planOf(1).map(([name]) => name)).size).toBe(kinds.length)
})
