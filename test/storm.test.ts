/** A small storm of mixed clients, seeded: every package event says what its client did, in every field. */
import { expect, test } from 'vitest'
import { defaultTraces } from '../load/storm/kinds.ts'
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
