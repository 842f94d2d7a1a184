/** A small storm of mixed clients, seeded: every package event says what its client did, in every field. */
import { expect, test } from 'vitest'
import { defaultTraces, readKinds } from '../load/storm/kinds.ts'
import { makePlan } from '../load/storm/plan.ts'
import { startStormRegistry } from '../load/storm/registry.ts'
import { judge } from '../load/storm/report.ts'
import { runStorm, type StormOptions, type StormResult } from '../load/storm/run.ts'

const small: Omit<StormOptions, 'mode' | 'natGroup'> = {
  ...{ pulls: 200, perSecond: 25, atOnce: 100, seed: 7, failures: 0.1 },
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

// Behind one address only the tokens tell clients apart. Tools that take one for each step, and containerd with two,
// may be confused there, so here each client has an address of its own, as in the storm without tokens.
test.concurrent.each(['token', 'open'] as const)(
  '%s: every event is exact',
  { timeout: 90_000 },
  async (mode) => {
    const result = await runStorm({ ...small, mode, natGroup: 1 })
    expect(result.pulls).toBeGreaterThanOrEqual(small.pulls)
    expect(new Set([...result.byKind.keys()]).size).toBeGreaterThan(5)
    expect(wrongOf(result)).toEqual([])
    expect(judge(mode, result)).toEqual([])
  },
)

test('without recorded traces there are clients all the same, and a seed decides what they do', async () => {
  const registry = await startStormRegistry()
  const images = ['v1', 'v2'].map((tag) => registry.add('team/app', tag, 'platforms'))
  await registry.stop()
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
