/** What the runs of a suite say side by side, and what only one of them passes. */
import type { Case, Status } from './suite.ts'

export type Run = {
  name: string
  cases: readonly Case[]
  /** Requests that the front was asked; 0 where there was none. */
  reads: number
}

const statuses: readonly Status[] = ['passed', 'failed', 'skipped']

function count(cases: readonly Case[]): string {
  return statuses.map((status) => cases.filter((each) => each.status === status).length).join(' / ')
}

/** A row for each part of the suite, with passed / failed / skipped of each run. */
export function printTable(runs: readonly Run[]): void {
  const parts = [...new Set(runs.flatMap(({ cases }) => cases.map(({ part }) => part)))]
  const row = (name: string, cells: readonly string[]) => console.log(`| ${[name, ...cells].join(' | ')} |`)
  console.log('passed / failed / skipped\n')
  row(
    'part',
    runs.map(({ name, reads }) => (reads > 0 ? `${name} (${reads} reads)` : name)),
  )
  row(
    '---',
    runs.map(() => '---:'),
  )
  for (const part of parts)
    row(
      part,
      runs.map(({ cases }) => count(cases.filter((each) => each.part === part))),
    )
  row(
    'all',
    runs.map(({ cases }) => count(cases)),
  )
}

function countPassed(cases: readonly Case[]): Map<string, number> {
  const passed = new Map<string, number>()
  for (const { name, status } of cases) if (status === 'passed') passed.set(name, (passed.get(name) ?? 0) + 1)
  return passed
}

/** By name, how many cases pass directly, and how many of them in this run too. */
export type Lost = { name: string; direct: number; here: number }

/** Names of which fewer cases pass in this run: several cases share a name, and the suite shuffles those. */
export function compare(direct: Run, run: Run): Lost[] {
  const ours = countPassed(run.cases)
  return [...countPassed(direct.cases)]
    .map(([name, count]) => ({ name, direct: count, here: ours.get(name) ?? 0 }))
    .filter((each) => each.here < each.direct)
}

export function printDifferences(runs: readonly { run: Run; lost: readonly Lost[] }[]): void {
  for (const { run, lost } of runs) {
    const count = lost.reduce((sum, each) => sum + each.direct - each.here, 0)
    console.log(`\n${run.name}: ${count} that pass directly do not pass through Waybill`)
    for (const { name, direct, here } of lost) console.log(`  ${here} of ${direct}: ${name}`)
  }
}
