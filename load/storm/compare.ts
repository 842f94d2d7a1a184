/** Pairs package events with what they should say, and counts what is right. */
import type { PackageEvent } from '../../src/record/events.ts'
import { fieldOf, type Span, type Truth } from './truth.ts'

export type Difference = { field: string; expected: string; found: string; truth: Truth }

export type Comparison = {
  pulls: number
  events: number
  /** Pulls whose event is right in every field. */
  exact: number
  missing: Truth[]
  extra: PackageEvent[]
  differences: Difference[]
  byKind: Map<string, { pulls: number; exact: number }>
  /** Repository, tag and hour: whether it has as many events of each type as there were. */
  cells: { all: number; exact: number; exactByKind: number; wrong: string[] }
  /** Addresses or clients that have more than one pseudonym, or share one. */
  confused: number
}

export const toleranceMs = 100
// An event is looked for this far from when its pull began, and no farther.
const searchMs = 30_000
// Of two that are about as near, the one that says more of what happened: neighbours may have begun together.
const otherFieldMs = 25
const otherTagMs = 3000
const otherTypeMs = 1000
const hourMs = 3_600_000

function distance({ fromMs, toMs }: Span, time: string): number {
  const ms = Date.parse(time)
  return Math.max(0, fromMs - ms, ms - toMs)
}

const keyOf = (...parts: (string | null | undefined)[]): string => parts.join(' ')

function groupBy<Value>(values: readonly Value[], key: (value: Value) => string): Map<string, Value[]> {
  const groups = new Map<string, Value[]>()
  for (const value of values) {
    const group = groups.get(key(value))
    if (group) group.push(value)
    else groups.set(key(value), [value])
  }
  return groups
}

const repositoryOf = ({ fields }: Truth): string => String(fields.get('repository')?.[0])
const typeOf = ({ fields }: Truth): string => String(fields.get('type')?.[0])
const kindOf = ({ fields }: Truth): string => String(fields.get('kind')?.[0])

/** The nearest pairs first. */
function pair(truths: readonly Truth[], events: readonly PackageEvent[]): Map<Truth, PackageEvent> {
  const costs = truths.flatMap((truth) =>
    events.flatMap((event) => {
      const apartMs = distance(truth.started, event.started_at)
      if (apartMs > searchMs) return []
      const fields = differencesOf(truth, event, true).length * otherFieldMs
      const isTag = truth.fields.get('tag')?.includes(event.tag)
      const others = (isTag ? 0 : otherTagMs) + (typeOf(truth) === event.type ? 0 : otherTypeMs)
      return [{ truth, event, cost: apartMs + fields + others }]
    }),
  )
  const pairs = new Map<Truth, PackageEvent>()
  const taken = new Set<PackageEvent>()
  for (const { truth, event } of costs.toSorted((a, b) => a.cost - b.cost)) {
    if (pairs.has(truth) || taken.has(event)) continue
    pairs.set(truth, event)
    taken.add(event)
  }
  return pairs
}

function differencesOf(truth: Truth, event: PackageEvent, mayHaveFailedBefore: boolean): Difference[] {
  const found: Difference[] = []
  for (const [field, allowed] of truth.fields) {
    const value = fieldOf(event, field)
    if (field === 'attempts' && mayHaveFailedBefore) continue
    if (!allowed.includes(value))
      found.push({ field, expected: allowed.map(String).join(' or '), found: String(value), truth })
  }
  for (const [field, span] of [
    ['started_at', truth.started],
    ['ended_at', truth.ended],
  ] as const) {
    if (distance(span, event[field]) <= toleranceMs) continue
    const expected = [span.fromMs, span.toMs].map((ms) => new Date(ms).toISOString().slice(11, 23)).join('-')
    found.push({ field, expected, found: event[field].slice(11, 23), truth })
  }
  return found
}

export function compare(truths: readonly Truth[], events: readonly PackageEvent[]): Comparison {
  const truthsByKey = groupBy(truths, (truth) => keyOf(repositoryOf(truth), truth.tool, truth.version))
  const eventsByKey = groupBy(events, ({ repository, client }) =>
    keyOf(repository, client.tool, client.version),
  )
  const pairs = new Map<Truth, PackageEvent>()
  for (const [key, group] of truthsByKey)
    for (const [truth, event] of pair(group, eventsByKey.get(key) ?? [])) pairs.set(truth, event)

  // Attempts are counted for an address and tool, so a neighbour's failure may count.
  const clientOf = ({ pull, tool }: Truth): string =>
    keyOf(pull.operation.address, tool, pull.image.repository, pull.image.tag)
  const failed = new Set(truths.filter((truth) => kindOf(truth) === 'failed').map(clientOf))

  const byKind = new Map<string, { pulls: number; exact: number }>()
  const differences: Difference[] = []
  let exact = 0
  const right = new Map<Truth, PackageEvent>()
  for (const truth of truths) {
    const event = pairs.get(truth)
    const wrong = event ? differencesOf(truth, event, failed.has(clientOf(truth))) : []
    const isExact = event !== undefined && wrong.length === 0
    differences.push(...wrong)
    const { name } = truth.pull.operation.kind
    const counts = byKind.get(name) ?? { pulls: 0, exact: 0 }
    byKind.set(name, { pulls: counts.pulls + 1, exact: counts.exact + (isExact ? 1 : 0) })
    if (isExact) exact += 1
    if (isExact) right.set(truth, event)
  }
  const paired = new Set(pairs.values())
  return {
    ...{ pulls: truths.length, events: events.length, exact, differences, byKind },
    missing: truths.filter((truth) => !pairs.has(truth)),
    extra: events.filter((event) => !paired.has(event)),
    cells: compareCells(truths, events),
    confused: countConfused(right),
  }
}

type Count = { cell: string; type: string; kind: string }

function compareCells(truths: readonly Truth[], events: readonly PackageEvent[]): Comparison['cells'] {
  const hourOf = (ms: number): string => String(Math.floor(ms / hourMs))
  const expected = truths.map((truth): Count => {
    const tag = truth.fields.get('tag')?.[0] as string | null
    const cell = keyOf(repositoryOf(truth), tag, hourOf(truth.started.fromMs))
    return { cell, type: typeOf(truth), kind: kindOf(truth) }
  })
  const found = events.map((event): Count => {
    const tag = event.tag_source === 'inferred' ? null : event.tag
    const cell = keyOf(event.repository, tag, hourOf(Date.parse(event.started_at)))
    return { cell, type: event.type, kind: event.kind }
  })
  const cells = new Set([...expected, ...found].map(({ cell }) => cell))
  const wrongCells: string[] = []
  const right = (nameOf: (count: Count) => string, list?: string[]): number => {
    const wrong = new Set<string>()
    const all = groupBy([...expected, ...found], (one) => keyOf(one.cell, nameOf(one)))
    const isExpected = new Set(expected)
    for (const group of all.values()) {
      const due = group.filter((one) => isExpected.has(one)).length
      if (due * 2 === group.length) continue
      const [first] = group
      if (first) wrong.add(first.cell)
      if (first) list?.push(`${first.cell}: ${group.length - due} of type ${nameOf(first)}, not ${due}`)
    }
    return cells.size - wrong.size
  }
  const exact = right(({ type }) => type, wrongCells)
  return { all: cells.size, exact, exactByKind: right(({ kind }) => kind), wrong: wrongCells }
}

function countConfused(pairs: ReadonlyMap<Truth, PackageEvent>): number {
  const names = new Map<string, Set<string>>()
  const note = (key: string, value: string): void => {
    names.set(key, (names.get(key) ?? new Set()).add(value))
  }
  for (const [{ pull, tool }, { client }] of pairs) {
    const { address } = pull.operation
    note(keyOf('endpoint of', address), client.endpoint_id)
    note(keyOf('address of', client.endpoint_id), address)
    note(keyOf('client of', address, tool), client.id)
    note(keyOf('owner of', client.id), keyOf(address, tool))
  }
  return [...names.values()].filter(({ size }) => size > 1).length
}
