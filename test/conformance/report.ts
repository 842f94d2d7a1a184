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

/** Names may repeat: the order tells the cases of one name apart. */
function keyed(cases: readonly Case[]): Map<string, Case> {
  const seen = new Map<string, number>()
  return new Map(
    cases.map((each) => {
      const number = (seen.get(each.name) ?? 0) + 1
      seen.set(each.name, number)
      return [`${each.name}${number > 1 ? ` (${number})` : ''}`, each]
    }),
  )
}

/** Cases that pass directly and not in this run. */
export function compare(direct: Run, run: Run): { name: string; status: Status | 'missing' }[] {
  const ours = keyed(run.cases)
  return [...keyed(direct.cases)].flatMap(([name, { status }]) => {
    const here = ours.get(name)?.status ?? 'missing'
    return status === 'passed' && here !== 'passed' ? [{ name, status: here }] : []
  })
}

export function printDifferences(runs: readonly { run: Run; lost: ReturnType<typeof compare> }[]): void {
  for (const { run, lost } of runs) {
    console.log(`\n${run.name}: ${lost.length} that pass directly do not pass through Waybill`)
    for (const { name, status } of lost) console.log(`  ${status}: ${name}`)
  }
}
