import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take long, mostly waiting: begun first, so that none of them is left alone at the end. */
const longest = [
  ...['rows-slow', 'rows-volume', 'faults-kafka', 'faults-restart', 'faults-redis', 'operations'],
  'clients-matrix',
  ...['client-address-shared', 'domains-tls', 'domains-routes', 'pull-shared', 'rows-parsing', 'storm'],
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = longest.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`))
      return at < 0 ? longest.length : at
    }
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b))
  }
}

// A file for each core: integration tests mostly wait, but what they start is more than one process each.
const maxWorkers = Math.min(8, availableParallelism())

// Long enough for a loaded machine: a wait ends when its condition holds.
const expect = { poll: { timeout: 10_000 } }

// Unit tests stand beside their source and need nothing; integration tests start real services.
export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts'],
          pool: 'forks',
          maxWorkers,
          expect,
          testTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/**/*.test.ts'],
          pool: 'forks',
          maxWorkers,
          expect,
          testTimeout: 240_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
})
