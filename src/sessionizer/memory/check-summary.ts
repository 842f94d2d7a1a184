/**
 * Summaries of checks: for each client, repository, tag and UTC day one event, at its end, however often the client
 * asked. What is counted is a set of event ids, so that repeats and the order in which checks come change nothing.
 */
import type { PackageEvent } from '../../record/events.ts'
import { hashId } from '../pull/package-event.ts'

/** What is kept of one summary; plain data, a row of a store. */
export type CheckRow = {
  /** That of its event. */
  id: string
  /** Start of the UTC day in Unix ms. */
  dayMs: number
  /** The first check by (start, id): client, place and upstream of the summary are its. */
  first: PackageEvent
  /** The last check by (start, id). */
  last: { id: string; startedAt: string; digest: string | null }
  endedAt: string
  /** First sight of each digest. */
  digests: Record<string, string>
  /** Of the checks counted, shortened. */
  checkIds: string[]
}

/** What became of an event: `other` is no answered check of a tag; `full` and `late` are not counted, and must be told. */
export type CheckOutcome = 'counted' | 'repeat' | 'other' | 'late' | 'full'

export type CheckSummaries = {
  add(event: PackageEvent): CheckOutcome
  /** Events of the days that are over, in order of id; the same at each call until they are forgotten. */
  due(watermarkMs: number): PackageEvent[]
  /** After their events are safe. Their days take no more checks. */
  forget(events: readonly PackageEvent[]): void
  rows(): CheckRow[]
}

export const checkDayMs = 86_400_000
/** From the start of a check to its event: its idle time (10 s) and the lateness of a node (30 s) many times over. */
export const checkGraceMs = 600_000
/** Hex digits of an id that tell a client's checks of a day apart: 48 bits, at most `maxChecks` of them. */
const idDigits = 12
/** One every 4 s, all day. More are a storm: they are told, and the summary says no less than this. */
const maxChecks = 20_000
const maxDigests = 64

/** Only checks that were answered: a refused one shows no use of the image. */
export function isSummarised(event: PackageEvent): boolean {
  return event.type === 'check' && event.kind === 'check' && event.tag !== null
}

/** Of a check, which decides its day by its start. */
export function summaryIdOf(event: PackageEvent): string {
  const { client, domain, repository, tag, started_at } = event
  const day = started_at.slice(0, 10)
  return hashId('checks', [client.id, domain === null ? '' : `=${domain}`, repository, tag ?? '', day])
}

function isBefore(a: { at: string; id: string }, b: { at: string; id: string }): boolean {
  return a.at === b.at ? a.id < b.id : a.at < b.at
}

function startRow(event: PackageEvent, id: string): CheckRow {
  return {
    id,
    dayMs: Math.floor(Date.parse(event.started_at) / checkDayMs) * checkDayMs,
    first: event,
    last: { id: event.id, startedAt: event.started_at, digest: event.digest },
    endedAt: event.ended_at,
    digests: {},
    checkIds: [],
  }
}

function addToRow(row: CheckRow, event: PackageEvent): void {
  const { id, started_at: at, ended_at, digest } = event
  const { first, last, digests } = row
  if (isBefore({ at, id }, { at: first.started_at, id: first.id })) row.first = event
  if (isBefore({ at: last.startedAt, id: last.id }, { at, id })) row.last = { id, startedAt: at, digest }
  if (ended_at > row.endedAt) row.endedAt = ended_at
  if (digest === null) return
  if (!((digests[digest] ?? at) < at)) digests[digest] = at
  const seen = sortSights(digests)
  // Those seen first, whatever came first.
  for (const [late] of seen.slice(maxDigests)) delete digests[late]
}

function sortSights(digests: CheckRow['digests']): [digest: string, at: string][] {
  return Object.entries(digests).sort(([a, atA], [b, atB]) =>
    isBefore({ at: atA, id: a }, { at: atB, id: b }) ? -1 : 1,
  )
}

/** All numbers but those of `checks` are 0: each request was counted by the event of its check. */
export function createSummaryEvent(row: CheckRow): PackageEvent {
  const { first, last, endedAt } = row
  return {
    ...first,
    id: row.id,
    // One for each token would be thousands.
    session_ids: first.session_ids.slice(0, 1),
    type: 'check_summary',
    kind: 'check',
    ended_at: endedAt,
    duration_ms: Date.parse(endedAt) - Date.parse(first.started_at),
    digest: last.digest,
    batch_id: null,
    attempts: 1,
    checks: {
      count: row.checkIds.length,
      first_at: first.started_at,
      last_at: last.startedAt,
      digests: sortSights(row.digests).map(([digest]) => digest),
    },
    ...{ requests: 0, manifest_gets: 0, manifest_heads: 0, blob_gets: 0 },
    ...{ bytes_sent: 0, bytes_unique: 0, bytes_expected: 0, bytes_basis: 'observed' },
    counts: {
      ...{ hub_pulls: 0, dvp_action: null, scarf_pull: false },
      ...{ k8s_complete_pull: false, config_blob_pull: false },
    },
  }
}

/** `rows`: as kept; `closedThroughMs`: days that began before are over; `maxRows`: more are not begun. */
export function createCheckSummaries(
  options: { rows?: Iterable<CheckRow>; closedThroughMs?: number; maxRows?: number } = {},
): CheckSummaries {
  const { maxRows = 100_000 } = options
  const rows = new Map<string, { row: CheckRow; ids: Set<string> }>()
  let closedMs = options.closedThroughMs ?? 0
  for (const row of options.rows ?? []) rows.set(row.id, { row, ids: new Set(row.checkIds) })

  const plain = ({ row, ids }: { row: CheckRow; ids: Set<string> }): CheckRow => ({
    ...row,
    checkIds: [...ids].sort(),
  })

  return {
    add(event) {
      if (!isSummarised(event)) return 'other'
      const id = summaryIdOf(event)
      const known = rows.get(id)
      const short = event.id.slice(0, idDigits)
      if (known?.ids.has(short)) return 'repeat'
      if (Date.parse(event.started_at) < closedMs) return 'late'
      if (known === undefined && rows.size >= maxRows) return 'full'
      const entry = known ?? { row: startRow(event, id), ids: new Set<string>() }
      if (entry.ids.size >= maxChecks) return 'full'
      entry.ids.add(short)
      addToRow(entry.row, event)
      rows.set(id, entry)
      return 'counted'
    },

    due(watermarkMs) {
      const over = [...rows.values()].filter(
        ({ row }) => row.dayMs + checkDayMs + checkGraceMs <= watermarkMs,
      )
      for (const { row } of over) closedMs = Math.max(closedMs, row.dayMs + checkDayMs)
      return over.map((entry) => createSummaryEvent(plain(entry))).sort((a, b) => (a.id < b.id ? -1 : 1))
    },

    forget(events) {
      for (const { id } of events) rows.delete(id)
    },

    rows: () => [...rows.values()].map(plain),
  }
}
