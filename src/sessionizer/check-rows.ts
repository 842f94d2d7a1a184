/** Summaries of checks as the stores keep them, row by row, and what a check makes of its row. */
import type { PackageEvent } from '../record/events.ts'
import {
  type CheckRow,
  checkDayMs,
  checkGraceMs,
  createCheckSummaries,
  isSummarised,
  summaryIdOf,
} from './memory/check-summary.ts'

/** Events that were not counted, because their day was over or there was no room. */
export type ChecksMissed = { late: number; full: number }

/** A row without its ids. They lie apart, 6 bytes each, and are only appended to. */
export type StoredCheck = { row: string; ids: Buffer }

/** Of all clients and days that are kept. */
export const maxCheckRows = 100_000
const idBytes = 6

export function groupChecks(events: readonly PackageEvent[]): Map<string, PackageEvent[]> {
  return Map.groupBy(events.filter(isSummarised), summaryIdOf)
}

export function readCheck({ row, ids }: StoredCheck): CheckRow {
  const checkIds = Array.from({ length: Math.floor(ids.length / idBytes) }, (_, at) =>
    ids.toString('hex', at * idBytes, (at + 1) * idBytes),
  )
  return { ...(JSON.parse(row) as Omit<CheckRow, 'checkIds'>), checkIds }
}

/** The row with the checks in it. null: it stays as it was. `events`: all of its client, tag and day. */
export function addToCheck(
  before: StoredCheck | null,
  events: readonly PackageEvent[],
): { after: (StoredCheck & { added: Buffer; dayMs: number }) | null; full: number } {
  const known = before === null ? [] : [readCheck(before)]
  const summaries = createCheckSummaries({ rows: known })
  const outcomes = events.map((event) => ({ event, outcome: summaries.add(event) }))
  const full = outcomes.filter(({ outcome }) => outcome === 'full').length
  const counted = outcomes.flatMap(({ event, outcome }) => (outcome === 'counted' ? [event] : []))
  const [row] = summaries.rows()
  if (row === undefined || counted.length === 0) return { after: null, full }
  const { checkIds: _, ...rest } = row
  const added = Buffer.from(counted.map(({ id }) => id.slice(0, 2 * idBytes)).join(''), 'hex')
  const ids = Buffer.concat([before?.ids ?? Buffer.alloc(0), added])
  return { after: { row: JSON.stringify(rest), ids, added, dayMs: row.dayMs }, full }
}

/** Days that began before it are over at the watermark; they take no more checks. */
export function closedDayMs(watermarkMs: number): number {
  return Math.floor((watermarkMs - checkGraceMs) / checkDayMs) * checkDayMs
}

/** The events of rows whose days are over. */
export function summariesOf(rows: Iterable<StoredCheck>): PackageEvent[] {
  return createCheckSummaries({ rows: [...rows].map(readCheck) }).due(Number.POSITIVE_INFINITY)
}
